//! Tests that need a second program or a real server, and the documents that are made of the code.

#[cfg(test)]
mod documents;
#[cfg(test)]
mod fake_forge;
#[cfg(test)]
mod jobs;
