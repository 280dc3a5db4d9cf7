//! Whose fault a failure is: the recipe's, or ours. Pure: one table from reasons to blame.
//!
//! A failed check says something about the recipe and makes its rung Fail. Our own trouble says nothing about the
//! recipe and leaves the rung Unverified; a run with such a rung ends as Error and can be run again.

#[cfg(test)]
mod tests;

use api_types::condition::{self, Condition, ConditionStatus, ConditionType, STALLED};
use api_types::kinds::app::AppStatus;
use api_types::kinds::test_run::RungStatus;
use api_types::reason;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// What is tested is not good.
    Recipe,
    /// The machine, the engine, the network or this program failed; nothing is known about the recipe.
    Ours,
    /// Nobody failed: something was not asked for, is not there, or came after something that failed.
    Nobody,
}

impl Blame {
    /// Returns what a failure of this kind makes of its rung.
    #[must_use]
    pub fn rung_status(self) -> RungStatus {
        match self {
            Self::Recipe => RungStatus::Fail,
            Self::Ours | Self::Nobody => RungStatus::Unverified,
        }
    }
}

/// What an App's failing reason means while its TestRun waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The engine already knows that it will not heal: the stage ends at once.
    Final,
    /// It may heal by itself: it counts only when the time for it is over.
    Passing,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The reason.
    pub reason: &'static str,
    /// Whose fault it is.
    pub blame: Blame,
    /// Whether it is final.
    pub weight: Weight,
    /// What it means, for the documentation.
    pub meaning: &'static str,
}

const fn row(reason: &'static str, blame: Blame, weight: Weight, meaning: &'static str) -> Row {
    Row { reason, blame, weight, meaning }
}

/// Every reason of an App that a run has to weigh.
pub const APP_REASONS: &[Row] = {
    use Blame::{Ours, Recipe};
    use Weight::{Final, Passing};
    &[
        row("Vanished", Ours, Final, "somebody removed a service of the stack while it was being tested"),
        row("RolledBack", Recipe, Final, "a new task failed and the swarm brought the old spec back"),
        row("Superseded", Ours, Final, "somebody else changed a service while it was being tested"),
        row("Paused", Recipe, Final, "a new task failed and the swarm stopped the update"),
        row("ImageNotFound", Recipe, Final, "an image does not exist, or may not be pulled"),
        row("MountFailed", Recipe, Final, "a path that a service mounts does not exist"),
        row("Rejected", Recipe, Final, "the engine refused to start a task"),
        row("CrashLoop", Recipe, Final, "a container exits again and again"),
        row("Unhealthy", Recipe, Final, "a container's own health check fails"),
        row("OutOfMemory", Recipe, Final, "a container was killed for want of memory"),
        row(
            "Unschedulable",
            Recipe,
            Final,
            "no node can take a task: a host port that is taken, resources, constraints",
        ),
        row("AllocatorStuck", Ours, Final, "the swarm has no addresses left, or has lost its way"),
        row("PullTimeout", Ours, Final, "an image did not arrive in time"),
        row("ProgressDeadlineExceeded", Recipe, Final, "the stack did not converge in time"),
        row("HttpStatus", Recipe, Passing, "the domain answers with a status that is not accepted"),
        row("TlsInvalid", Ours, Passing, "the proxy presents a certificate that is not good for the domain"),
        row("ProxyDown", Ours, Passing, "the proxy does not answer"),
        row(
            "RouterMissing",
            Recipe,
            Passing,
            "the proxy does not know the domain: the recipe's labels do not reach it",
        ),
        row("BackendDown", Recipe, Passing, "the proxy knows the domain, but the app does not answer it"),
        row("ProbeFailed", Recipe, Passing, "a further probe of the recipe fails"),
        row("PolicyRefused", Recipe, Final, "the compose file asks for what the run's trust does not allow"),
        row(reason::POLICY_VIOLATION, Recipe, Final, "the compose file asks for what the run's trust does not allow"),
        row("ComposeInvalid", Recipe, Final, "the compose file cannot be read"),
        row(reason::SECRET_MISSING, Recipe, Final, "a secret must be inserted by hand, and a run has nobody to do so"),
        row("ConfigChangedWithoutVersion", Recipe, Final, "a config's content changed, but its version did not"),
        row(reason::NAME_TOO_LONG, Recipe, Final, "a secret or config name would pass 64 characters"),
        row(reason::DEPLOY_FAILED, Recipe, Final, "the swarm or abra refused the stack"),
        row(reason::SPEC_NOT_KEPT, Ours, Final, "the engine has a field otherwise each time after it was updated"),
        row(reason::DOMAIN_TAKEN, Ours, Passing, "another App has the run's domain"),
        row(reason::STACK_NOT_OURS, Ours, Final, "a stack of the same name was deployed by somebody else"),
        row(reason::NO_HOST, Ours, Passing, "no Host has an engine that manages a swarm"),
        row(reason::FETCH_FAILED, Ours, Passing, "the source cannot be fetched"),
        row(reason::COMMIT_NOT_FOUND, Ours, Final, "the commit is no longer there"),
    ]
};

