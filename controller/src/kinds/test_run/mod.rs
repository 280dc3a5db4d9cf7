//! TestRun: deploys, proves and removes a recipe. See `README.md` beside this file.

pub mod base;
pub mod blame;
pub mod domain;
pub mod ladder;
pub mod queue;
