//! `ccctl create`: new objects from files, or from arguments for the few kinds that are made by hand.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::DryRun;
use super::apply::{self, Validation};
use crate::client::request::ApiRequest;
use crate::error::{CommandError, Outcome, Result};
use crate::manifests::{FileArguments, Manifest};
use crate::output::Format;
use crate::session::{Failures, Session};

/// Create objects
#[derive(Clone, Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  ccctl create -f recipe.yaml\n  ccctl create namespace team-a\n  ccctl create secret generic forge --from-file=token=./token\n  ccctl create configmap seed --from-literal=key=value"
)]
pub struct CreateArguments {
    /// What to make by hand
    #[command(subcommand)]
    pub kind: Option<CreateKind>,
    /// Files with the objects
    #[command(flatten)]
    pub files: FileArguments,
    /// How to make it
    #[command(flatten)]
    pub options: CreateOptions,
}

/// Options of every form of `create`.
#[derive(Clone, Debug, Args)]
pub struct CreateOptions {
    /// Check and print, create nothing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "server", require_equals = true)]
    pub dry_run: DryRun,
    /// Accept unknown fields: ignore drops them, warn says so
    #[arg(long, value_enum, default_value_t = Validation::Strict, value_name = "HOW")]
    pub validate: Validation,
    /// Print the new objects: yaml, json, name, jsonpath=…
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<String>,
    /// Name to own the fields under
    #[arg(long, value_name = "NAME", default_value = "ccctl-create")]
    pub field_manager: String,
}

/// Kinds that are made by hand.
#[derive(Clone, Debug, Subcommand)]
pub enum CreateKind {
    /// Create a namespace
    #[command(visible_alias = "ns")]
    Namespace {
        /// Its name
        name: String,
        /// How to make it
        #[command(flatten)]
        options: CreateOptions,
    },
    /// Create a secret
    #[command(subcommand)]
    Secret(SecretKind),
    /// Create a config map
    #[command(visible_alias = "cm")]
    Configmap {
        /// Its name
        name: String,
        /// Its content
        #[command(flatten)]
        data: DataArguments,
        /// How to make it
        #[command(flatten)]
        options: CreateOptions,
    },
    /// Create a service account
    #[command(visible_alias = "sa")]
    Serviceaccount {
        /// Its name
        name: String,
        /// How to make it
        #[command(flatten)]
        options: CreateOptions,
    },
}

/// Kinds of secrets.
#[derive(Clone, Debug, Subcommand)]
pub enum SecretKind {
    /// Create a secret from files and literals
    Generic {
        /// Its name
        name: String,
        /// Its content
        #[command(flatten)]
        data: DataArguments,
        /// Its type
        #[arg(long = "type", value_name = "TYPE", default_value = "Opaque")]
        type_: String,
        /// How to make it
        #[command(flatten)]
        options: CreateOptions,
    },
    /// Create a secret from a certificate and its key
    Tls {
        /// Its name
        name: String,
        /// File with the certificate chain, PEM
        #[arg(long, value_name = "FILE")]
        cert: String,
        /// File with the key, PEM
        #[arg(long, value_name = "FILE")]
        key: String,
        /// How to make it
        #[command(flatten)]
        options: CreateOptions,
    },
}

