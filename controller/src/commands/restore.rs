//! `ccd restore FILE`: the store anew from a backup.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use apiserver::data_dir::store_key::{self, WhenMissing};
use apiserver::data_dir::{DataDir, Restored};
use store::backup::restore_backup;

use super::DataDirArgument;
use crate::commands::Outcome;
use crate::environment::Environment;

/// Arguments of `ccd restore`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// File that `ccd backup` wrote; `-` is standard input
    pub(crate) file: PathBuf,
    /// Put the present store aside, as `store.before-TIME`, instead of refusing
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgument,
}

pub(crate) fn run(arguments: &Arguments, environment: &Environment, output: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut input: Box<dyn BufRead> = if arguments.file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file = File::open(&arguments.file).with_context(|| format!("read backup {}", arguments.file.display()))?;
        Box::new(BufReader::new(file))
    };
    let directory = DataDir::open(&arguments.data_dir.path(environment))?;
    let store = directory.paths().store();
    let keyring = store_key::open(directory.paths(), environment.credentials.as_deref(), WhenMissing::Make)?;
    let aside = put_aside(&store, arguments.replace, environment)?;
    let restored = restore_backup(&mut input, &store, apiserver::built_in::registry(), &Arc::new(keyring));
    let summary = match (restored, &aside) {
        (Ok(summary), _) => summary,
        (Err(error), None) => return Err(error).context("restore"),
        (Err(error), Some(aside)) => {
            fs::rename(aside, &store).with_context(|| format!("put {} back", aside.display()))?;
            return Err(error).context("restore (the store is as it was)");
        }
    };
    directory.write_restored(Restored { at: environment.clock.now() })?;
    writeln!(output, "restored {} objects as of revision {}", summary.objects, summary.revision)?;
    if let Some(aside) = aside {
        writeln!(output, "the store as it was is in {}; delete it when all is well", aside.display())?;
    }
    Ok(Outcome::Well)
}

fn put_aside(store: &Path, replace: bool, environment: &Environment) -> anyhow::Result<Option<PathBuf>> {
    if !store.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Ok(None);
    }
    if !replace {
        bail!("restore: {} holds a store; give --replace to put it aside first", store.display());
    }
    let time = environment.clock.now().strftime("%Y%m%dT%H%M%S%.fZ");
    let aside = store.with_file_name(format!("store.before-{time}"));
    fs::rename(store, &aside).with_context(|| format!("put {} aside", store.display()))?;
    Ok(Some(aside))
}
