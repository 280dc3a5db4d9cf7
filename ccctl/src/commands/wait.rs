//! `ccctl wait`: until objects reach a state; prints a line per transition.

use std::collections::BTreeMap;
use std::time::Duration;

use api_types::jsonpath::{JsonPath, plain_text};
use clap::Args;
use serde_json::Value;

use crate::arguments::TimeLimit;
use crate::client::request::ApiRequest;
use crate::client::watch::{Change, Watcher};
use crate::error::{CommandError, Outcome, Result};
use crate::fields;
use crate::output::jsonpath;
use crate::reference::{ObjectReference, SelectionArguments};
use crate::session::Session;

/// Wait until objects reach a state
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl wait testrun/nextcloud-pr12-3fa21c9-991 --for=condition=Succeeded --timeout=1h\n  ccctl wait apps --all --for=condition=Ready\n  ccctl wait app/cloud --for=jsonpath='{.status.phase}'=Ready\n  ccctl wait app/cloud --for=delete"
)]
pub struct WaitArguments {
    /// Objects to wait for
    #[command(flatten)]
    pub selection: SelectionArguments,
    /// condition=NAME[=VALUE], jsonpath={PATH}[=VALUE], delete or create
    #[arg(long = "for", value_name = "STATE")]
    pub state: String,
    /// Longest wait, such as 5m; 0 looks once
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = crate::arguments::parse_duration)]
    pub timeout: Duration,
}

/// What is waited for.
#[derive(Clone, Debug)]
pub enum State {
    /// A condition has a value.
    Condition(String, String),
    /// A field has a value, or any.
    Field(String, JsonPath, Option<String>),
    /// The object is gone.
    Deleted,
    /// The object is there.
    Created,
}

impl State {
    /// Reads the value of `--for`.
    ///
    /// # Errors
    /// It cannot be understood.
    pub fn parse(text: &str) -> Result<Self> {
        let lower = text.to_lowercase();
        if lower == "delete" {
            return Ok(Self::Deleted);
        }
        if lower == "create" {
            return Ok(Self::Created);
        }
        let unknown = || {
            CommandError::user(format!("unrecognized condition: \"{text}\""))
                .hint("--for takes condition=NAME[=VALUE], jsonpath='{PATH}'[=VALUE], delete or create")
        };
        if let Some(condition) = text.strip_prefix("condition=") {
            let (name, value) = condition.split_once('=').unwrap_or((condition, "True"));
            return if name.is_empty() {
                Err(unknown())
            } else {
                Ok(Self::Condition(name.to_owned(), value.to_owned()))
            };
        }
        let Some(expression) = text.strip_prefix("jsonpath=") else { return Err(unknown()) };
        let (path, value) = match (expression.find('}'), expression.starts_with('{')) {
            (Some(end), true) => {
                // A filter may hold braces only in quotes, which nobody writes here: the last brace closes the path.
                let end = expression.rfind('}').unwrap_or(end);
                let value = expression[end + 1..].strip_prefix('=');
                (&expression[..=end], value)
            }
            _ => expression.rsplit_once('=').map_or((expression, None), |(path, value)| (path, Some(value))),
        };
        if path.trim().is_empty() || value == Some("") {
            return Err(unknown());
        }
        Ok(Self::Field(path.to_owned(), jsonpath::path(path)?, value.map(str::to_owned)))
    }

    fn text(&self) -> String {
        match self {
            Self::Condition(name, value) => format!("condition {name}={value}"),
            Self::Field(path, _, Some(value)) => format!("{path}={value}"),
            Self::Field(path, _, None) => format!("{path} to be set"),
            Self::Deleted => "deletion".to_owned(),
            Self::Created => "creation".to_owned(),
        }
    }

    fn is_met(&self, object: &Value) -> bool {
        match self {
            Self::Condition(name, value) => condition_is(object, name, value),
            Self::Field(_, path, value) => {
                let found = path.find(object);
                match value {
                    Some(value) => !found.is_empty() && found.iter().all(|field| plain_text(field) == *value),
                    None => found.iter().any(|field| !field.is_null()),
                }
            }
            Self::Deleted => false,
            Self::Created => true,
        }
    }
}

