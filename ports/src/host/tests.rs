//! The machine and the fake keep the contract.

use std::path::Path;

use super::conformance::check;
use super::fake::FakeHost;
use super::system::{SystemHost, parse};
use super::{DiskFigures, MemoryFigures};

#[tokio::test]
async fn this_machine_conforms() {
    check(&SystemHost, Path::new("/"), Path::new("/nowhere/at/all")).await;
}

#[tokio::test]
async fn the_fake_conforms() {
    let host = FakeHost::default();
    let disk = DiskFigures { total_bytes: 100, free_bytes: 40, total_inodes: 10, free_inodes: 4 };
    host.set_disk(Path::new("/var"), disk);
    host.set_memory(MemoryFigures { total_bytes: 10, available_bytes: 5 });
    check(&host, Path::new("/var/lib"), Path::new("/nowhere/at/all")).await;
}

#[test]
fn meminfo_is_read_or_refused() {
    let good = "MemTotal:       24000 kB\nMemFree:  1 kB\nMemAvailable:   12000 kB\n";
    assert_eq!(parse(good), Some(MemoryFigures { total_bytes: 24_576_000, available_bytes: 12_288_000 }));
    for bad in ["", "MemTotal: 5 kB", "MemTotal: x kB\nMemAvailable: 1 kB", "MemTotal: 5 MB\nMemAvailable: 1 kB"] {
        assert_eq!(parse(bad), None, "{bad}");
    }
}
