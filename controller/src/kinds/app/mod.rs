//! App: keeps one recipe deployed under one domain. See `README.md` beside this file.

pub mod converge;
pub mod deployer;
pub mod inventory;
pub mod labels;
pub mod teardown;
