//! `ccd backup FILE` and `ccd export DIR`: from the running daemon, or from the data directory when none runs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use apiserver::admin::BACKUP_PATH;
use apiserver::admin::client::download;
use apiserver::data_dir::store_key::{self, WhenMissing};
use apiserver::data_dir::{DataDir, DataPaths, make_private_directory};
use serde_json::Value;
use store::backup::{object_of_line, write_backup};
use store::keyring::Keyring;
use store::store::{OpenOptions as StoreOptions, Store};

use super::{DataDirArgument, small_runtime};
use crate::commands::Outcome;
use crate::environment::Environment;

/// Longest line of a backup that is read, well above the largest object.
const LINE_BYTES_MAX: usize = 16 << 20;

const SECRETS: &str = "secrets";
/// Where `kubectl apply` keeps what was applied last, values and all.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Arguments of `ccd backup`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BackupArguments {
    /// File to write; `-` is standard output. Secrets are sealed in it: it takes the store's key to restore them
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgument,
}

/// Arguments of `ccd export`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExportArguments {
    /// New or empty directory to write to. The values of Secrets are left out
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgument,
}

pub(crate) fn run_backup(
    arguments: &BackupArguments,
    environment: &Environment,
    output: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let paths = arguments.data_dir.paths(environment);
    if arguments.file.as_os_str() == "-" {
        write_all(&paths, environment, output)?;
        return Ok(Outcome::Well);
    }
    let bytes = write_atomically(&arguments.file, |output| write_all(&paths, environment, output))
        .with_context(|| format!("write backup {}", arguments.file.display()))?;
    eprintln!("wrote {} ({bytes} bytes)", arguments.file.display());
    Ok(Outcome::Well)
}

pub(crate) fn run_export(
    arguments: &ExportArguments,
    environment: &Environment,
    output: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let directory = &arguments.directory;
    if directory.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("export into {}: it is not empty; name a new directory", directory.display());
    }
    make_private_directory(directory)?;
    let paths = arguments.data_dir.paths(environment);
    let keyring = keyring(&paths, environment)?;
    let mut exporter = Exporter { directory: directory.clone(), keyring, objects: 0, complete: false };
    let mut lines = Lines::new(|line| exporter.take(line));
    write_all(&paths, environment, &mut lines).with_context(|| format!("export into {}", directory.display()))?;
    if !exporter.complete {
        bail!("export into {}: the data broke off after {} objects", directory.display(), exporter.objects);
    }
    writeln!(output, "exported {} objects into {}", exporter.objects, directory.display())?;
    Ok(Outcome::Well)
}

/// Writes a backup: asks the daemon when one runs, opens the store otherwise.
fn write_all(paths: &DataPaths, environment: &Environment, output: &mut dyn Write) -> anyhow::Result<()> {
    if !paths.root().is_dir() {
        bail!("there is no data directory {}; name it with --data-dir", paths.root().display());
    }
    let runtime = small_runtime()?;
    if paths.holder().is_some() {
        runtime.block_on(download(paths, BACKUP_PATH, output))?;
        return Ok(());
    }
    let _held = DataDir::open(paths.root())?;
    let store = Store::open(StoreOptions {
        keyring: Arc::new(keyring(paths, environment)?),
        ..StoreOptions::new(paths.store(), apiserver::built_in::registry())
    })?;
    let written = write_backup(&store.state(), store.keyring(), output);
    runtime.block_on(store.close());
    written?;
    Ok(())
}

/// Opens the store's keys, which must be there.
pub(super) fn keyring(paths: &DataPaths, environment: &Environment) -> anyhow::Result<Keyring> {
    Ok(store_key::open(paths, environment.credentials.as_deref(), WhenMissing::LeaveIt)?)
}

/// Lets `fill` write a new file that only its owner may read; it appears under its name when it is whole and on disk.
fn write_atomically(path: &Path, fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<u64> {
    let name = path.file_name().context("the name of a file is missing")?.to_string_lossy();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = directory.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temporary)?;
        let mut output = BufWriter::new(file);
        fill(&mut output)?;
        let file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(directory)?.sync_all()?;
        Ok(file.metadata()?.len())
    })();
    if written.is_err() {
        // It may not even have been made.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Takes a backup apart into its lines.
pub(super) struct Lines<F> {
    take: F,
    line: Vec<u8>,
}

impl<F: FnMut(&[u8]) -> io::Result<()>> Lines<F> {
    pub(super) fn new(take: F) -> Self {
        Self { take, line: Vec::new() }
    }
}

impl<F: FnMut(&[u8]) -> io::Result<()>> Write for Lines<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() > LINE_BYTES_MAX {
                return Err(io::Error::other("a line of the backup is too long"));
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                (self.take)(&line)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes a backup's lines and writes one YAML file for each object: `RESOURCE/NAMESPACE/NAME.yaml`.
struct Exporter {
    directory: PathBuf,
    keyring: Keyring,
    objects: u64,
    /// Whether the last line, which counts the objects, has come.
    complete: bool,
}

impl Exporter {
    fn take(&mut self, line: &[u8]) -> io::Result<()> {
        let Some((resource, mut object)) = object_of_line(line, &self.keyring).map_err(io::Error::other)? else {
            let line: Value = serde_json::from_slice(line)?;
            self.complete = line["objects"].as_u64() == Some(self.objects);
            return Ok(());
        };
        if resource == SECRETS {
            leave_out_values(&mut object);
        }
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("namespace"), text("name"));
        let namespace = if namespace.is_empty() { "_cluster".to_owned() } else { namespace };
        let directory = self.directory.join(component(&resource)?).join(component(&namespace)?);
        make_private_directory(&directory).map_err(io::Error::other)?;
        // What the server sets is left out, so that `kubectl apply -f` takes the file as it is.
        if let Some(metadata) = object["metadata"].as_object_mut() {
            for field in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
                metadata.remove(field);
            }
        }
        let yaml = serde_saphyr::to_string(&object).map_err(io::Error::other)?;
        let path = directory.join(format!("{}.yaml", component(&name)?));
        OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?.write_all(yaml.as_bytes())?;
        self.objects += 1;
        Ok(())
    }
}

/// Leaves the keys of a Secret and takes its values, also from what `kubectl apply` noted for itself.
fn leave_out_values(secret: &mut Value) {
    if let Some(data) = secret["data"].as_object_mut() {
        data.values_mut().for_each(|value| *value = Value::from(""));
    }
    if let Some(annotations) = secret["metadata"]["annotations"].as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
}

/// Returns `name` when it can be one component of a path: the store's grammar says so, a damaged file may not.
fn component(name: &str) -> io::Result<&str> {
    let bad = name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']);
    if bad { Err(io::Error::other(format!("{name:?} cannot be a file's name"))) } else { Ok(name) }
}
