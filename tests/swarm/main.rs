//! The whole program on a real Docker engine, which `.ci/with-engine` makes.

#[cfg(test)]
mod abra;
#[cfg(test)]
mod accidents;
#[cfg(test)]
mod addresses;
#[cfg(test)]
mod canaries;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod deployers;
#[cfg(test)]
mod drift;
mod engine;
#[cfg(test)]
mod forge;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod private;
#[cfg(test)]
mod real_forge;
#[cfg(test)]
mod small;
#[cfg(test)]
mod upgrades;