/// Options that fill `data`.
#[derive(Clone, Debug, Args)]
pub struct DataArguments {
    /// [KEY=]FILE or a folder; - reads standard input, which keeps values out of the shell's history; repeatable
    #[arg(long, value_name = "[KEY=]FILE")]
    pub from_file: Vec<String>,
    /// KEY=VALUE; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub from_literal: Vec<String>,
    /// File with lines of KEY=VALUE; repeatable
    #[arg(long, value_name = "FILE")]
    pub from_env_file: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read; the server refuses an object.
pub async fn run(session: &Session, arguments: CreateArguments) -> Result<Outcome> {
    let (manifests, options) = match arguments.kind {
        Some(kind) => {
            let (object, options) = by_hand(kind)?;
            (vec![Manifest { source: "the command line".to_owned(), object }], options)
        }
        None if arguments.files.is_given() => (arguments.files.read()?, arguments.options),
        None => {
            return Err(CommandError::user("must specify -f, or what to create").hint(
                "for example `ccctl create -f FILE` or `ccctl create namespace NAME`; `ccctl create --help` has more",
            ));
        }
    };
    let format = options.output.as_deref().map(Format::parse).transpose()?;
    let mut failures = Failures::default();
    for manifest in manifests {
        if let Err(error) = create_one(session, &options, format.as_ref(), &manifest).await {
            let error = match manifest.source.as_str() {
                "the command line" => error,
                source => error.while_doing(&format!("error when creating \"{source}\"")),
            };
            failures.add(session, error)?;
        }
    }
    failures.finish()?;
    Ok(Outcome::Success)
}

async fn create_one(
    session: &Session,
    options: &CreateOptions,
    format: Option<&Format>,
    manifest: &Manifest,
) -> Result<()> {
    let reference = apply::reference_of(session, manifest).await?;
    let body = apply::body_of(manifest, &reference);
    if options.dry_run == DryRun::Client {
        return apply::report(session, format, &reference, body, "created", options.dry_run);
    }
    let request = ApiRequest::post(reference.resource.collection_path(reference.namespace.as_deref()), &body)
        .query("fieldManager", options.field_manager.clone())
        .query("fieldValidation", options.validate.query())
        .query_if("dryRun", options.dry_run.query());
    let created = session.client()?.json(request).await?;
    apply::report(session, format, &reference, created, "created", options.dry_run)
}

fn by_hand(kind: CreateKind) -> Result<(Value, CreateOptions)> {
    let object = |kind: &str, name: String| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    Ok(match kind {
        CreateKind::Namespace { name, options } => (object("Namespace", name), options),
        CreateKind::Serviceaccount { name, options } => (object("ServiceAccount", name), options),
        CreateKind::Configmap { name, data, options } => {
            let mut made = object("ConfigMap", name);
            let (mut text, mut binary) = (Map::new(), Map::new());
            for (key, bytes) in data.read()? {
                match String::from_utf8(bytes) {
                    Ok(value) => text.insert(key, Value::from(value)),
                    Err(error) => binary.insert(key, encoded(error.as_bytes())),
                };
            }
            if !text.is_empty() {
                made["data"] = Value::Object(text);
            }
            if !binary.is_empty() {
                made["binaryData"] = Value::Object(binary);
            }
            (made, options)
        }
        CreateKind::Secret(SecretKind::Generic { name, data, type_, options }) => {
            let mut made = object("Secret", name);
            made["type"] = Value::from(type_);
            made["data"] =
                data.read()?.into_iter().map(|(key, bytes)| (key, encoded(&bytes))).collect::<Map<_, _>>().into();
            (made, options)
        }
        CreateKind::Secret(SecretKind::Tls { name, cert, key, options }) => {
            let mut made = object("Secret", name);
            made["type"] = Value::from("kubernetes.io/tls");
            made["data"] = json!({"tls.crt": encoded(&pem(&cert, "CERTIFICATE")?), "tls.key": encoded(&pem(&key, "PRIVATE KEY")?)});
            (made, options)
        }
    })
}

fn encoded(bytes: &[u8]) -> Value {
    Value::from(base64::engine::general_purpose::STANDARD.encode(bytes))
}

fn pem(file: &str, what: &str) -> Result<Vec<u8>> {
    let bytes = read_file(file)?;
    if String::from_utf8_lossy(&bytes).contains(&format!("{what}-----")) {
        return Ok(bytes);
    }
    Err(CommandError::user(format!("{file} holds no PEM block of type {what}")))
}

fn read_file(file: &str) -> Result<Vec<u8>> {
    if file == "-" {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| CommandError::user(format!("cannot read standard input: {error}")))?;
        return Ok(bytes);
    }
    std::fs::read(file).map_err(|error| CommandError::user(format!("cannot read {file}: {error}")))
}

impl DataArguments {
    /// Reads every key with its value.
    fn read(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut data = BTreeMap::new();
        let mut insert = |key: String, value: Vec<u8>| match data.insert(key.clone(), value) {
            None => Ok(()),
            Some(_) => Err(CommandError::user(format!("the key \"{key}\" is given twice"))),
        };
        for source in &self.from_file {
            let (key, file) = match source.split_once('=') {
                Some((key, file)) => (Some(key.to_owned()), file),
                None => (None, source.as_str()),
            };
            let path = Path::new(file);
            if key.is_none() && path.is_dir() {
                for entry in files_in(path)? {
                    insert(file_name(&entry), read_file(&entry.to_string_lossy())?)?;
                }
                continue;
            }
            if key.is_none() && file == "-" {
                return Err(CommandError::user("standard input needs a key: --from-file=KEY=-"));
            }
            insert(key.unwrap_or_else(|| file_name(path)), read_file(file)?)?;
        }
        for literal in &self.from_literal {
            let (key, value) = literal
                .split_once('=')
                .ok_or_else(|| CommandError::user(format!("invalid literal source {literal}, expected key=value")))?;
            insert(key.to_owned(), value.as_bytes().to_vec())?;
        }
        for file in &self.from_env_file {
            let text =
                String::from_utf8(read_file(file)?).map_err(|_| CommandError::user(format!("{file} is not text")))?;
            for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let (key, value) = line
                    .split_once('=')
                    .ok_or_else(|| CommandError::user(format!("{file}: \"{line}\" is not KEY=VALUE")))?;
                insert(key.to_owned(), value.as_bytes().to_vec())?;
            }
        }
        Ok(data)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn files_in(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let failed = |error: std::io::Error| CommandError::user(format!("cannot read {}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
