//! Does what a command comes to. Everything may be done twice: names are computed, and answers are looked for first.

use api_types::kind::{Kind as _, Object};
use api_types::kinds::approval::Approval;
use api_types::kinds::repository::Repository;
use api_types::reason;
use api_types::status::{Reason, Status};
use serde_json::Value;

use super::decide::Fate;
use super::work::{Deed, TAKEN, Work};
use super::{Repositories, names, runs_resource};
use crate::kinds::forge::connection::{self, RepositoryConnection, is_own};
use crate::runtime::objects::ObjectKey;
use crate::runtime::objects::besides::remove;
use crate::runtime::outcome::Failure;

/// Attempts to change a run that others change as well.
const ATTEMPTS: u32 = 4;

impl Repositories {
    /// Carries a command out, and returns what is to be said about it.
    pub(super) async fn carry_out(&self, object: &Object<Repository>, work: &Work) -> Result<Fate, Failure> {
        let to = connection::connect_repository(&self.cache, &self.outside, object)?;
        let refused = match &work.deed {
            Deed::Start { runs, superseded } => self.start(runs, superseded).await?,
            Deed::Cancel(runs) => self.cancel(runs, None).await?,
            Deed::Approve(approval) => self.create(&Approval::resource(), approval).await?,
            Deed::Deny { approvals, runs } => {
                for (key, uid) in approvals {
                    remove(&*self.objects, key, uid).await?;
                }
                self.cancel(runs, None).await?
            }
            Deed::Answer { marker, text } => {
                self.answer(&to, work, marker, text).await?;
                None
            }
        };
        if let Some(problem) = refused {
            return Ok(Fate::Ignored(reason::BAD_COMMAND, problem));
        }
        if matches!(work.fate, Fate::Handled(..)) && !matches!(work.deed, Deed::Answer { .. }) {
            // A courtesy: that it failed is no reason to do the rest again.
            if let Err(error) = to.connection.forge.react(&to.repository, work.comment.id, TAKEN).await {
                tracing::debug!(repository = %to.repository, error = %error, "no reaction to a command");
            }
        }
        Ok(work.fate.clone())
    }

    async fn start(&self, runs: &[Value], superseded: &[ObjectKey]) -> Result<Option<String>, Failure> {
        for run in runs {
            if let Some(problem) = self.create(&runs_resource(), run).await? {
                return Ok(Some(problem));
            }
        }
        let newest = runs.first().and_then(|run| run["metadata"]["name"].as_str());
        self.cancel(superseded, newest).await
    }

    /// Creates an object, unless it is there. What the store refuses for good comes back as text.
    pub(super) async fn create(&self, resource: &str, value: &Value) -> Result<Option<String>, Failure> {
        match self.objects.create(resource, value.clone()).await {
            Ok(_) => Ok(None),
            Err(status) if status.reason == Some(Reason::AlreadyExists) => Ok(None),
            Err(status) if is_final(&status) => Ok(Some(format!("It was refused: {}", status.message))),
            Err(status) => Err(status.into()),
        }
    }

    async fn cancel(&self, runs: &[ObjectKey], superseded_by: Option<&str>) -> Result<Option<String>, Failure> {
        for key in runs {
            for attempt in 1..=ATTEMPTS {
                let Ok(found) = self.objects.get(key).await else { break };
                if found.value["spec"]["cancel"] == true {
                    break;
                }
                let mut value = found.value.clone();
                value["spec"]["cancel"] = Value::from(true);
                if let Some(newer) = superseded_by {
                    value["metadata"]["annotations"][names::SUPERSEDED_BY_ANNOTATION] = Value::from(newer);
                }
                match self.objects.update(key, value).await {
                    Err(status) if status.reason == Some(Reason::Conflict) && attempt < ATTEMPTS => {}
                    Err(status) if status.reason == Some(Reason::NotFound) => break,
                    other => {
                        other?;
                        break;
                    }
                }
            }
        }
        Ok(None)
    }

    async fn answer(&self, to: &RepositoryConnection, work: &Work, marker: &str, text: &str) -> Result<(), Failure> {
        let Some(number) = work.comment.pull_request else { return Ok(()) };
        let comments = to.connection.forge.comments_of(&to.repository, number).await?;
        let is_there =
            comments.iter().any(|comment| is_own(&to.connection, &comment.author) && comment.body.contains(marker));
        if !is_there {
            let text = format!("{marker}\n{}", self.outside.redactor.text(text));
            to.connection.forge.create_comment(&to.repository, number, &text).await?;
        }
        Ok(())
    }
}

fn is_final(status: &Status) -> bool {
    matches!(status.reason, Some(Reason::Invalid | Reason::BadRequest | Reason::Forbidden))
}
