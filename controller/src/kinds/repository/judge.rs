//! From a comment to what is to be done about it. Facts come from the forge, at this moment; nothing that somebody
//! delivered is believed.

use api_types::kind::Kind as _;
use api_types::kind::Object;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::repository::{Repository, Trigger, TriggerEvent};
use api_types::kinds::test_run::TestRun;
use api_types::reason;
use jiff::SignedDuration;
use ports::forge::{Comment, PullRequest};

use super::authorize::{authorize, is_nobody};
use super::decide::Fate;
use super::grammar::{self, Command, Found};
use super::work::{Scene, Work};
use super::{Repositories, approvals_of, names, runs_resource};
use crate::kinds::forge::connection::{RepositoryConnection, is_own};
use crate::runtime::objects::{ObjectKey, StoredObject};
use crate::runtime::outcome::Failure;

/// Forges take the time twice when they store a comment: a second's difference is no edit.
const EDIT_TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

/// What a comment comes to.
pub(super) enum Judged {
    /// Nothing more has to be done.
    Dealt(Fate),
    /// This has to be done.
    Work(Box<Work>),
}

fn ignored(reason: &'static str, message: &str) -> Judged {
    Judged::Dealt(Fate::Ignored(reason, message.to_owned()))
}

/// What the triggers say of whoever wrote the comment.
struct Allowed<'a> {
    triggers: Vec<&'a Trigger>,
    /// Why they may, or why not.
    why: String,
}

impl Repositories {
    /// Judges one comment.
    ///
    /// # Errors
    /// The forge gave no answer: nothing is decided, and the comment stays.
    pub(super) async fn judge(
        &self,
        object: &Object<Repository>,
        to: &RepositoryConnection,
        comment: &Comment,
    ) -> Result<Judged, Failure> {
        if is_own(&to.connection, &comment.author) {
            return Ok(Judged::Dealt(Fate::Silent));
        }
        let triggers: Vec<&Trigger> =
            object.spec.triggers.iter().filter(|trigger| trigger.on == TriggerEvent::Comment).collect();
        let phrases: Vec<&str> = triggers.iter().filter_map(|trigger| trigger.phrase.as_deref()).collect();
        let found = grammar::read(&comment.body, &phrases);
        if let Some(fate) = refusal(&found, comment, triggers.is_empty()) {
            return Ok(Judged::Dealt(fate));
        }
        let meant = triggers.into_iter().filter(|trigger| match &found {
            Found::Command(Command::Test(phrase, _)) => trigger.phrase.as_ref() == Some(phrase),
            _ => true,
        });
        let allowed = self.allowed(meant.collect(), to, comment).await?;
        if allowed.triggers.is_empty() {
            return Ok(Judged::Dealt(Fate::Rejected(allowed.why)));
        }
        let Some(number) = comment.pull_request else { return Ok(ignored(reason::NOT_A_COMMAND, NO_PULL_REQUEST)) };
        let Some(pull) = to.connection.forge.pull_request(&to.repository, number).await? else {
            return Ok(ignored(reason::NOT_FOUND, "The pull request is gone."));
        };
        if !pull.is_open {
            return Ok(ignored(reason::PULL_REQUEST_CLOSED, "The pull request is closed or merged."));
        }
        let is_commit =
            matches!(pull.head_sha.len(), 40 | 64) && pull.head_sha.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_commit {
            return Ok(ignored(reason::COMMIT_NOT_FOUND, "The forge names no head commit of the pull request."));
        }
        self.plan(object, comment, &pull, &allowed, &found).await
    }

