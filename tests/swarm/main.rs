//! The whole program on a real Docker engine, which `.ci/with-engine` makes.

#[cfg(test)]
mod abra;
#[cfg(test)]
mod accidents;
#[cfg(test)]
mod canaries;
mod engine;
#[cfg(test)]
mod forge;
