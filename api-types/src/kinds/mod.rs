//! The kinds: one contract file each, and what several of them share.
//!
//! Admission refuses unknown fields; the Rust types here do not, because an object may have been written by a newer or
//! an older program. Whatever the schema bounds, the types do not check again.

pub mod acme;
pub mod allow;
pub mod app;
pub mod app_upgrade;
pub mod approval;
pub mod built_in;
pub mod certificate;
pub mod check;
pub mod forge;
pub mod host;
pub mod identity;
pub mod overlay;
pub mod recipe;
pub mod reference;
pub mod repository;
pub mod test_run;

#[cfg(test)]
mod tests;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}
