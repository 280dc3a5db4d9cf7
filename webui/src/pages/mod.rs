//! One file per page; each is a function from a visit to a page.

mod approvals;
mod apps;
pub(crate) mod card;
mod certificates;
pub(crate) mod error;
mod events;
pub(crate) mod forge_login;
mod home;
mod hosts;
mod kinds;
pub(crate) mod login;
mod object;
mod queue;
mod recipe;
mod recipes;
mod repositories;
mod review;
mod run;
mod run_parts;
mod runs;
mod sure;

use api_types::kind::{Kind, Object as Typed};
use api_types::status::{Reason, Status};

use crate::route::{Place, Route};
use crate::router::not_found;
use crate::view::Page;
use crate::visit::Visit;

/// Rows on one page of a long list.
pub(crate) const ROWS_MAX: usize = 50;

/// Renders a page.
///
/// # Errors
/// `NotFound` when what it is about is not there; what a log's source says.
pub(crate) async fn render(visit: &Visit, route: &Route) -> Result<Page, Status> {
    match route {
        Route::Home => Ok(home::page(visit)),
        Route::Recipes => Ok(recipes::page(visit)),
        Route::Recipe(place) => recipe::page(visit, place),
        Route::Runs => Ok(runs::page(visit)),
        Route::Run(place) => run::page(visit, place).await,
        Route::Card(place) => card::page(visit, place),
        Route::Log(place) => crate::logs::page(visit, place).await,
        Route::Queue => Ok(queue::page(visit)),
        Route::Approvals => Ok(approvals::page(visit)),
        Route::Review(place) => review::page(visit, place).await,
        Route::Apps => Ok(apps::page(visit)),
        Route::Certificates => Ok(certificates::page(visit)),
        Route::Hosts => Ok(hosts::page(visit)),
        Route::Repositories => Ok(repositories::page(visit)),
        Route::Events => Ok(events::page(visit)),
        Route::Kinds => Ok(kinds::all(visit)),
        Route::Kind(key) => kinds::one(visit, key),
        Route::Object(key, place) => object::page(visit, key, place),
        Route::Do(deed, key, place) => sure::page(visit, *deed, key, place, None),
        Route::Login
        | Route::Logout
        | Route::ForgeLogin(_)
        | Route::ForgeReturn(_)
        | Route::CardPicture(_)
        | Route::LogRaw(_)
        | Route::LogStream(_)
        | Route::Artifact(..)
        | Route::Badge(..)
        | Route::Live
        | Route::Asset(_)
        | Route::Nothing => Err(not_found()),
    }
}

pub(crate) use sure::page as sure_page;

/// Returns what the scoreboard knows of a recipe.
pub(crate) fn row(visit: &Visit, recipe: &std::sync::Arc<Typed<api_types::kinds::recipe::Recipe>>) -> recipes::Row {
    recipes::Row::of(visit, recipe)
}

/// Reads one object of a kind that this program knows.
///
/// # Errors
/// `NotFound` when it is not there, `InternalError` when it has another shape.
pub(crate) fn typed<K: Kind>(visit: &Visit, place: &Place) -> Result<Typed<K>, Status> {
    let object = visit.state.get(&K::resource(), &place.key()).ok_or_else(|| {
        let message = format!("there is no {} {:?} in the namespace {:?}", K::KIND, place.name, place.namespace);
        Status::failure(Reason::NotFound, message)
    })?;
    serde_json::from_slice(&object.json()).map_err(|error| {
        let message = format!("this {} has a shape that this program does not know: {error}", K::KIND);
        Status::failure(Reason::InternalError, message)
    })
}

/// Returns which page of a long list is asked for, counted from 0.
pub(crate) fn page_number(visit: &Visit) -> usize {
    visit.parameter("at").parse().unwrap_or(0).min(100_000)
}