/// The reasons that a rung of a run itself gives.
const RUN_REASONS: &[(&str, Blame)] = &[
    (reason::NOTHING_UPGRADED, Blame::Recipe),
    (reason::SAME_VERSION, Blame::Recipe),
    (reason::HEAD_NOT_RUNNING, Blame::Recipe),
    (reason::CHECKS_FAILED, Blame::Recipe),
    (reason::DATA_LOST, Blame::Recipe),
    (reason::EMPTY_BACKUP, Blame::Recipe),
    (reason::HOOK_FAILED, Blame::Recipe),
    (reason::SEED_FAILED, Blame::Recipe),
    (reason::LINT_FAILED, Blame::Recipe),
    // The canaries of an enrolment: nothing is wrong with the recipe, and nothing with the machine.
    (reason::NO_CHECKS, Blame::Nobody),
    (reason::NOT_BACKUP_CAPABLE, Blame::Nobody),
    (reason::NOT_SELECTED, Blame::Nobody),
    (reason::NOT_REACHED, Blame::Nobody),
    (reason::NO_OLDER_VERSION, Blame::Nobody),
    (reason::BASE_NOT_FOUND, Blame::Nobody),
    (reason::NOT_DESTROYED, Blame::Nobody),
    (reason::CHECKS_PASSED, Blame::Nobody),
    (reason::EXPECTED_SKIP, Blame::Nobody),
    (reason::BACKUP_DECLARED_OFF, Blame::Nobody),
];

/// Returns whose fault a reason is. What nobody has classified is ours: it must not be held against a recipe.
#[must_use]
pub fn blame_of(reason: &str) -> Blame {
    let of_app = APP_REASONS.iter().find(|row| row.reason == reason).map(|row| row.blame);
    let of_run = || RUN_REASONS.iter().find(|(known, _)| *known == reason).map(|(_, blame)| *blame);
    of_app.or_else(of_run).unwrap_or(Blame::Ours)
}

/// What an App's conditions say to somebody who waits for it to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppView {
    /// It serves, and what it says is about the newest spec.
    Serves,
    /// It is on its way.
    Waiting(String),
    /// It does not serve yet, for a reason that may pass.
    Troubled(Trouble),
    /// It will not serve.
    Failed(Trouble),
}

/// What is wrong with an App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// For programs.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// The conditions of an App in the order in which they come about.
const APP_ORDER: [ConditionType; 5] = [
    ConditionType::Configured,
    ConditionType::Deployed,
    ConditionType::Converged,
    ConditionType::Healthy,
    ConditionType::Reachable,
];

/// Reads an App's status as of `generation` of its spec.
#[must_use]
pub fn view(generation: i64, status: &AppStatus) -> AppView {
    let is_current = |condition: &&Condition| condition.observed_generation.is_none_or(|seen| seen >= generation);
    let find = |type_: &str| condition::find(&status.conditions, type_).filter(is_current);
    if status.observed_generation < generation {
        return AppView::Waiting("The app's new spec has not been looked at yet.".to_owned());
    }
    if let Some(stalled) = find(STALLED).filter(|condition| condition.status == ConditionStatus::True) {
        return AppView::Failed(trouble(stalled));
    }
    if find(ConditionType::Ready.word()).is_some_and(|ready| ready.status == ConditionStatus::True) {
        return AppView::Serves;
    }
    let failing = APP_ORDER
        .into_iter()
        .filter_map(|type_| find(type_.word()))
        .chain(find(ConditionType::Ready.word()))
        .find(|condition| condition.status == ConditionStatus::False && weight(&condition.reason).is_some());
    if let Some(failing) = failing {
        return match weight(&failing.reason) {
            Some(Weight::Final) => AppView::Failed(trouble(failing)),
            _ => AppView::Troubled(trouble(failing)),
        };
    }
    let ready = find(ConditionType::Ready.word());
    AppView::Waiting(ready.map_or_else(|| "The app is being deployed.".to_owned(), |ready| ready.message.clone()))
}

fn weight(reason: &str) -> Option<Weight> {
    APP_REASONS.iter().find(|row| row.reason == reason).map(|row| row.weight)
}

fn trouble(condition: &Condition) -> Trouble {
    Trouble { reason: condition.reason.clone(), message: condition.message.clone() }
}
