//! Starts the run of a tag, a push or a time. It may be done twice: the name is computed.

use api_types::kind::{Kind as _, Object};
use api_types::kinds::recipe::Recipe;
use api_types::kinds::repository::{Repository, TriggerEvent};
use api_types::kinds::test_run::{Phase, TestRun};
use api_types::reason;
use api_types::status::Reason;
use serde_json::{Value, json};

use super::decide::Fate;
use super::happenings::Happening;
use super::{Repositories, names, runs_resource};
use crate::runtime::events::EventKind;
use crate::runtime::objects::{ObjectKey, StoredObject};
use crate::runtime::outcome::Failure;

impl Repositories {
    /// Starts the run, and returns what is to be said about it.
    pub(super) async fn begin(&self, object: &Object<Repository>, happening: &Happening) -> Result<Fate, Failure> {
        let namespace = &object.metadata.namespace;
        // From the store itself: what was applied just now is there.
        let key = ObjectKey::new(&Recipe::resource(), namespace, &happening.recipe);
        let recipe = match self.objects.get(&key).await {
            Ok(found) => Object::<Recipe>::from_value(&found.value).map_err(|error| Failure::bug(error.to_string()))?,
            Err(status) if status.reason == Some(Reason::NotFound) => {
                let message =
                    format!("The Recipe {} that the trigger names does not exist: apply it.", happening.recipe);
                return Ok(Fate::Ignored(reason::NOT_ENROLLED, message));
            }
            Err(status) => return Err(status.into()),
        };
        let name = names::happening_run_name(&object.metadata.name, happening);
        if happening.on == TriggerEvent::Schedule
            && let Some(other) = self.unfinished(object, happening, &name).await?
        {
            let message = format!("The run {other} of an earlier time is not over: this time is left out.");
            return Ok(Fate::Ignored(reason::STILL_RUNNING, message));
        }
        if let Some(problem) = self.create(&runs_resource(), &run(object, happening, &recipe, &name)).await? {
            return Ok(Fate::Ignored(reason::INVALID_SPEC, problem));
        }
        let message = format!("{} was seen: {name} tests {}.", what(happening), happening.recipe);
        if let Ok(stored) = StoredObject::new(&Repository::resource(), object.to_value()) {
            self.recorder.record("repository", &stored, EventKind::Normal, reason::ACCEPTED, &message);
        }
        Ok(Fate::Handled(reason::ACCEPTED, message))
    }

    /// Returns a run of an earlier time of the same schedule that is not over; none once this time has its own.
    async fn unfinished(
        &self,
        object: &Object<Repository>,
        happening: &Happening,
        own: &str,
    ) -> Result<Option<String>, Failure> {
        let listing = self.objects.list(&runs_resource(), Some(&object.metadata.namespace)).await?;
        let runs = listing.objects.iter().filter_map(|stored| Object::<TestRun>::from_value(&stored.value).ok());
        let is_same = |run: &Object<TestRun>| {
            let metadata = &run.metadata;
            metadata.labels.get(names::TRIGGER_LABEL).is_some_and(|word| word == names::trigger_word(happening.on))
                && metadata.annotations.get(names::TRIGGERED_BY_ANNOTATION) == Some(&happening.subject)
                && names::repository_of(run).as_ref() == Some(&object.metadata.name)
                && run.spec.recipe_ref == happening.recipe
        };
        let mut other = None;
        for run in runs.filter(is_same) {
            if run.metadata.name == own {
                return Ok(None);
            }
            if !run.status.phase.is_some_and(Phase::is_finished) {
                other = Some(run.metadata.name);
            }
        }
        Ok(other)
    }
}

fn what(happening: &Happening) -> String {
    let commit = happening.commit.as_deref().unwrap_or_default();
    let short = commit.get(..7).unwrap_or(commit);
    match happening.on {
        TriggerEvent::Tag => format!("Tag {} at {short}", happening.subject),
        TriggerEvent::Push => format!("A push of {short} to {}", happening.subject),
        TriggerEvent::Schedule | TriggerEvent::Comment => {
            format!("The time {} of the schedule {}", happening.at.strftime("%Y-%m-%d %H:%M UTC"), happening.subject)
        }
    }
}

fn run(object: &Object<Repository>, happening: &Happening, recipe: &Object<Recipe>, name: &str) -> Value {
    let source = match &happening.commit {
        Some(commit) => json!({"commit": commit}),
        // What it points to when the run begins.
        None => json!({"ref": recipe.spec.source.branch}),
    };
    json!({
        "apiVersion": TestRun::api_version(),
        "kind": TestRun::KIND,
        "metadata": {
            "name": name,
            "namespace": object.metadata.namespace,
            "labels": {(names::TRIGGER_LABEL): names::trigger_word(happening.on)},
            "annotations": {
                (names::REPOSITORY_ANNOTATION): object.metadata.name,
                (names::TRIGGERED_BY_ANNOTATION): happening.subject,
            },
            "ownerReferences": [{
                "apiVersion": Recipe::api_version(), "kind": Recipe::KIND, "name": recipe.metadata.name,
                "uid": recipe.metadata.uid, "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {"recipeRef": happening.recipe, "source": source, "lane": "Cold"},
    })
}
