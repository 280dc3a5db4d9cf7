//! One pass over one object: load → observe → decide → write status → act.
//!
//! Whatever goes wrong in it, a time-out and a panic included, comes out as a [`Failure`], is logged once, here, and
//! means what [`outcome`](super::outcome) says.

pub mod status;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use api_types::status::{Reason, Status};
use futures::FutureExt as _;
use ports::error::ErrorKind;
use serde_json::Value;
use tokio::time::Instant;

use super::controller::Controller;
use super::erased::Plan;
use super::events::EventKind;
use super::guards::Guard;
use super::objects::StoredObject;
use super::outcome::{Failure, PassResult, TIMED_OUT, outcome, sentence};
use super::queue::{Rest, Taken};
use super::reconciler::Next;
use status::Aspect;

/// Attempts to write a status or a finalizer while others write the same object.
const WRITE_ATTEMPTS: u32 = 8;

/// How a pass ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When the key runs again.
    pub rest: Rest,
    /// The metric's label.
    pub result: PassResult,
}

impl Ended {
    fn ok(rest: Rest) -> Self {
        let result = if rest == Rest::OnChange || rest == Rest::Gone { PassResult::Ok } else { PassResult::Requeue };
        Self { rest, result }
    }
}

impl Controller {
    /// Runs one pass for a key that was taken from the queue, and gives the key back.
    pub(crate) async fn run_pass(self: &Arc<Self>, taken: Taken) {
        let controller = &*self.facts().controller;
        let began = Instant::now();
        self.metrics.pass_began(taken.waited, taken.failures);
        let sequence = self.cache.sequence();
        let ended = match self.attempt(&taken).await {
            Ok(ended) => {
                self.set_waiting(&taken.key, Vec::new());
                ended
            }
            Err(failure) => self.settle(&taken, &failure, sequence).await,
        };
        let took = began.elapsed();
        self.metrics.pass_ended(ended.result, took);
        tracing::debug!(
            controller,
            key = &*taken.key,
            result = ended.result.word(),
            took_ms = took.as_millis(),
            "pass"
        );
        self.note_pass(&taken.key, &ended, took);
        self.queue.finish(&taken, ended.rest);
    }

    /// One pass, with everything that can go wrong caught.
    async fn attempt(&self, taken: &Taken) -> Result<Ended, Failure> {
        let limit = self.options.pass_time_limit;
        // Boxed: what a kind's functions keep across their awaits is large, and would be moved at every step from here.
        let pass = Box::pin(async {
            if self.guards.has(Guard::PassTimeLimit) {
                match tokio::time::timeout(limit, self.pass(taken)).await {
                    Ok(ended) => ended,
                    Err(_) => Err(timed_out(limit)),
                }
            } else {
                self.pass(taken).await
            }
        });
        if !self.guards.has(Guard::CatchPanics) {
            return pass.await;
        }
        match AssertUnwindSafe(pass).catch_unwind().await {
            Ok(ended) => ended,
            Err(panic) => Err(Failure::bug(format!("the reconciler panicked: {}", panic_text(&*panic)))),
        }
    }

    async fn pass(&self, taken: &Taken) -> Result<Ended, Failure> {
        let facts = self.facts();
        let Some(object) = self.cache.get(&self.key(&taken.key)) else {
            self.forget(&taken.key);
            return Ok(Ended::ok(Rest::Gone));
        };
        if object.is_being_deleted() {
            // Ours is done, or there never was anything to do; others are still cleaning up.
            if facts.finalizer.is_some_and(|finalizer| !has_finalizer(&object, finalizer)) {
                return Ok(Ended::ok(Rest::OnChange));
            }
        } else if object.is_suspended() {
            self.write_status(&object, &Aspect::Suspended).await?;
            return Ok(Ended::ok(Rest::OnChange));
        }
        let plan = self.reconciler.plan(&object, self.clock.now()).await?;
        self.carry_out(object, plan).await
    }

