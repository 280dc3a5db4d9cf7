//! A real file system that is small: a tmpfs of so many bytes or inodes, gone when it is dropped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::Context as _;
use tempfile::TempDir;

/// A mounted tmpfs.
pub struct SmallDisk {
    holder: Child,
    input: Option<ChildStdin>,
    mount_point: TempDir,
}

impl SmallDisk {
    /// Mounts a tmpfs with `options` by the program `hold-mount` at `program`.
    ///
    /// # Errors
    /// When this machine cannot: it takes root.
    pub fn mount(program: &Path, options: &str) -> anyhow::Result<Self> {
        let mount_point = tempfile::Builder::new().prefix("cc-ci-disk-").tempdir()?;
        let mut holder = Command::new(program)
            .arg(mount_point.path())
            .arg(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Whoever kills the test's group must not kill the one that cleans up after it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let input = holder.stdin.take();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().context("piped")?).read_line(&mut line)?;
        let disk = Self { holder, input, mount_point };
        anyhow::ensure!(line == "ready\n", "the disk-full suite mounts a tmpfs: it needs root");
        Ok(disk)
    }

    /// Returns where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.mount_point.path()
    }

    /// Fills it to the last byte with a file of no use, which is returned.
    ///
    /// # Errors
    /// When it fails for another reason than being full.
    pub fn fill_bytes(&self) -> anyhow::Result<PathBuf> {
        let path = self.path().join("ballast");
        let mut file = std::fs::File::create(&path)?;
        loop {
            match file.write(&[1; 64 << 10]) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(path),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Fills it to the last inode with empty files in a directory, which is returned.
    ///
    /// # Errors
    /// When it fails for another reason than being full.
    pub fn fill_inodes(&self) -> anyhow::Result<PathBuf> {
        let path = self.path().join("crowd");
        std::fs::create_dir(&path)?;
        for number in 0.. {
            match std::fs::File::create(path.join(format!("{number}"))) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.holder.wait();
    }
}
