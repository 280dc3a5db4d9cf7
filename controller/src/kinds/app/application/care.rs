//! An application that was made here, afterwards: another secret when somebody asks for it, and another application when
//! somebody removed it at the forge.
//!
//! ```text
//!   rotate.ci.coopcloud.tech/SECRET: WORD ─► is it there, may we? ── yes ─► word and intent noted ─► changed ─► Secret
//!                                                   └ no: status.secrets says why; nothing has changed, and it is tried again
//!
//!   every 15 min: is it there? ── no, and a minute later neither ─► intent noted ─► made anew, with another client ID
//!                                       └ but another one of its name is: told, and left alone
//! ```
//!
//! A forge that is away, and a token that may not look, tell nothing about an application: it stays as it is.

use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, READY};
use api_types::kind::Object;
use api_types::kinds::app::{App, AppStatus, OAuthApplicationState};
use api_types::reason;
use jiff::Timestamp;
use ports::forge::OAuthApplication;

use super::super::Apps;
use super::super::act::Action;
use super::super::deployer::Refusal;
use super::{Credentials, Kept, Record, key, read, told, wanted};
use crate::kinds::forge::connection::{self, Connection};
use crate::runtime::events::{EventKind, seconds};
use crate::runtime::outcome::{Failure, sentence};
use crate::runtime::reconciler::Decision;

/// How often the forge is asked whether an application is still there.
const LOOK: Duration = Duration::from_mins(15);
/// How soon it is asked again when it was not there, or nobody answered; and how soon a rotation is tried again.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// What is remembered of looks at the forge.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Looks {
    /// When it is looked at again; at once when `None`.
    next: Option<Timestamp>,
    /// Whether the last look did not find it.
    is_missing: bool,
    /// What a person has to do about it.
    trouble: Option<Refusal>,
    /// Why a rotation that is asked for has not begun.
    delay: Option<Delay>,
}

/// A rotation that could not begin.
#[derive(Clone, Debug)]
struct Delay {
    since: Timestamp,
    tried_at: Timestamp,
    message: String,
}

/// What is known of an App's application.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Seen {
    /// What the status says of it.
    pub(in super::super) state: Option<OAuthApplicationState>,
    /// What is known besides when it was made here.
    pub(in super::super) own: Option<Own>,
    /// Whether it is time to ask the forge.
    look_is_due: bool,
    /// What a person has to do about it.
    trouble: Option<Refusal>,
}

/// What is known of an application that was made here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Own {
    /// The secret of the recipe that it gives, by its name in the compose file.
    pub(in super::super) secret: String,
    /// The word that asked last for another client secret, as far as it has come to something.
    pub(in super::super) asked: String,
    /// When it got another one for that.
    pub(in super::super) rotated_at: Option<String>,
    /// Since when another one cannot be had, and why.
    pub(in super::super) delay: Option<(String, String)>,
    /// Whether that was tried a moment ago.
    pub(in super::super) rests: bool,
}

impl Record {
    /// Returns whether an account may say that the application is gone: others do not see it.
    fn is_of(&self, login: &str) -> bool {
        self.owner.is_empty() || self.owner.eq_ignore_ascii_case(login)
    }
}

/// Adds to a decision what is to be done about the application. Pure.
pub(in super::super) fn attend(seen: &Seen, decided: Decision<AppStatus, Action>) -> Decision<AppStatus, Action> {
    let mut decided = decided;
    if let Some(Refusal { reason, message }) = &seen.trouble
        && condition::is_true(&decided.status.conditions, READY)
    {
        let not_ready = Condition::new(READY, ConditionStatus::False, reason, message.clone());
        condition::set(&mut decided.status.conditions, not_ready);
    }
    match decided.action {
        None | Some(Action::Probe) if seen.look_is_due => Decision::act(decided.status, Action::LookAfterApplication),
        _ => decided,
    }
}

impl Apps {
    /// Returns what is known of an App's application. Asks nobody.
    pub(in super::super) fn look_at_application(&self, app: &Object<App>) -> Seen {
        let state = super::state(&self.cache, app);
        let Some((record, _)) = self.own_application(app) else { return Seen { state, ..Seen::default() } };
        let now = self.outside.clock.now();
        let Looks { next, trouble, delay, .. } = self.with_memory(app, |memory| memory.application.clone());
        let rests = |delay: &Delay| now.duration_since(delay.tried_at).unsigned_abs() < LOOK_AGAIN;
        let own = Own {
            secret: app.spec.oauth_application.as_ref().map(|spec| spec.client_secret.clone()).unwrap_or_default(),
            asked: record.rotation_asked,
            rotated_at: record.rotated_at,
            rests: delay.as_ref().is_some_and(rests),
            delay: delay.map(|delay| (seconds(delay.since), delay.message)),
        };
        Seen { state, own: Some(own), look_is_due: next.is_none_or(|next| now >= next), trouble }
    }

    /// Returns the application that was made here, while nothing is under way with it.
    fn own_application(&self, app: &Object<App>) -> Option<(Record, Credentials)> {
        let (forge, wanted) = wanted(app)?;
        match read(&self.cache, app) {
            Kept::Own(record, Some(credentials)) if record.is(&forge, &wanted) => Some((record, credentials)),
            _ => None,
        }
    }

    /// Returns all applications of the token's owner.
    async fn applications(&self, forge: &str) -> Result<(Connection, Vec<OAuthApplication>), Failure> {
        let connection = connection::connect(&self.cache, &self.outside, forge)?;
        let all = connection.forge.oauth_applications().await;
        let all = all.map_err(|error| told(forge, &connection.own_login, error))?;
        Ok((connection, all))
    }

