//! The whole program on a real Docker engine, which `.ci/with-engine` makes.

#[cfg(test)]
mod abra;
#[cfg(test)]
mod canaries;
#[cfg(test)]
mod deploy;
mod engine;
#[cfg(test)]
mod forge;
