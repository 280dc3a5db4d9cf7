//! What people see: server-rendered pages over the store, on the same port as the API.
//!
//! A request passes the same chain as one of the API (authenticate, limit, authorise, audit); its page is rendered from
//! one immutable [`State`](store::state::State) and an index that follows it. Every page works without JavaScript;
//! with it, `live` sends the parts that change. What a person does goes through the API itself (`actions`), so that
//! nothing can be done here that could not be done there.

mod actions;
mod ansi;
mod answer;
mod assets;
mod badge;
pub mod forges;
pub mod fuzz;
mod index;
mod live;
mod logs;
mod pages;
pub mod pictures;
pub mod review;
pub mod route;
pub mod router;
pub mod session;
mod view;
mod visit;