    /// Asks the forge whether the application is still there, and makes another one when it is not.
    ///
    /// # Errors
    /// When another one cannot be made or kept. A forge that does not answer is no error.
    pub(in super::super) async fn look_after_application(&self, app: &Object<App>) -> Result<(), Failure> {
        let (Some((record, credentials)), Some((_, wanted))) = (self.own_application(app), wanted(app)) else {
            return Ok(());
        };
        let now = self.outside.clock.now();
        let before = self.with_memory(app, |memory| memory.application.clone());
        let remember = |looks: Looks| self.with_memory(app, |memory| memory.application = looks);
        let (connection, all) = match self.applications(&record.forge).await {
            Ok(seen) => seen,
            Err(failure) => {
                tracing::debug!(app = %self.key(app).key, error = failure.message, "applications cannot be listed");
                remember(Looks { next: Some(now + LOOK_AGAIN), ..before });
                return Ok(());
            }
        };
        if is_there(&all, &record, &credentials) || !record.is_of(&connection.own_login) {
            let next = Some(now + LOOK);
            remember(Looks { next, is_missing: false, trouble: None, ..before });
            return Ok(());
        }
        let again = Looks { next: Some(now + LOOK_AGAIN), is_missing: true, ..before.clone() };
        if !before.is_missing {
            remember(again);
            return Ok(());
        }
        if let Some(other) = all.iter().find(|found| found.name == wanted.name) {
            let message = replaced_by_hand(app, &record, &credentials, other);
            let trouble = Some(Refusal { reason: reason::APPLICATION_SECRET_UNKNOWN, message });
            remember(Looks { trouble, ..again });
            return Ok(());
        }
        let text = format!(
            "Somebody removed the OAuth2 application {} (client ID {}) at the forge {}: another one is made.",
            record.name, credentials.client_id, record.forge
        );
        self.record(app, EventKind::Warning, reason::APPLICATION_REMOVED, &text);
        self.make(app, record, &wanted, &connection).await
    }

    /// Lets the forge make another client secret, because somebody asks for it with this word.
    ///
    /// # Errors
    /// When the forge fails after it was told to, or the store does not take what it said. Before that, why it cannot be done
    /// is remembered for the status, and nothing has changed.
    pub(in super::super) async fn renew_application(&self, app: &Object<App>, word: &str) -> Result<(), Failure> {
        let (Some((record, credentials)), Some((_, wanted))) = (self.own_application(app), wanted(app)) else {
            return Ok(());
        };
        if record.rotation_asked == word {
            return Ok(());
        }
        let connection = match self.applications(&record.forge).await {
            Ok((connection, all)) if is_there(&all, &record, &credentials) => connection,
            Ok((connection, _)) => {
                let text = format!(
                    "The forge {} has no application {} (client ID {}) of {}: it is looked for again, and another one is made \
                     when it is gone.",
                    record.forge, record.name, credentials.client_id, connection.own_login
                );
                self.delay_rotation(app, text);
                return Ok(());
            }
            Err(failure) => {
                self.delay_rotation(app, sentence(&failure.message));
                return Ok(());
            }
        };
        let text = format!("The OAuth2 application {} gets another secret, as was asked for.", record.name);
        self.record(app, EventKind::Normal, reason::ROTATING, &text);
        let rotated_at = Some(seconds(self.outside.clock.now()));
        let record = Record { rotation_asked: word.to_owned(), rotated_at, ..record };
        self.replace(app, record, &wanted, &connection).await
    }

    /// Remembers why a rotation has not begun.
    fn delay_rotation(&self, app: &Object<App>, why: String) {
        let now = self.outside.clock.now();
        let message = format!("It cannot be done yet, and the former secret is as good as before. {why}");
        let is_news = self.with_memory(app, |memory| {
            let looks = &mut memory.application;
            let since = looks.delay.as_ref().map_or(now, |delay| delay.since);
            let is_news = looks.delay.is_none();
            looks.delay = Some(Delay { since, tried_at: now, message: message.clone() });
            looks.next = None;
            is_news
        });
        if is_news {
            self.record(app, EventKind::Warning, reason::ROTATION_DELAYED, &message);
        }
    }

    /// Remembers that what is kept is what the forge has said a moment ago.
    pub(super) fn forget_looks(&self, app: &Object<App>) {
        let next = Some(self.outside.clock.now() + LOOK);
        self.with_memory(app, |memory| memory.application = Looks { next, ..Looks::default() });
    }
}

/// Returns whether the very application is in a list.
fn is_there(all: &[OAuthApplication], record: &Record, credentials: &Credentials) -> bool {
    all.iter().any(|found| found.id == record.id && found.client_id == credentials.client_id)
}

/// Says that somebody put another application in the place of the one that was made here.
fn replaced_by_hand(app: &Object<App>, record: &Record, own: &Credentials, other: &OAuthApplication) -> String {
    let namespace = &app.metadata.namespace;
    let key = key(namespace, &app.metadata.name);
    let secret = key.name();
    let (id, other_id, forge, name) = (&own.client_id, &other.client_id, &record.forge, &record.name);
    format!(
        "The OAuth2 application that was made here (client ID {id}) is no longer at the forge {forge}, where another one has \
         its name {name} (client ID {other_id}), whose secret is told to nobody any more. Remove that one there, and another \
         one is made; or let this App use it: kubectl delete secret {secret} --namespace={namespace}, then kubectl create \
         secret generic {secret} --namespace={namespace} --from-literal=client_id={other_id} --from-literal=client_secret=…"
    )
}
