//! The real `ccd`.

#[cfg(test)]
mod life;
