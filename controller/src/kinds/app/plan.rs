//! What converging an App would do, found out without doing any of it.
//!
//! The very functions decide that decide when it is done: the choice of the version, the reading and judging of the stack,
//! whose the stack is, and what is missing of it. Only what they rest on differs: the recipe is read out of the mirror
//! instead of a checkout, and secrets that would be made are taken for made.

use api_types::kind::Object;
use api_types::kinds::app::App;
use api_types::plan::{AppPlanStatus, PlannedCall, PlannedVerb};
use ports::swarm::Filter;

use super::dependencies::{self, Dependencies};
use super::deployer::compare::differences;
use super::deployer::swarm::Native;
use super::deployer::{Deploys as _, Effect, Live, Prune, Refusal, SecretValue, Wanted};
use super::observe::{Claim, live, secrets_to_make};
use super::{Apps, generated, images, place, prepare, rotation, stack_name, teardown, upgrade};
use crate::runtime::outcome::Failure;

/// Returns one thing that would be done.
fn planned(verb: PlannedVerb, kind: &str, name: &str) -> PlannedCall {
    // A value that was never given has no version yet.
    let name = name.replace(generated::VERSION_TO_COME, "…");
    PlannedCall { verb, kind: kind.to_owned(), name, changes: Vec::new() }
}

impl Apps {
    /// Returns what converging an App would do as far as that can be told.
    ///
    /// # Errors
    /// As [`look`](Self::look): what may pass, and what the App waits for.
    pub(crate) async fn plan(&self, app: &Object<App>) -> Result<AppPlanStatus, Failure> {
        let stack = stack_name(&app.spec.domain);
        self.check_domain(app, &stack)?;
        let host = place::choose(&self.cache, app)?;
        let kept = self.kept(app)?;
        let mut inputs = self.inputs(app, &stack)?;
        inputs.rotations = rotation::steps_to_come(app, &kept);
        let application = inputs.foresee_application(app);
        let mut plan = AppPlanStatus { stack: stack.clone(), host: host.name.clone(), ..AppPlanStatus::default() };
        let prepared = match prepare::foresee(&inputs, &self.outside).await? {
            Ok(prepared) => prepared,
            Err(refusal) => return Ok(refused(plan, refusal)),
        };
        let mut first: Vec<PlannedCall> = Vec::new();
        first.extend(application.map(|name| planned(PlannedVerb::Create, "oauth application", &name)));
        plan.version.clone_from(&prepared.identity.version);
        plan.commit.clone_from(&prepared.identity.commit);
        plan.available_version.clone_from(&prepared.available_version);
        let engine = self.outside.engines.connect(&host.engine)?;
        let services = engine.services(&Filter::stack(&stack)).await?;
        let services = match self.claim(app, &stack, &services, &*engine).await? {
            Claim::Ours | Claim::Ending => services,
            Claim::Foreign(refusal) => return Ok(refused(plan, refusal)),
            Claim::Leftovers(leaving) => {
                let names = teardown::remaining(&leaving.inventory, leaving.scope);
                first.extend(names.iter().map(|name| removal(name)));
                Vec::new()
            }
        };
        if prepared.takes_snapshot
            && app.status.deployed_version.is_some()
            && app.status.deployed_version != prepared.version
        {
            let volumes = engine.volumes(&Filter::name_prefix(&format!("{stack}_"))).await?;
            let own = upgrade::own_volumes(&stack, &services, &volumes);
            first.extend(own.iter().map(|volume| planned(PlannedVerb::Copy, "volume", &volume.name)));
        }
        let pulls = images::to_settle(&prepared, &services).into_iter();
        first.extend(pulls.map(|image| planned(PlannedVerb::Pull, "image", image)));
        let live = live(services, &*engine).await?;
        let mut wanted = prepared.wanted.clone();
        wanted.retired = rotation::retired(&kept.history, &prepared);
        wanted.secrets.extend(kept.values);
        for name in secrets_to_make(&prepared, &wanted, &live) {
            first.push(planned(PlannedVerb::Generate, "secret", &name));
            wanted.secrets.insert(name, SecretValue(Vec::new()));
        }
        let (word, deployer) = match self.deployer(app, &prepared, &host.engine) {
            Ok(deployer) => deployer,
            Err(refusal) => return Ok(refused(plan, refusal)),
        };
        plan.deployer = Some(word);
        let missing = match deployer.missing(&wanted, &live) {
            Ok(missing) => missing,
            Err(refusal) => return Ok(refused(plan, refusal)),
        };
        let prune = if app.spec.prune_dropped { Prune::Services } else { Prune::Nothing };
        let effects: Vec<Effect> = missing.into_iter().chain(Native.surplus(&wanted, &live, prune)).collect();
        plan.calls = first.into_iter().chain(calls(&effects, &wanted, &live)).collect();
        if let Dependencies::Waiting(text) = dependencies::look(&self.cache, app)
            && !plan.calls.is_empty()
        {
            plan.message = text;
        }
        if app.spec.suspend && !plan.calls.is_empty() {
            plan.message = format!("It is suspended: nothing is done before ccctl resume app/{}.", app.metadata.name);
        }
        Ok(plan)
    }
}

