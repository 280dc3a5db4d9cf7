//! The real `ccd`.

#[cfg(test)]
mod life;
#[cfg(test)]
mod service;
