//! Runs the real `ccctl` against a small server in this process and compares whole outputs.

mod arguments;
mod documents;
mod faults;
mod flows;
mod program;
mod server;
