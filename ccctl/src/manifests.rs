//! Files with objects: `-f FILE`, `-f FOLDER`, `-f -`; YAML or JSON, several documents to a file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::discovery::ResourceType;
use crate::error::{CommandError, Result};
use crate::session::Session;

/// Extensions of the files that are read from a folder.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];
/// Largest file that is read: far more than the server takes as one object.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// One object from a file.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Where it came from, for messages.
    pub source: String,
    /// The object.
    pub object: Value,
}

/// Options that say which files to read.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FileArguments {
    /// File or folder with objects, - for standard input; repeatable
    #[arg(short, long = "filename", value_name = "FILE")]
    pub filename: Vec<String>,
    /// Read folders within folders too
    #[arg(short = 'R', long, requires = "filename")]
    pub recursive: bool,
}

impl Manifest {
    /// Returns `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Finds the type of the object.
    ///
    /// # Errors
    /// The server does not have it.
    pub async fn resource_type(&self, session: &Session) -> Result<ResourceType> {
        let text = |field: &str| self.object[field].as_str().unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        session.resource_type_of(api_version, kind).await?.ok_or_else(|| {
            CommandError::user(format!(
                "no matches for kind \"{kind}\" in version \"{api_version}\"; is its CustomResourceDefinition installed?"
))
            .exit_with(1)
            .hint("see the kinds there are with `ccctl api-resources`")
        })
    }

    /// Returns the namespace that the object goes to, `None` for cluster-scoped types.
    ///
    /// # Errors
    /// `-n` and the file name different namespaces.
    pub fn namespace(&self, session: &Session, resource: &ResourceType) -> Result<Option<String>> {
        if !resource.namespaced {
            return Ok(None);
        }
        let own = self.object["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty());
        match (own, session.global.namespace.as_deref()) {
            (Some(own), Some(given)) if own != given => Err(CommandError::user(format!(
                "the namespace from the provided object \"{own}\" does not match the namespace \"{given}\""
            ))
            .hint(format!("leave -n out, or pass '--namespace={own}'"))),
            (Some(own), _) => Ok(Some(own.to_owned())),
            (None, _) => Ok(Some(session.namespace()?)),
        }
    }
}

impl FileArguments {
    /// Says whether any file was named.
    #[must_use]
    pub fn is_given(&self) -> bool {
        !self.filename.is_empty()
    }

    /// Reads every object of every file, in the order of the arguments; `List`s are taken apart.
    ///
    /// # Errors
    /// A file is missing, cannot be understood, or holds something that is no object.
    pub fn read(&self) -> Result<Vec<Manifest>> {
        let mut manifests = Vec::new();
        for name in &self.filename {
            if name == "-" {
                let mut text = String::new();
                std::io::stdin()
                    .take(FILE_BYTES_MAX)
                    .read_to_string(&mut text)
                    .map_err(|error| CommandError::user(format!("cannot read standard input: {error}")))?;
                manifests.extend(parse(&text, "STDIN")?);
                continue;
            }
            if name.starts_with("http://") || name.starts_with("https://") {
                return Err(CommandError::user(format!("ccctl does not fetch {name}: it talks to ccd only"))
                    .hint(format!("look at it first, then apply it: `curl -sSf {name} | ccctl apply -f -`")));
            }
            for path in self.files(Path::new(name))? {
                manifests.extend(parse(&read(&path)?, &path.display().to_string())?);
            }
        }
        if manifests.is_empty() {
            return Err(CommandError::user(format!("no objects found in {}", self.filename.join(", "))));
        }
        Ok(manifests)
    }

    fn files(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                CommandError::user(format!("the path \"{}\" does not exist", path.display()))
            }
            _ => CommandError::user(format!("cannot read {}: {error}", path.display())),
        };
        if !std::fs::metadata(path).map_err(failed)?.is_dir() {
            return Ok(vec![path.to_owned()]);
        }
        let mut entries = std::fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>())
            .map_err(failed)?;
        entries.sort();
        let mut files = Vec::new();
        for entry in entries {
            if entry.is_dir() {
                if self.recursive {
                    files.extend(self.files(&entry)?);
                }
            } else if entry.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known)) {
                files.push(entry);
            }
        }
        Ok(files)
    }
}

fn read(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| CommandError::user(format!("cannot read {}: {error}", path.display()));
    let mut text = String::new();
    std::fs::File::open(path).map_err(failed)?.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Reads one value of YAML or JSON, such as a patch or a kubeconfig; an empty text is null.
///
/// # Errors
/// What is wrong, and where.
pub fn value(text: &str) -> Result<Value, String> {
    let mut documents = api_types::manifest::documents(text).map_err(|error| error.to_string())?.into_iter();
    let first = documents.next().map_or(Value::Null, |document| document.object);
    match documents.next() {
        None => Ok(first),
        Some(second) => Err(format!("line {}: a second document begins here, but one is expected", second.line)),
    }
}

/// Reads every object of a text; `source` names it in messages.
///
/// # Errors
/// Broken YAML or JSON, or a document that is no object.
pub fn parse(text: &str, source: &str) -> Result<Vec<Manifest>> {
    let documents = api_types::manifest::parse(text)
        .map_err(|error| CommandError::user(format!("cannot parse {source}: {error}")))?;
    Ok(documents.into_iter().map(|document| Manifest { source: source.to_owned(), object: document.object }).collect())
}