fn refused(plan: AppPlanStatus, refusal: Refusal) -> AppPlanStatus {
    AppPlanStatus { reason: refusal.reason.to_owned(), message: refusal.message, ..plan }
}

/// Returns the call that removes what a teardown names as `kind/name`.
fn removal(remaining: &str) -> PlannedCall {
    let (kind, name) = remaining.split_once('/').unwrap_or(("", remaining));
    let kinds = ["service", "task", "container", "network", "config", "secret", "volume", "files"];
    let kind = kinds.into_iter().find(|known| *known == kind).unwrap_or("thing");
    planned(PlannedVerb::Remove, kind, name)
}

/// Returns effects in words. Pure.
fn calls(effects: &[Effect], wanted: &Wanted, live: &Live) -> Vec<PlannedCall> {
    effects.iter().map(|effect| call(effect, wanted, live)).collect()
}

fn call(effect: &Effect, wanted: &Wanted, live: &Live) -> PlannedCall {
    let stack = &wanted.stack;
    match effect {
        Effect::CreateNetwork(key) => {
            let network = stack.networks.iter().find(|network| &network.key == key);
            planned(PlannedVerb::Create, "network", network.map_or(key, |network| &network.name))
        }
        Effect::CreateSecret(name) => planned(PlannedVerb::Create, "secret", name),
        Effect::CreateConfig(key) => {
            let config = stack.configs.iter().find(|config| &config.key == key);
            planned(PlannedVerb::Create, "config", config.map_or(key, |config| &config.name))
        }
        Effect::CreateService(spec) => {
            let image = format!("image {}", spec.task_template.container_spec.image);
            PlannedCall { changes: vec![image], ..planned(PlannedVerb::Create, "service", &spec.name) }
        }
        Effect::UpdateService { spec, .. } => {
            let present = live.service(&spec.name);
            let mut changes =
                present.map(|present| differences(spec, &present.spec, &live.network_names())).unwrap_or_default();
            if changes.is_empty() {
                changes.push("labels".to_owned());
            }
            let changes = changes.into_iter().map(|text| text.replace(generated::VERSION_TO_COME, "…")).collect();
            PlannedCall { changes, ..planned(PlannedVerb::Update, "service", &spec.name) }
        }
        Effect::DeployByAbra(domain) => {
            // What abra makes of it is what the engine would be told.
            let native = Native.missing(wanted, live).unwrap_or_default();
            let words = native.iter().map(|effect| format!("{effect:?}")).collect();
            PlannedCall { changes: words, ..planned(PlannedVerb::Deploy, "app", domain) }
        }
        Effect::RemoveService(_, name) => planned(PlannedVerb::Remove, "service", name),
        Effect::RemoveConfig(_, name) => planned(PlannedVerb::Remove, "config", name),
        Effect::RemoveSecret(_, name) => planned(PlannedVerb::Remove, "secret", name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_teardown_names_is_removed() {
        for (remaining, kind, name) in
            [("volume/x_data", "volume", "x_data"), ("zork/a", "thing", "a"), ("b", "thing", "b")]
        {
            assert_eq!(removal(remaining), planned(PlannedVerb::Remove, kind, name), "{remaining}");
        }
    }

    #[test]
    fn a_version_that_does_not_exist_yet_is_not_shown() {
        let name = format!("x_pass_{}", generated::VERSION_TO_COME);
        assert_eq!(planned(PlannedVerb::Create, "secret", &name).name, "x_pass_…");
    }
}
