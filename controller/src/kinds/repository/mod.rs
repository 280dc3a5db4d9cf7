//! Repository: reads comments, finds commands in them, and has them carried out once each; tags, pushes and times as
//! well. See `README.md` beside this file.

pub mod authorize;
mod begin;
mod carry_out;
pub mod decide;
pub mod doorbell;
pub mod grammar;
pub mod happenings;
mod judge;
pub mod names;
pub mod work;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::approval::Approval;
use api_types::kinds::forge::Forge;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::repository::{Repository, RepositoryStatus, WebhookMode};
use api_types::kinds::test_run::TestRun;
use jiff::{SignedDuration, Timestamp};
use ports::clock::Clock;
use ports::error::ErrorKind;
use ports::forge::Comment;

use crate::kinds::forge::connection::{self, RepositoryConnection, SECRETS};
use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::controller::{ControllerOptions, Shared};
use crate::runtime::events::Recorder;
use crate::runtime::objects::{ObjectKey, Objects};
use crate::runtime::outcome::{BLOCKED_POLL, Failure};
use crate::runtime::reconciler::{Decision, Reconciler};
use decide::{Action, Dealt, Fate, Observed, Round};
use doorbell::Doorbells;
use happenings::{Happening, Sight};
use judge::Judged;

/// How far each poll reaches behind the last: what was written then may have become visible since.
const OVERLAP: SignedDuration = SignedDuration::from_mins(2);
/// Least time between two polls of a repository, however often its bell rings.
const RING_GAP: Duration = Duration::from_millis(300);
/// Longest wait after polls that failed.
const FAILED_WAIT_MAX: Duration = Duration::from_mins(5);
/// Longest wait that a forge can ask for.
const ASKED_WAIT_MAX: Duration = Duration::from_hours(1);

/// What is remembered between passes; after a restart it is read anew.
#[derive(Default)]
struct Memory {
    /// Comments that are to be dealt with, oldest first.
    inbox: VecDeque<Comment>,
    /// What was decided about comments, until the status says so.
    dealt: HashMap<i64, Dealt>,
    /// Tags, pushes and times that are to be dealt with, oldest first.
    happenings: VecDeque<Happening>,
    /// What became of those that have been.
    happened: Vec<(Happening, Fate)>,
    /// The poll that brought all this, until everything is dealt with.
    round: Option<Round>,
    /// When the last poll began.
    polled_at: Option<Timestamp>,
    /// Polls that failed in a row.
    failures: u32,
    /// The forge is left alone until then.
    not_before: Option<Timestamp>,
}

/// The reconciler.
pub struct Repositories {
    objects: Arc<dyn Objects>,
    cache: Arc<Cache>,
    outside: Outside,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    doorbells: Doorbells,
    /// By uid.
    memories: Mutex<HashMap<String, Memory>>,
}

impl Repositories {
    /// Returns the reconciler.
    #[must_use]
    pub fn new(shared: &Shared, outside: Outside, doorbells: Doorbells) -> Self {
        Self {
            objects: shared.objects.clone(),
            cache: shared.cache.clone(),
            clock: shared.clock.clone(),
            recorder: shared.recorder.clone(),
            outside,
            doorbells,
            memories: Mutex::default(),
        }
    }

