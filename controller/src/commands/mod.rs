//! One file per command of `ccd`.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod logging;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod table;
pub(crate) mod token;
pub(crate) mod version;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use apiserver::config::{Config, ConfigError};
use apiserver::data_dir::DataPaths;

use crate::environment::Environment;

/// Where the daemon keeps everything; the same for all commands.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DataDirArgument {
    /// Directory of the daemon's data [default: ./ccd-data, as root /var/lib/ccd]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataDirArgument {
    pub(crate) fn path(&self, environment: &Environment) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| environment.default_data_dir())
    }

    pub(crate) fn paths(&self, environment: &Environment) -> DataPaths {
        DataPaths::new(&self.path(environment))
    }

    #[cfg(test)]
    pub(crate) fn of(path: &Path) -> Self {
        Self { data_dir: Some(path.to_owned()) }
    }
}

/// Reads the configuration that is named, or the data directory's own when there is one.
pub(crate) fn read_config(named: Option<&Path>, paths: &DataPaths) -> Result<Config, ConfigError> {
    match named {
        Some(path) => Config::read(path),
        None if paths.config().exists() => Config::read(&paths.config()),
        None => Ok(Config::default()),
    }
}

/// Returns a runtime for commands that ask the network or the store a few things.
pub(crate) fn small_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context as _;
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")
}
