//! Co-op Cloud's conventions: what makes a folder with a compose file a recipe, and a stack an app.
//!
//! Everything here is pure: files come in as text, randomness is passed in. What abra does with the same files is
//! done the same way, so that an app may be deployed by one and taken over by the other.

pub mod abra_sh;
pub mod app;
pub mod backup;
pub mod base;
pub mod env;
pub mod labels;
pub mod lint;
pub mod names;
pub mod release;
pub mod secret;
pub mod version;

#[cfg(test)]
mod tests;
