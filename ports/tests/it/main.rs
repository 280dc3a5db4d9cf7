//! Tests that need a second program or a real server.

#[cfg(test)]
mod jobs;