    async fn carry_out(&self, object: Arc<StoredObject>, plan: Plan) -> Result<Ended, Failure> {
        let facts = self.facts();
        self.fence.check()?;
        let progressing = plan.action.is_some() || plan.next == Next::Now;
        let aspect = Aspect::Decided { status: &plan.status, progressing };
        let mut object = self.write_status(&object, &aspect).await?;
        if plan.next == Next::Finalized {
            return self.finalized(&object, plan).await;
        }
        if let Some(action) = plan.action {
            let wants_finalizer = facts.finalizer.filter(|finalizer| !has_finalizer(&object, finalizer));
            if let Some(finalizer) = wants_finalizer
                && self.guards.has(Guard::FinalizerFirst)
            {
                object = self.put_finalizer(&object, finalizer).await?;
            }
            self.fence.check()?;
            tracing::debug!(controller = &*facts.controller, object = %object.key, action = action.name, "acting");
            action.run.await?;
        }
        Ok(Ended::ok(match plan.next {
            Next::Now => Rest::Now,
            Next::After(delay) => Rest::After(delay),
            Next::OnChange | Next::Finalized => Rest::OnChange,
        }))
    }

    async fn finalized(&self, object: &Arc<StoredObject>, plan: Plan) -> Result<Ended, Failure> {
        if plan.action.is_some() {
            return Err(Failure::bug("the decision is to be finished with the clean-up and to do something"));
        }
        if !object.is_being_deleted() {
            return Err(Failure::bug("the decision is to be finished with the clean-up of an object that stays"));
        }
        if let Some(finalizer) = self.facts().finalizer {
            self.remove_finalizer(object, finalizer).await?;
        }
        Ok(Ended::ok(Rest::OnChange))
    }

    /// Turns a failure into conditions, an event, a line of log and a rest.
    async fn settle(&self, taken: &Taken, failure: &Failure, sequence: u64) -> Ended {
        let controller = &*self.facts().controller;
        let outcome = outcome(failure);
        let failures = taken.failures + 1;
        let ended = Ended { rest: outcome.rest, result: outcome.result };
        if failure.quiet {
            tracing::debug!(controller, key = &*taken.key, reason = failure.reason, error = failure.message, "again");
            return ended;
        }
        log(controller, &taken.key, failure, failures);
        if let Some(object) = self.cache.get(&self.key(&taken.key)) {
            self.recorder.record(controller, &object, outcome.event, &failure.reason, &sentence(&failure.message));
            let aspect = Aspect::Failed { failure, failures };
            let limit = self.options.pass_time_limit;
            let written = tokio::time::timeout(limit, self.write_status(&object, &aspect)).await;
            if let Ok(Err(error)) = written {
                tracing::debug!(
                    controller,
                    key = &*taken.key,
                    error = error.message,
                    "the failure is not in the status"
                );
            }
        }
        self.set_waiting(&taken.key, failure.waits_for.clone());
        // What is waited for may have come while the pass was still thinking that it had not.
        if self.cache.any_changed_since(&failure.waits_for, sequence) {
            return Ended { rest: Rest::Now, ..ended };
        }
        ended
    }

    /// Writes the status if it differs, again on the newest object when somebody else was faster, and returns the
    /// object as it is then.
    async fn write_status(
        &self,
        object: &Arc<StoredObject>,
        aspect: &Aspect<'_>,
    ) -> Result<Arc<StoredObject>, Failure> {
        let mut object = object.clone();
        for _ in 0..WRITE_ATTEMPTS {
            let now = self.clock.now();
            let status = status::compose(self.facts(), &object, aspect, now);
            if status == object.value["status"] || (status.is_null() && object.value.get("status").is_none()) {
                return Ok(object);
            }
            self.fence.check()?;
            match self.objects.update_status(&object, status).await {
                Ok(written) => {
                    self.cache.put_own_write(&written);
                    self.record_transition(&object, &written);
                    return Ok(written);
                }
                Err(error) => object = self.after_lost_race(&object, error).await?,
            }
        }
        Err(Failure::outdated("the object is being changed too quickly"))
    }

