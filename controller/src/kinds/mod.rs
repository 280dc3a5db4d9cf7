//! One folder for each kind that ccd reconciles: README with the state drawing, `observe`, `decide`, `act`, an example
//! and tests.

pub mod namespace;