    /// Returns how its controller works.
    #[must_use]
    pub fn options() -> ControllerOptions {
        let watches = [Forge::resource(), Recipe::resource(), SECRETS.to_owned()];
        ControllerOptions {
            watches: watches.to_vec(),
            pass_time_limit: Duration::from_mins(1),
            ..ControllerOptions::default()
        }
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember<Output>(&self, object: &Object<Repository>, change: impl FnOnce(&mut Memory) -> Output) -> Output {
        change(self.memories().entry(object.metadata.uid.clone()).or_default())
    }

    /// Polls if it is time, and puts what is new into the inbox.
    async fn poll(&self, object: &Object<Repository>, to: &RepositoryConnection) -> Result<(), Failure> {
        let now = self.clock.now();
        self.doorbells.answer(&key_of(object));
        self.remember(object, |memory| memory.polled_at = Some(now));
        let cursor = object.status.cursor.clone().unwrap_or_default();
        let since = cursor.since.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        let forge = &to.connection.forge;
        let (happenings, marks) = happenings::news(&object.spec, &cursor, &see(object, to).await?, now);
        let Some(since) = since else {
            // First sight: what is there is not ours to answer.
            let listed = forge.comments_since(&to.repository, earlier(now)).await?;
            let since = listed.server_time.unwrap_or(now);
            // Whatever is listed was written before, be it in this very second.
            let ids = listed.comments.iter().map(|comment| comment.id);
            let round = Round { since, polled_at: now, listed: ids.collect(), marks, is_first: true };
            self.remember(object, |memory| memory.round = Some(round));
            return Ok(());
        };
        let listed = forge.comments_since(&to.repository, earlier(since)).await?;
        let known: HashSet<i64> = cursor.recent.iter().copied().collect();
        // What was written before the window was dealt with long ago; it is listed because it was edited.
        let is_new = |comment: &&Comment| !known.contains(&comment.id) && comment.created_at >= earlier(since);
        let inbox: VecDeque<Comment> = listed.comments.iter().filter(is_new).cloned().collect();
        let until = listed.server_time.unwrap_or(now);
        let last = listed.comments.iter().map(|comment| comment.created_at).max();
        let until = match last {
            // The next poll begins where this one ended. With an overlap it would read the same again, and so for ever,
            // if as much as fits was written within the overlap.
            Some(last) if !listed.is_complete => last.checked_add(OVERLAP).unwrap_or(last),
            _ => until,
        };
        let ids = listed.comments.iter().map(|comment| comment.id).collect();
        let round = Round { since: until.max(since), polled_at: now, listed: ids, marks, is_first: false };
        self.remember(object, |memory| {
            memory.inbox = inbox;
            memory.happenings = happenings.into();
            memory.happened.clear();
            memory.round = Some(round);
        });
        Ok(())
    }

    /// Deals with the inbox, up to the first thing that has to be done.
    async fn deal(
        &self,
        object: &Object<Repository>,
        to: &RepositoryConnection,
        seen: &mut Observed,
    ) -> Result<(), Failure> {
        let written: HashSet<i64> = object.status.cursor.iter().flat_map(|cursor| cursor.recent.clone()).collect();
        let (inbox, known) = self.remember(object, |memory| {
            memory.inbox.retain(|comment| !written.contains(&comment.id));
            memory.dealt.retain(|comment, _| !written.contains(comment));
            (memory.inbox.clone(), memory.dealt.clone())
        });
        for comment in inbox {
            if let Some(dealt) = known.get(&comment.id) {
                seen.dealt.push(dealt.clone());
                continue;
            }
            match self.judge(object, to, &comment).await? {
                Judged::Dealt(fate) => {
                    let dealt = dealt(&comment, fate);
                    self.remember(object, |memory| memory.dealt.insert(comment.id, dealt.clone()));
                    seen.dealt.push(dealt);
                }
                Judged::Work(work) => {
                    seen.work = Some(Action::Carry(work));
                    return Ok(());
                }
            }
        }
        let next = self.remember(object, |memory| memory.happenings.front().cloned());
        seen.work = next.map(Action::Begin);
        Ok(())
    }

    /// Returns when the next poll is due; `None` for now.
    fn due(&self, object: &Object<Repository>) -> Option<Duration> {
        let now = self.clock.now();
        let is_rung = self.doorbells.rung_at(&key_of(object)).is_some();
        let left = |moment: Option<Timestamp>, wait: Duration| {
            let passed = moment.map(|moment| Duration::try_from(now.duration_since(moment)).unwrap_or_default());
            passed.and_then(|passed| wait.checked_sub(passed)).unwrap_or_default()
        };
        self.remember(object, |memory| {
            let forbidden =
                memory.not_before.map(|until| Duration::try_from(until.duration_since(now)).unwrap_or_default());
            let interval = if is_rung { RING_GAP } else { object.spec.poll_interval.span() };
            let last = object.status.last_polled.as_deref().and_then(|text| text.parse().ok());
            let wait = match memory.polled_at {
                // Of a poll that failed, the wait alone counts.
                Some(_) if memory.failures > 0 => Duration::ZERO,
                Some(polled_at) => left(Some(polled_at), interval),
                None => left(last, interval),
            };
            let cursor = object.status.cursor.as_ref().filter(|cursor| cursor.since.is_some());
            let appointed = cursor.and_then(|cursor| happenings::due(&object.spec, cursor, now));
            let wait = match appointed {
                Some(moment) => wait.min(Duration::try_from(moment.duration_since(now)).unwrap_or_default()),
                None => wait,
            };
            let wait = wait.max(forbidden.unwrap_or_default());
            (!wait.is_zero()).then_some(wait)
        })
    }

    async fn look(&self, object: &Object<Repository>, seen: &mut Observed) -> Result<(), Failure> {
        let to = connection::connect_repository(&self.cache, &self.outside, object)?;
        let (is_dealing, forbidden) = self.remember(object, |memory| {
            let left = memory.not_before.map(|until| Duration::try_from(until.duration_since(self.clock.now())));
            (memory.round.is_some(), left.and_then(Result::ok).filter(|left| !left.is_zero()))
        });
        if let Some(left) = forbidden {
            // Whoever woke us, the forge is left alone.
            seen.next = left;
            return Ok(());
        }
        if !is_dealing && self.due(object).is_none() {
            seen.rung_at = self.doorbells.rung_at(&key_of(object));
            self.poll(object, &to).await?;
        }
        self.deal(object, &to, seen).await?;
        self.remember(object, |memory| {
            memory.failures = 0;
            memory.not_before = None;
            if seen.work.is_none() {
                seen.round = memory.round.take();
                seen.happened = std::mem::take(&mut memory.happened);
                memory.inbox.clear();
            }
        });
        seen.next = self.due(object).unwrap_or(RING_GAP);
        Ok(())
    }

    /// Notes a failure, and returns how long nothing is asked.
    fn failed(&self, object: &Object<Repository>, failure: &Failure) -> Duration {
        let now = self.clock.now();
        self.remember(object, |memory| {
            memory.failures = memory.failures.saturating_add(1);
            let doublings = memory.failures.saturating_sub(1).min(6);
            let wait = object.spec.poll_interval.span().saturating_mul(1 << doublings).min(FAILED_WAIT_MAX);
            let wait = if failure.kind == ErrorKind::Retryable { wait } else { wait.max(BLOCKED_POLL) };
            let wait = wait.max(failure.retry_after.unwrap_or_default().min(ASKED_WAIT_MAX));
            memory.not_before = now.checked_add(wait).ok();
            wait
        })
    }

    /// Says why the doorbell does not ring although it should.
    fn doorbell_problem(&self, object: &Object<Repository>) -> Option<String> {
        let webhook = object.spec.webhook.as_ref().filter(|webhook| webhook.mode == WebhookMode::Optional)?;
        let reference = webhook.secret_ref.as_ref()?;
        let secret = self.cache.get(&ObjectKey::new(SECRETS, &object.metadata.namespace, &reference.name));
        let data = secret.as_ref().and_then(|secret| secret.value["data"].as_object());
        let has = data.is_some_and(|data| match &reference.key {
            Some(key) => data.get(key).is_some_and(|value| value.as_str() != Some("")),
            None => data.len() == 1,
        });
        (!has).then(|| {
            format!("the Secret {} is not there or has not the key that spec.webhook names; create it.", reference.name)
        })
    }
}

impl Reconciler for Repositories {
    type Kind = Repository;
    type Observed = Observed;
    type Action = Action;

