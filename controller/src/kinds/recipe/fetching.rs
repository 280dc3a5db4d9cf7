//! When a recipe is fetched, and what comes of it.

use std::time::Duration;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::recipe::{Recipe, RecipeStatus};
use api_types::reason;
use jiff::{SignedDuration, Timestamp};
use ports::error::ErrorKind;
use ports::git::{Fetch, RefName, RemoteUrl};
use serde_json::{Value, json};

use super::{FetchState, linting};
use crate::outside::Outside;
use crate::runtime::objects::ObjectKey;
use crate::runtime::outcome::{Failure, sentence};

/// Whoever changes the text of this annotation asks for a fetch now.
pub const FETCH_ANNOTATION: &str = "ci.coopcloud.tech/fetch";
/// How often a recipe is fetched. New commits of pull requests are fetched by their runs.
pub(super) const PERIOD: SignedDuration = SignedDuration::from_mins(10);
/// How soon a fetch that failed is tried again when time may heal it.
pub(super) const RETRY: SignedDuration = SignedDuration::from_mins(1);
/// Longest that a fetch may take. Git's own limit ends it before.
const TIME_MAX: Duration = Duration::from_mins(30);

/// What came of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// When it ended.
    pub at: Timestamp,
    /// Why it failed, if it did.
    pub failure: Option<FetchFailure>,
    /// What the linter says of what was fetched.
    pub lint: Option<Value>,
}

/// Why a fetch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFailure {
    /// Whether time may heal it.
    pub is_retryable: bool,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl Fetched {
    /// Reads the result of the operation.
    pub(super) fn read(result: Result<Value, Failure>, now: Timestamp) -> Self {
        let value = match result {
            Ok(value) => value,
            // It was cut off: that takes no time from git.
            Err(failure) => return Self { at: now, failure: Some(FetchFailure::of(&failure)), lint: None },
        };
        let at = value["at"].as_str().and_then(|text| text.parse().ok()).unwrap_or(now);
        let text = |name: &str| value["failure"][name].as_str().map(str::to_owned);
        let failure = text("reason").map(|reason| FetchFailure {
            is_retryable: value["failure"]["isRetryable"].as_bool().unwrap_or(true),
            reason,
            message: text("message").unwrap_or_default(),
        });
        Self { at, failure, lint: value.get("lint").filter(|lint| !lint.is_null()).cloned() }
    }
}

impl FetchFailure {
    fn of(failure: &Failure) -> Self {
        let reason = match failure.reason.as_str() {
            "GitUnreachable" => reason::UNREACHABLE,
            "GitAuthentication" => reason::UNAUTHORIZED,
            "RepositoryNotFound" => reason::NOT_FOUND,
            other => other,
        };
        Self {
            is_retryable: failure.kind == ErrorKind::Retryable,
            reason: reason.to_owned(),
            message: sentence(&failure.message),
        }
    }
}

/// Returns the id of the fetch that is asked for: another one after each that came to an end well, for each URL, and for
/// each that somebody asks for.
pub(super) fn id(object: &Object<Recipe>) -> String {
    let last = object.status.last_fetched.as_deref().unwrap_or("never");
    let asked = object.metadata.annotations.get(FETCH_ANNOTATION).map_or("", String::as_str);
    format!("recipe-fetch/{}/{}/{last}/{asked}", object.metadata.uid, object.spec.source.url)
}

/// Begins to fetch. Whatever fetch of the recipe was there before has ended.
pub(super) fn begin(outside: &Outside, object: &Object<Recipe>) -> Result<(), Failure> {
    let url = RemoteUrl::new(&object.spec.source.url)?;
    let (branch, recipe) = (RefName::new(&object.spec.source.branch)?, object.metadata.name.clone());
    let owner = ObjectKey::new(&Recipe::resource(), &object.metadata.namespace, &object.metadata.name);
    let (git, clock) = (outside.git.clone(), outside.clock.clone());
    let work = async move {
        let failure = git.fetch(&Fetch::all(url.clone())).await.err();
        let lint = match failure {
            // Without a verdict of the linter a recipe can be tested all the same.
            None => linting::look(&*git, &url, &branch, &recipe).await.unwrap_or_default(),
            Some(_) => None,
        };
        let failure = failure.map(|error| FetchFailure::of(&error.into()));
        let failure = failure.map(|failure| {
            json!({"isRetryable": failure.is_retryable, "reason": failure.reason, "message": failure.message})
        });
        Ok(json!({"at": clock.now().to_string(), "failure": failure, "lint": lint}))
    };
    outside.operations.forget_all(&owner);
    outside.operations.start(&id(object), &owner, TIME_MAX, work);
    Ok(())
}

/// Returns when the next fetch is due; `None` while one goes on.
pub(super) fn due(
    status: &RecipeStatus,
    object: &Object<Recipe>,
    fetch: &FetchState,
    is_there: bool,
) -> Option<Timestamp> {
    let parse = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    match fetch {
        FetchState::Running => None,
        FetchState::Ended(Fetched { at, failure: Some(failure), .. }) => {
            Some(at.saturating_add(if failure.is_retryable { RETRY } else { PERIOD }).unwrap_or(Timestamp::MAX))
        }
        // The mirror may have been lost since: its disk, or another URL.
        _ if !is_there => Some(Timestamp::MIN),
        FetchState::Ended(Fetched { at, failure: None, .. }) => {
            Some(at.saturating_add(PERIOD).unwrap_or(Timestamp::MAX))
        }
        FetchState::Absent if status.fetch_request != object.metadata.annotations.get(FETCH_ANNOTATION).cloned() => {
            Some(Timestamp::MIN)
        }
        FetchState::Absent => {
            let last = parse(&status.last_fetched).unwrap_or(Timestamp::MIN);
            Some(last.saturating_add(PERIOD).unwrap_or(Timestamp::MAX))
        }
    }
}