    /// Asks the forge whose triggers count for whoever wrote the comment.
    async fn allowed<'a>(
        &self,
        triggers: Vec<&'a Trigger>,
        to: &RepositoryConnection,
        comment: &Comment,
    ) -> Result<Allowed<'a>, Failure> {
        let mut allowed = Allowed { triggers: Vec::new(), why: "No trigger is meant.".to_owned() };
        let mut verdicts: Vec<(&api_types::kinds::repository::Authorize, Result<String, String>)> = Vec::new();
        for trigger in triggers {
            let Some(rule) = &trigger.authorize else { continue };
            let known = verdicts.iter().find(|(other, _)| *other == rule).map(|(_, verdict)| verdict.clone());
            let verdict = match known {
                Some(verdict) => verdict,
                None => {
                    let asked = authorize(&*to.connection.forge, rule, &to.repository, &comment.author).await?;
                    verdicts.push((rule, asked.clone()));
                    asked
                }
            };
            match verdict {
                Ok(why) => {
                    allowed.triggers.push(trigger);
                    allowed.why = why;
                }
                Err(why) if allowed.triggers.is_empty() => allowed.why = why,
                Err(_) => {}
            }
        }
        Ok(allowed)
    }

    async fn plan(
        &self,
        object: &Object<Repository>,
        comment: &Comment,
        pull: &PullRequest,
        allowed: &Allowed<'_>,
        found: &Found,
    ) -> Result<Judged, Failure> {
        let namespace = &object.metadata.namespace;
        let (mut recipes, mut missing) = (Vec::new(), Vec::new());
        for trigger in &allowed.triggers {
            let Some(name) = &trigger.run.recipe_ref else { continue };
            let stored = self.cache.get(&ObjectKey::new(&Recipe::resource(), namespace, name));
            match stored.and_then(|stored| Object::<Recipe>::from_value(&stored.value).ok()) {
                Some(recipe) => recipes.push((recipe, trigger.cancel_superseded)),
                None => missing.push(name.clone()),
            }
        }
        // From the store itself: a command must not be carried out twice because a cache is behind.
        let listing = self.objects.list(&runs_resource(), Some(namespace)).await?;
        let of = |stored: &StoredObject| {
            let spec = &stored.value["spec"];
            spec["source"]["pullRequest"]["number"] == pull.number
                && recipes.iter().any(|(recipe, _)| spec["recipeRef"] == *recipe.metadata.name)
        };
        let same = listing.objects.iter().filter(|stored| of(stored));
        let mut runs: Vec<Object<TestRun>> = same.filter_map(|stored| Object::from_value(&stored.value).ok()).collect();
        runs.sort_by_cached_key(|run| std::cmp::Reverse(names::age(run)));
        let scene = Scene {
            repository: object,
            comment,
            pull,
            recipes: recipes.iter().map(|(recipe, cancels)| (recipe, *cancels)).collect(),
            missing,
            runs,
            approvals: approvals_of(&self.cache, object, pull.number),
            why: allowed.why.clone(),
        };
        let plan = match found {
            Found::Command(command) => scene.plan(command),
            Found::Wrong { message, is_our_word } => scene.correct(message, *is_our_word),
            Found::Nothing => Err(Fate::Silent),
        };
        Ok(match plan {
            Ok(work) => Judged::Work(Box::new(work)),
            Err(fate) => Judged::Dealt(fate),
        })
    }
}

const NO_PULL_REQUEST: &str = "Commands count under pull requests only.";

/// Returns why a comment is no command, whoever wrote it. `None`: it may be one.
fn refusal(found: &Found, comment: &Comment, has_no_triggers: bool) -> Option<Fate> {
    let ignored = |reason, message: &str| Some(Fate::Ignored(reason, message.to_owned()));
    if *found == Found::Nothing {
        return ignored(reason::NOT_A_COMMAND, "There is no command in it.");
    }
    if has_no_triggers {
        return ignored(reason::NOT_ENROLLED, "The Repository has no trigger on Comment: add one to spec.triggers.");
    }
    if comment.pull_request.is_none() {
        return ignored(reason::NOT_A_COMMAND, NO_PULL_REQUEST);
    }
    if comment.updated_at.duration_since(comment.created_at) > EDIT_TOLERANCE {
        // Whoever administers a repository can change what others wrote.
        return ignored(reason::EDITED, "It was edited. Commands count as they were first written: comment anew.");
    }
    if is_nobody(&comment.author) {
        return Some(Fate::Rejected("Accounts that nobody logs in to give no commands.".to_owned()));
    }
    None
}
