//! `ccd certificate create`: signs a client certificate with the authority in the data directory; a running daemon knows it
//! at once.

use std::io::Write;
use std::time::Duration;

use anyhow::Context as _;
use apiserver::authentication::MASTERS;
use apiserver::data_dir::kubeconfig;
use apiserver::tls::issue_client;
use clap::Subcommand;

use super::DataDirArgument;
use super::token::Lifetime;
use crate::commands::Outcome;
use crate::environment::Environment;

/// Arguments of `ccd certificate`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What to do with client certificates.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Action {
    /// Make a certificate and its key and print a kubeconfig with both; it cannot be revoked, so let it end soon
    Create {
        /// User that it stands for
        user: String,
        /// Group that the user is in
        #[arg(long)]
        group: Option<String>,
        /// How long it works: 12h, 30d or 4w
        #[arg(long, default_value = "30d", value_name = "TIME")]
        expires: Lifetime,
        #[command(flatten)]
        data_dir: DataDirArgument,
    },
}

pub(crate) fn run(arguments: &Arguments, environment: &Environment, output: &mut dyn Write) -> anyhow::Result<Outcome> {
    let Action::Create { user, group, expires, data_dir } = &arguments.action;
    let life = expires.0.and_then(|life| Duration::try_from(life).ok());
    let life = life.context("create certificate: it cannot be revoked, so it must end; write --expires 720h")?;
    anyhow::ensure!(!user.is_empty(), "create certificate: the user has no name; write `ccd certificate create NAME`");
    let paths = data_dir.paths(environment);
    let groups: Vec<String> = group.iter().cloned().collect();
    let (certificate, key) = issue_client(&paths.pki(), user, &groups, environment.clock.now(), life)?;
    let config = kubeconfig::with_certificate(&paths.kubeconfig(), user, &certificate, &key)?.with_context(|| {
        let path = paths.kubeconfig();
        format!("read {}: it names no server yet; start `ccd serve` with this data directory once", path.display())
    })?;
    if group.as_deref() == Some(MASTERS) {
        eprintln!("warning: group {MASTERS} may do everything");
    }
    // The kubeconfig alone goes to standard output, so that it can be put into a file.
    eprintln!("certificate for user {user:?}; it holds the key, which is kept nowhere else:");
    write!(output, "{config}")?;
    Ok(Outcome::Well)
}