    /// Returns the newest version to try again with, unless the decision no longer fits it.
    async fn after_lost_race(&self, object: &StoredObject, error: Status) -> Result<Arc<StoredObject>, Failure> {
        match error.reason {
            Some(Reason::Conflict) if self.guards.has(Guard::StatusConflictRetry) => {}
            Some(Reason::NotFound) => return Err(Failure::outdated("the object is gone")),
            _ => return Err(error.into()),
        }
        let newest = match self.objects.get(&object.key).await {
            Ok(newest) => newest,
            Err(status) if status.reason == Some(Reason::NotFound) => {
                return Err(Failure::outdated("the object is gone"));
            }
            Err(status) => return Err(status.into()),
        };
        self.cache.put_own_write(&newest);
        if newest.metadata.uid != object.metadata.uid
            || newest.metadata.generation != object.metadata.generation
            || newest.is_being_deleted() != object.is_being_deleted()
        {
            return Err(Failure::outdated("the object was changed during the pass"));
        }
        Ok(newest)
    }

    async fn put_finalizer(&self, object: &Arc<StoredObject>, finalizer: &str) -> Result<Arc<StoredObject>, Failure> {
        self.change_finalizers(object, |finalizers| finalizers.push(Value::from(finalizer))).await
    }

    async fn remove_finalizer(&self, object: &Arc<StoredObject>, finalizer: &str) -> Result<(), Failure> {
        match self.change_finalizers(object, |finalizers| finalizers.retain(|found| found != finalizer)).await {
            Err(failure) if failure.reason == "StoreNotFound" => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Changes the finalizers of exactly this version: if somebody was faster, the next pass decides again.
    async fn change_finalizers(
        &self,
        object: &Arc<StoredObject>,
        change: impl FnOnce(&mut Vec<Value>),
    ) -> Result<Arc<StoredObject>, Failure> {
        self.fence.check()?;
        let mut value = object.value.clone();
        let mut finalizers = value["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        change(&mut finalizers);
        value["metadata"]["finalizers"] = Value::Array(finalizers);
        match self.objects.update(&object.key, value).await {
            Ok(written) => {
                self.cache.put_own_write(&written);
                Ok(written)
            }
            Err(status) if status.reason == Some(Reason::Conflict) => {
                if let Ok(newest) = self.objects.get(&object.key).await {
                    self.cache.put_own_write(&newest);
                }
                Err(Failure::outdated("the object was changed during the pass"))
            }
            Err(status) => Err(status.into()),
        }
    }

    /// Records an event when the summary changes from one known state to another.
    fn record_transition(&self, before: &StoredObject, after: &StoredObject) {
        let facts = self.facts();
        let found = status::find_condition(before, facts.summary).zip(status::find_condition(after, facts.summary));
        let Some((old, new)) = found else { return };
        let word = new["status"].as_str().unwrap_or_default();
        if old["status"] == word || word == "Unknown" {
            return;
        }
        let kind = if word == "True" { EventKind::Normal } else { EventKind::Warning };
        let text = |name: &str| new[name].as_str().unwrap_or_default();
        self.recorder.record(&facts.controller, after, kind, text("reason"), text("message"));
    }
}

fn has_finalizer(object: &StoredObject, finalizer: &str) -> bool {
    object.metadata.finalizers.iter().any(|found| found == finalizer)
}

fn timed_out(limit: Duration) -> Failure {
    Failure::retryable(TIMED_OUT, format!("the pass took longer than {} s and was cut off", limit.as_secs_f64()))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

fn log(controller: &str, key: &str, failure: &Failure, failures: u32) {
    let (reason, error) = (&*failure.reason, &*failure.message);
    match failure.kind {
        ErrorKind::Retryable => tracing::warn!(controller, key, reason, error, failures, "failed, trying again"),
        ErrorKind::Blocked => tracing::info!(controller, key, reason, error, "waiting"),
        ErrorKind::Terminal => tracing::error!(controller, key, reason, error, "stalled: a person must act"),
        ErrorKind::Bug => tracing::error!(controller, key, reason, error, "stalled: this is a bug in ccd"),
    }
}
