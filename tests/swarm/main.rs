//! The whole program on a real Docker engine, which `.ci/with-engine` makes.

mod engine;