    async fn observe(&self, object: &Object<Repository>) -> Result<Observed, Failure> {
        if object.is_being_deleted() {
            self.memories().remove(&object.metadata.uid);
            return Ok(Observed::default());
        }
        let resources = [Forge::resource(), Recipe::resource(), SECRETS.to_owned()];
        if let Some(missing) = resources.iter().find(|resource| !self.cache.is_synced(resource)) {
            return Err(Failure::outdated(format!("the first list of {missing} has not arrived yet")));
        }
        let has_recipe = |name: &str| {
            self.cache.get(&ObjectKey::new(&Recipe::resource(), &object.metadata.namespace, name)).is_some()
        };
        let cursor = object.status.cursor.clone().unwrap_or_default();
        let mut seen = Observed {
            doorbell_problem: self.doorbell_problem(object),
            trigger_problems: happenings::problems(&object.spec, &cursor, has_recipe),
            ..Observed::default()
        };
        match self.look(object, &mut seen).await {
            Ok(()) => {}
            // Waits for objects with names are the loop's own business.
            Err(failure) if failure.quiet || !failure.waits_for.is_empty() => return Err(failure),
            Err(failure) => {
                let wait = self.failed(object, &failure);
                seen.failure = Some((failure, wait));
            }
        }
        Ok(seen)
    }

