//! The Apps of a run: what it tests, and what that needs beside it. Pure.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use api_types::kind::Object;
use api_types::kinds::app::{App, AppRecipe, AppSpec, VolumePolicy};
use api_types::kinds::identity::Identity;
use api_types::kinds::overlay::{Overlay, OverlayType};
use api_types::kinds::recipe::{Dependency, Recipe, RecipeSpec};
use api_types::kinds::test_run::TestRun;
use api_types::meta::OwnerReference;

use super::domain;
use super::work::Side;
use crate::runtime::objects::StoredObject;

/// Returns the spec of the app under test on one side of the upgrade.
#[must_use]
pub fn under_test(run: &Object<TestRun>, recipe: &RecipeSpec, side: Side) -> AppSpec {
    let identity = match side {
        Side::Base => run.status.base.clone(),
        Side::Head => run.status.head.clone(),
    }
    .unwrap_or_default();
    let (version, commit) = what(run, &identity, side);
    let run_domain = run.status.domain.clone().unwrap_or_default();
    AppSpec {
        recipe: AppRecipe { url: None, recipe_ref: Some(run.spec.recipe_ref.clone()) },
        version,
        commit,
        domain: run_domain.clone(),
        deployer: recipe.deployer,
        env: environment(recipe, side, &run_domain),
        overlays: overlays(recipe, side, identity.version.as_deref()),
        health: Some(recipe.health.clone()),
        probes: recipe.probes.clone(),
        prune_dropped: true,
        volumes: VolumePolicy::Delete,
        ..AppSpec::default()
    }
}

/// A published version is deployed as such, anything else by its commit.
fn what(run: &Object<TestRun>, identity: &Identity, side: Side) -> (Option<String>, Option<String>) {
    let version = match side {
        Side::Base => identity.version.clone(),
        Side::Head => run.spec.source.version.clone(),
    };
    match version {
        Some(version) => (Some(version), None),
        None => (None, identity.commit.clone()),
    }
}

/// Returns the environment of one side: what the recipe says, what its dependencies say, and for the head what only
/// the head knows.
#[must_use]
pub fn environment(recipe: &RecipeSpec, side: Side, run_domain: &str) -> BTreeMap<String, String> {
    let mut env = recipe.env.clone();
    for dependency in &recipe.dependencies {
        let at = domain::dependency_domain(run_domain, &dependency.name);
        env.extend(dependency.env.iter().map(|(name, text)| (name.clone(), expanded(text, &at))));
    }
    if side == Side::Head {
        env.extend(recipe.upgrade_env.clone());
    }
    env
}

fn expanded(text: &str, domain: &str) -> String {
    text.replace("${domain}", domain).replace("${url}", &format!("https://{domain}"))
}

/// Returns the overlays of one side: what the machine needs for both, repairs for the base versions that they name.
#[must_use]
pub fn overlays(recipe: &RecipeSpec, side: Side, version: Option<&str>) -> Vec<Overlay> {
    let applies = |overlay: &&Overlay| match overlay.type_ {
        OverlayType::Environment => true,
        OverlayType::BaseRepair => {
            side == Side::Base
                && version.is_some_and(|version| overlay.base_versions.iter().any(|named| named == version))
        }
    };
    recipe.overlays.iter().filter(applies).cloned().collect()
}

/// Returns the name of a dependency's App.
#[must_use]
pub fn dependency_name(run: &str, dependency: &str) -> String {
    format!("{run}-{dependency}")
}

/// Returns the spec of a dependency: the version that is named, else the last green one, else the latest.
#[must_use]
pub fn dependency(run: &Object<TestRun>, dependency: &Dependency, recipe: Option<&Object<Recipe>>) -> AppSpec {
    let known = |recipe: &Object<Recipe>| {
        let green = recipe.status.last_green.as_ref().map(|green| green.version.clone());
        green.or_else(|| recipe.status.latest_version.clone())
    };
    let run_domain = run.status.domain.as_deref().unwrap_or_default();
    let spec = recipe.map(|recipe| recipe.spec.clone()).unwrap_or_default();
    AppSpec {
        recipe: AppRecipe { url: None, recipe_ref: Some(dependency.recipe_ref.clone()) },
        version: dependency.version.clone().or_else(|| recipe.and_then(known)),
        domain: domain::dependency_domain(run_domain, &dependency.name),
        deployer: spec.deployer,
        env: spec.env,
        overlays: spec.overlays.into_iter().filter(|overlay| overlay.type_ == OverlayType::Environment).collect(),
        health: Some(spec.health),
        probes: spec.probes,
        prune_dropped: true,
        volumes: VolumePolicy::Delete,
        ..AppSpec::default()
    }
}

/// Returns an App as a child of its run.
#[must_use]
pub fn child(run: &Object<TestRun>, name: &str, spec: AppSpec) -> Object<App> {
    let mut app = Object::<App>::new(&run.metadata.namespace, name, spec);
    app.metadata.owner_references = vec![OwnerReference {
        api_version: run.api_version.clone(),
        kind: run.kind.clone(),
        name: run.metadata.name.clone(),
        uid: run.metadata.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }];
    app
}

/// Returns whether an object is a child of the run.
#[must_use]
pub fn is_child(run_uid: &str, object: &StoredObject) -> bool {
    object.metadata.owner_references.iter().any(|owner| owner.uid == run_uid)
}
