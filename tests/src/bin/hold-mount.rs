//! Holds a small tmpfs mounted until its standard input ends: also when the test that wanted it was killed.
//!
//! Usage: `hold-mount MOUNT_POINT OPTIONS`, where the options are tmpfs', such as `size=64m`. Says `ready` when it is
//! mounted.

use std::io::{Read as _, Write as _};
use std::process::Command;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let mount_point = arguments.next().context("the first argument is the mount point")?;
    let options = arguments.next().context("then the options")?;
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o"]).arg(&options).arg("tmpfs").arg(&mount_point).status();
    anyhow::ensure!(mount.is_ok_and(|status| status.success()), "cannot mount a tmpfs: this needs root");
    let mut output = std::io::stdout();
    output.write_all(b"ready\n")?;
    output.flush()?;
    // Whatever comes is no command; only the end counts.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let unmounted = Command::new("umount").arg("--lazy").arg(&mount_point).status();
    anyhow::ensure!(unmounted.is_ok_and(|status| status.success()), "the tmpfs stays mounted");
    // A test that was killed does not remove what it made.
    let _ = std::fs::remove_dir(mount_point);
    Ok(())
}