    fn decide(object: &Object<Repository>, seen: &Observed, now: Timestamp) -> Decision<RepositoryStatus, Action> {
        decide::decide(object, seen, now)
    }

    async fn act(&self, object: &Object<Repository>, action: Action) -> Result<(), Failure> {
        match action {
            Action::Carry(work) => {
                let fate = self.carry_out(object, &work).await?;
                self.remember(object, |memory| memory.dealt.insert(work.comment.id, dealt(&work.comment, fate)));
            }
            Action::Begin(happening) => {
                let fate = self.begin(object, &happening).await?;
                self.remember(object, |memory| {
                    memory.happenings.retain(|other| *other != happening);
                    memory.happened.push((happening, fate));
                });
            }
        }
        Ok(())
    }

    fn references(object: &Object<Repository>) -> Vec<ObjectKey> {
        let mut keys = vec![connection::key(&object.spec.forge_ref)];
        let secret = object.spec.webhook.as_ref().and_then(|webhook| webhook.secret_ref.as_ref());
        keys.extend(secret.map(|secret| ObjectKey::new(SECRETS, &object.metadata.namespace, &secret.name)));
        keys
    }
}

/// Reads what the triggers want to know besides comments.
async fn see(object: &Object<Repository>, to: &RepositoryConnection) -> Result<Sight, Failure> {
    let (forge, mut sight) = (&to.connection.forge, Sight::default());
    if happenings::wants_tags(&object.spec) {
        sight.tags = forge.tags(&to.repository).await?;
    }
    for branch in happenings::branches(&object.spec) {
        let tip = forge.branch(&to.repository, branch).await?;
        sight.branches.insert(branch.clone(), tip);
    }
    Ok(sight)
}

fn key_of(object: &Object<Repository>) -> ObjectKey {
    ObjectKey::new(&Repository::resource(), &object.metadata.namespace, &object.metadata.name)
}

fn earlier(moment: Timestamp) -> Timestamp {
    moment.checked_sub(OVERLAP).unwrap_or(moment)
}

fn dealt(comment: &Comment, fate: Fate) -> Dealt {
    Dealt {
        at: comment.created_at,
        comment: comment.id,
        pull_request: comment.pull_request,
        author: comment.author.login.chars().take(255).collect(),
        fate,
    }
}

/// Returns the Approvals of a Repository's pull request.
fn approvals_of(cache: &Cache, repository: &Object<Repository>, pull_request: i64) -> Vec<Object<Approval>> {
    let stored = cache.list(&Approval::resource());
    let of = stored.iter().filter(|found| {
        found.metadata.namespace == repository.metadata.namespace
            && found.value["spec"]["repositoryRef"] == repository.metadata.name.as_str()
            && found.value["spec"]["pullRequest"].as_i64() == Some(pull_request)
    });
    of.filter_map(|found| Object::from_value(&found.value).ok()).collect()
}

/// Returns the resource of runs, whose list is read from the store: a cache may be behind.
fn runs_resource() -> String {
    TestRun::resource()
}
