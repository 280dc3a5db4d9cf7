//! One folder for each kind that ccd reconciles: README with the state drawing, `observe`, `decide`, `act`, an example
//! and tests.

pub mod app;
pub mod host;
pub mod namespace;
pub mod recipe;
pub mod test_run;

use std::sync::Arc;

use crate::outside::Outside;
use crate::runtime::controller::ControllerOptions;
use crate::runtime::manager::Manager;
use crate::runtime::objects::Objects;

/// Adds every kind's reconciler to `manager`: one line each.
pub fn register(manager: &mut Manager, objects: &Arc<dyn Objects>, outside: &Outside) {
    let apps = app::Apps::new(manager, outside.clone());
    manager.register(apps, app::options());
    manager.register(namespace::Namespaces::new(objects.clone()), ControllerOptions::default());
    manager
        .register(host::Hosts::new(manager, outside.engines.clone(), outside.figures.clone()), host::Hosts::options());
    manager.register(recipe::Recipes::new(objects.clone(), outside.clone()), recipe::Recipes::options());
    let hands = Arc::new(test_run::hands::RunHands::new(outside.clone(), manager.shared().cache.clone()));
    let runs = test_run::TestRuns::new(manager.shared(), outside.operations.clone(), hands, outside.zone.clone());
    manager.register(runs, test_run::TestRuns::options());
}
