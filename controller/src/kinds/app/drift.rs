//! What follows when somebody changed what runs: it is put right, or reported and left alone, as `driftPolicy` says. Pure.
//!
//! ```text
//!   Heal    ─► Drifted, event ─► what is missing or differs is handed over again ─► Converged
//!   Report  ─► Drifted, event with what would be done; Converged is False ─► the spec, or what should run, changes ─► a deploy
//! ```

use api_types::condition::{self, ConditionStatus, ConditionType};
use api_types::kind::Object;
use api_types::kinds::app::{App, AppStatus, DriftPolicy};
use api_types::kinds::app_upgrade::AppUpgrade;
use api_types::reason;
use jiff::Timestamp;

use super::act::Action;
use super::converge::{Judgement, Reason};
use super::decide::{Decided, HANDING_OVER, MOVING_POLL_MIN, REFUSED_POLL, STEADY_POLL, finish, refuse, set};
use super::deployer::{Effect, Refusal};
use super::observe::Swarm;
use super::prepare::Prepared;
use super::upgrade::after::Told;
use crate::runtime::events::seconds;
use crate::runtime::reconciler::{Decision, Next};

/// Most steps that are named; the rest is counted.
const STEPS_MAX: usize = 8;

/// Somebody changed what runs.
pub(super) fn meet(
    app: &Object<App>,
    status: AppStatus,
    prepared: &Prepared,
    swarm: &Swarm,
    worst: &Judgement,
    now: Timestamp,
) -> Decided {
    let is_by_hand = |judgement: &Judgement| matches!(judgement.reason, Reason::Superseded | Reason::Vanished);
    // What is half-way to another version is no state that anybody can have meant.
    let is_between = status.upgrade.as_ref().is_some_and(AppUpgrade::is_under_way);
    match app.spec.drift_policy {
        DriftPolicy::Report if !is_between && swarm.judgements.iter().any(is_by_hand) => {
            report(app, status, prepared, swarm, worst)
        }
        _ => repair(status, prepared, swarm, worst, now),
    }
}

/// It stays as somebody wanted it, and everybody can see that.
fn report(app: &Object<App>, mut status: AppStatus, prepared: &Prepared, swarm: &Swarm, worst: &Judgement) -> Decided {
    let steps = match &swarm.missing {
        Ok(effects) if effects.is_empty() => String::new(),
        Ok(effects) => format!(" It would take: {}.", steps(effects, prepared)),
        Err(Refusal { message, .. }) => format!(" It could not be put right as it is: {message}"),
    };
    let text = format!(
        "{} It is left as it is, as spec.driftPolicy says.{steps} To have it put right: ccctl patch app/{} --type=merge -p \
         '{{\"spec\":{{\"driftPolicy\":\"Heal\"}}}}'",
        worst.message, app.metadata.name
    );
    let drifted = ConditionType::Drifted;
    set(&mut status, drifted, ConditionStatus::True, reason::DRIFTED, &text);
    set(&mut status, ConditionType::Converged, ConditionStatus::False, worst.reason.word(), &text);
    let known = condition::find(&app.status.conditions, drifted.word());
    let is_known = known.is_some_and(|known| known.status == ConditionStatus::True && known.message == text);
    if is_known {
        return Decision::wait(finish(status), Next::After(STEADY_POLL));
    }
    let told = Told { is_warning: true, reason: reason::DRIFTED, message: text };
    Decision::act(finish(status), Action::Tell(told))
}

/// It is put right.
fn repair(mut status: AppStatus, prepared: &Prepared, swarm: &Swarm, worst: &Judgement, now: Timestamp) -> Decided {
    let text = format!("{} It is being put right.", worst.message);
    set(&mut status, ConditionType::Drifted, ConditionStatus::True, reason::DRIFTED, &text);
    set(&mut status, ConditionType::Converged, ConditionStatus::Unknown, worst.reason.word(), &text);
    let effects: &[Effect] = match &swarm.missing {
        Err(refusal) => {
            refuse(&mut status, ConditionType::Deployed, refusal);
            return Decision::wait(finish(status), Next::After(REFUSED_POLL));
        }
        Ok(effects) => effects,
    };
    if let Some(wait) = swarm.settles_for {
        return Decision::wait(finish(status), Next::After(wait));
    }
    // Whoever deploys against us again and again gets no storm of restarts.
    if let Some(wait) = swarm.rests_for {
        return Decision::wait(finish(status), Next::After(wait));
    }
    if effects.is_empty()
        && let Some(wait) = swarm.held_for
    {
        return Decision::wait(finish(status), Next::After(wait));
    }
    status.deployed_at = Some(seconds(now));
    if effects.is_empty() {
        return Decision::wait(finish(status), Next::After(MOVING_POLL_MIN));
    }
    let handing_over = format!("{HANDING_OVER} {} steps are left.", effects.len());
    set(&mut status, ConditionType::Deployed, ConditionStatus::Unknown, reason::DEPLOYING, &handing_over);
    let told = format!("{} It is put right: {}.", worst.message, steps(effects, prepared));
    Decision::act(finish(status), Action::Repair(effects.to_vec(), told))
}

/// Returns effects in words, in their order.
fn steps(effects: &[Effect], prepared: &Prepared) -> String {
    let named: Vec<String> = effects.iter().take(STEPS_MAX).map(|effect| step(effect, prepared)).collect();
    let more = match effects.len().saturating_sub(STEPS_MAX) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

fn step(effect: &Effect, prepared: &Prepared) -> String {
    let stack = &prepared.wanted.stack;
    match effect {
        Effect::CreateNetwork(key) => {
            let name = stack.networks.iter().find(|network| network.key == *key).map_or(key, |network| &network.name);
            format!("create network {name}")
        }
        Effect::CreateSecret(name) => format!("create secret {name}"),
        Effect::CreateConfig(key) => {
            let name = stack.configs.iter().find(|config| config.key == *key).map_or(key, |config| &config.name);
            format!("create config {name}")
        }
        Effect::DeployByAbra(domain) => format!("deploy {domain} by abra"),
        Effect::CreateService(spec) => format!("create service {}", spec.name),
        Effect::UpdateService { spec, .. } => format!("update service {}", spec.name),
        Effect::RemoveService(_, name) => format!("remove service {name}"),
        Effect::RemoveConfig(_, name) => format!("remove config {name}"),
        Effect::RemoveSecret(_, name) => format!("remove secret {name}"),
    }
}
