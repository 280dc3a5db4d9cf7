//! The engine port on a real Docker engine, which `.ci/with-engine` makes.

mod compose;
mod conformance;
mod given;
mod ssh;
