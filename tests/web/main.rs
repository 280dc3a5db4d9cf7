//! The web pages over HTTP: what they show and to whom, that nothing hostile survives on them, and what they do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests and what they call say by panicking what is wrong")]

mod browser;
mod deeds;
mod doors;
mod forge;
mod logs;
mod memory_logs;
mod pages;
mod showcase;
mod visitor;
