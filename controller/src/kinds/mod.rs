//! One folder for each kind that ccd reconciles: README with the state drawing, `observe`, `decide`, `act`, an example
//! and tests.

pub mod app;
pub mod approval;
pub mod certificate;
pub mod forge;
pub mod host;
pub mod namespace;
pub mod recipe;
pub mod report;
pub mod repository;
pub mod test_run;

use std::sync::Arc;

use crate::outside::Outside;
use crate::runtime::controller::ControllerOptions;
use crate::runtime::manager::Manager;
use crate::runtime::objects::Objects;
use repository::doorbell::Doorbells;

/// Adds every kind's reconciler to `manager`: one line each. Repositories are polled when `doorbells` ring.
pub fn register(manager: &mut Manager, objects: &Arc<dyn Objects>, outside: &Outside, doorbells: &Doorbells) {
    let apps = app::Apps::new(manager, outside.clone());
    manager.register(apps, app::options());
    manager.register(namespace::Namespaces::new(objects.clone()), ControllerOptions::default());
    manager
        .register(host::Hosts::new(manager, outside.engines.clone(), outside.figures.clone()), host::Hosts::options());
    manager.register(recipe::Recipes::new(objects.clone(), outside.clone()), recipe::Recipes::options());
    let hands = Arc::new(test_run::hands::RunHands::new(outside.clone(), manager.shared().cache.clone()));
    let runs = test_run::TestRuns::new(manager.shared(), outside.operations.clone(), hands, outside.zone.clone());
    manager.register(runs, test_run::TestRuns::options());
    manager.register(forge::Forges::new(manager.shared(), outside.clone()), forge::Forges::options());
    let repositories = repository::Repositories::new(manager.shared(), outside.clone(), doorbells.clone());
    manager.register(repositories, repository::Repositories::options());
    manager.register(approval::Approvals::new(manager.shared(), outside.clone()), approval::Approvals::options());
    let certificates = certificate::Certificates::new(manager.shared(), outside.clone());
    manager.register(certificates, certificate::Certificates::options());
    manager.register(report::Reports::new(manager.shared(), outside.clone()), report::Reports::options());
}
