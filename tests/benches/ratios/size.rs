//! How much is measured: all of it, or so little that one sees in a minute that every row still works.

use std::time::Duration;

/// Counts and times of one run.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    /// How long one figure is measured.
    pub duration: Duration,
    /// How often it is measured; the median counts.
    pub rounds: usize,
    /// Clients that create in the store.
    pub writers: &'static [usize],
    /// Watchers of the store.
    pub watchers: &'static [usize],
    /// Objects in the lists of the store; the last is how many there are.
    pub lists: &'static [usize],
    /// Objects of which the store's memory and opening are measured.
    pub memories: &'static [usize],
    /// Objects that are overwritten, and how often altogether.
    pub overwrites: (usize, usize),
    /// Clients that create through the API; up to 64 share a connection.
    pub api_clients: &'static [usize],
    /// Clients that create through the API, each over a connection of its own.
    pub api_connections: &'static [usize],
    /// Watchers of the API.
    pub api_watchers: &'static [usize],
    /// Objects in the lists of the API.
    pub api_listed: usize,
    /// Objects that the server starts with, and the seconds that it may take.
    pub starts: &'static [(usize, f64)],
    /// Events of which each watcher's latency is taken.
    pub events: usize,
    /// So much room must be free before anything is measured, in bytes: twice what the largest row takes.
    pub free_bytes_min: u64,
}

impl Size {
    /// What `make bench` measures.
    pub(crate) const FULL: Self = Self {
        duration: Duration::from_millis(2000),
        rounds: 3,
        writers: &[1, 16, 64, 256],
        watchers: &[1, 100, 1000, 10_000],
        lists: &[500, 10_000, 100_000],
        memories: &[10_000, 100_000],
        overwrites: (100_000, 1_000_000),
        api_clients: &[1, 32, 64, 256],
        api_connections: &[32, 64],
        api_watchers: &[1, 32, 1000],
        api_listed: 10_000,
        starts: &[(0, 0.1), (10_000, 0.5), (100_000, 0.5)],
        events: 200,
        free_bytes_min: 8 << 30,
    };

    /// Every row with so little load that its figures mean nothing.
    pub(crate) const SMALL: Self = Self {
        duration: Duration::from_millis(100),
        rounds: 1,
        writers: &[1, 16],
        watchers: &[1, 100],
        lists: &[500, 1000],
        memories: &[1000],
        overwrites: (1000, 10_000),
        api_clients: &[1, 32, 256],
        api_connections: &[32],
        api_watchers: &[1, 32],
        api_listed: 2000,
        starts: &[(0, 0.1), (1000, 0.5)],
        events: 10,
        free_bytes_min: 512 << 20,
    };
}
