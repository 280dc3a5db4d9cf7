//! Tests of the loader, and the comparison with Docker's own.

mod loader;
mod oracle;
mod policy;