/// Compares like kubectl: names and values in any case, and only conditions about the current spec count.
fn condition_is(object: &Value, name: &str, value: &str) -> bool {
    let list = object["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let Some(condition) = list.iter().find(|condition| fields::text(condition, "type").eq_ignore_ascii_case(name))
    else {
        return false;
    };
    let generation = object["metadata"]["generation"].as_i64();
    let observed = condition["observedGeneration"].as_i64().or_else(|| object["status"]["observedGeneration"].as_i64());
    if let (Some(generation), Some(observed)) = (generation, observed)
        && observed < generation
    {
        return false;
    }
    fields::text(condition, "status").eq_ignore_ascii_case(value)
}

/// Runs the command.
///
/// # Errors
/// An object is missing; the time is over.
pub async fn run(session: &Session, arguments: WaitArguments) -> Result<Outcome> {
    let state = State::parse(&arguments.state)?;
    let references = arguments.selection.resolve(session).await?;
    if references.is_empty() {
        if matches!(state, State::Deleted) {
            return Ok(Outcome::Success);
        }
        return Err(CommandError::user("no matching resources found").exit_with(1));
    }
    // One limit for all of them, as they are waited for at the same time.
    let waits = references.iter().map(|reference| wait_for(session, reference, &state));
    let all = futures::future::try_join_all(waits);
    if arguments.timeout.is_zero() {
        return look_once(session, &references, &state).await;
    }
    match tokio::time::timeout(arguments.timeout, all).await {
        Ok(result) => result.map(|_| Outcome::Success),
        Err(_) => Err(timed_out(&references, &state)),
    }
}

async fn look_once(session: &Session, references: &[ObjectReference], state: &State) -> Result<Outcome> {
    for reference in references {
        let met = match session.client()?.json(ApiRequest::get(reference.path())).await {
            Ok(object) => state.is_met(&object),
            Err(error) if error.is_not_found() => matches!(state, State::Deleted),
            Err(error) => return Err(error),
        };
        if !met {
            return Err(timed_out(references, state));
        }
        report(session, reference, state)?;
    }
    Ok(Outcome::Success)
}

fn timed_out(references: &[ObjectReference], state: &State) -> CommandError {
    let names: Vec<String> = references.iter().map(ObjectReference::text).collect();
    let error = CommandError::timeout(format!("timed out waiting for the {} on {}", state.text(), names.join(", ")));
    match references {
        [one] => error.hint(format!(
            "find out what holds it up with `ccctl why {}/{}{}`",
            one.resource.singular,
            one.name,
            one.namespace_option()
        )),
        _ => error.hint("wait longer with --timeout=10m"),
    }
}

fn report(session: &Session, reference: &ObjectReference, state: &State) -> Result<()> {
    let verb = match state {
        State::Deleted => "deleted",
        State::Created => "created",
        State::Condition(..) | State::Field(..) => "condition met",
    };
    session.print(&format!("{} {verb}\n", reference.text()))
}

/// Waits for one object.
///
/// # Errors
/// The object is missing, or goes away while something else than that is waited for.
async fn wait_for(session: &Session, reference: &ObjectReference, state: &State) -> Result<()> {
    let client = session.client()?;
    let request = ApiRequest::get(reference.resource.collection_path(reference.namespace.as_deref()))
        .query("fieldSelector", format!("metadata.name={}", reference.name));
    let listed = client.json(request.clone()).await?;
    let present = listed["items"].as_array().and_then(|items| items.first());
    let mut transitions = Transitions::default();
    match (present, state) {
        (None, State::Deleted) => return report(session, reference, state),
        (None, State::Created) => {}
        // The server words the refusal.
        (None, _) => client.json(ApiRequest::get(reference.path())).await.map(|_| ())?,
        (Some(object), _) => {
            if state.is_met(object) {
                return report(session, reference, state);
            }
            transitions.note(session, reference, object);
        }
    }
    let uid = present.map(|object| object["metadata"]["uid"].clone());
    if session.shows_requests() {
        return client.show(&request.query("watch", "true").unbounded());
    }
    let mut watcher = Watcher::new(client, request, &listed);
    loop {
        let event = watcher.next().await?;
        let replaced = uid.as_ref().is_some_and(|uid| event.object["metadata"]["uid"] != *uid);
        if matches!(state, State::Deleted) && (event.change == Change::Deleted || replaced) {
            return report(session, reference, state);
        }
        if event.change == Change::Deleted {
            return Err(CommandError::user(format!(
                "{} was deleted while waiting for the {}",
                reference.text(),
                state.text()
            ))
            .exit_with(1));
        }
        transitions.note(session, reference, &event.object);
        if state.is_met(&event.object) {
            return report(session, reference, state);
        }
    }
}

/// Remembers an object's phase and conditions, and tells of changes.
#[derive(Debug, Default)]
pub struct Transitions {
    known: BTreeMap<String, String>,
}

impl Transitions {
    /// Prints a line to stderr for the phase and each condition that is not what it was.
    pub fn note(&mut self, session: &Session, reference: &ObjectReference, object: &Value) {
        let phase = fields::text(&object["status"], "phase").to_owned();
        let mut now = vec![("phase".to_owned(), phase, String::new())];
        for condition in fields::conditions(object) {
            let mut details = condition.reason.clone();
            if !condition.message.is_empty() {
                details =
                    if details.is_empty() { condition.message } else { format!("{details}: {}", condition.message) };
            }
            now.push((condition.type_, condition.status, details));
        }
        for (name, value, details) in now.into_iter().filter(|(_, value, _)| !value.is_empty()) {
            let line = if details.is_empty() { value.clone() } else { format!("{value} ({details})") };
            if self.known.insert(name.clone(), line.clone()).as_deref() != Some(line.as_str()) {
                session.note(&format!("{} {name}={line}", reference.text()));
            }
        }
    }
}

/// How often a line that is alive is drawn anew.
const TICK: Duration = Duration::from_millis(120);

/// Tells the person how what is followed goes on.
pub trait Follower {
    /// Looks at a version of the object.
    fn note(&mut self, object: &Value);

    /// Says whether [`tick`](Self::tick) shows anything.
    fn is_alive(&self) -> bool;

    /// Shows that it still goes on; called several times a second.
    fn tick(&mut self);

    /// Takes away what [`tick`](Self::tick) showed.
    fn end(&mut self);
}

/// Waits until `done` says so; used by commands that follow what they started.
///
/// # Errors
/// The object is missing or goes away; the time is over.
pub async fn follow(
    session: &Session,
    reference: &ObjectReference,
    limit: TimeLimit,
    follower: &mut impl Follower,
    done: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let client = session.client()?;
    let waiting = async {
        let object = client.json(ApiRequest::get(reference.path())).await?;
        let request = ApiRequest::get(reference.resource.collection_path(reference.namespace.as_deref()))
            .query("fieldSelector", format!("metadata.name={}", reference.name));
        follower.note(&object);
        let mut watcher = Watcher::new(client, request, &object);
        let mut current = object;
        while !done(&current) {
            let event = with_ticks(follower, watcher.next()).await?;
            if event.change == Change::Deleted {
                return Err(CommandError::user(format!("{} was deleted", reference.text())).exit_with(1));
            }
            follower.note(&event.object);
            current = event.object;
        }
        Ok(current)
    };
    let ended = match limit.0 {
        None => waiting.await,
        Some(limit) => tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| {
            Err(CommandError::timeout(format!("timed out waiting for {} to end", reference.text())).hint(format!(
                "it goes on; look with `ccctl why {}/{}{}`",
                reference.resource.singular,
                reference.name,
                reference.namespace_option()
            )))
        }),
    };
    follower.end();
    ended
}

async fn with_ticks<T>(follower: &mut impl Follower, next: impl Future<Output = T>) -> T {
    if !follower.is_alive() {
        return next.await;
    }
    let mut next = std::pin::pin!(next);
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            next = &mut next => return next,
            _ = ticks.tick() => follower.tick(),
        }
    }
}
