//! Changes of kubeconfig files: `config use-context` and `config set-context`. Fields that ccctl does not know stay.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::KubeConfig;
use crate::error::{CommandError, Result};
use crate::output::yaml;

impl KubeConfig {
    /// Makes `name` the current context, in the file that decides which one is current.
    ///
    /// # Errors
    /// No such context, or the file cannot be written.
    pub fn use_context(&self, name: &str) -> Result<()> {
        if self.contexts.iter().all(|(existing, _)| existing != name) {
            return Err(CommandError::user(format!("no context exists with the name: \"{name}\""))
                .hint("see the contexts there are with `ccctl config get-contexts`"));
        }
        let mut chosen = None;
        for path in &self.files {
            let content = read(path)?;
            if content.get("current-context").and_then(Value::as_str).is_some_and(|current| !current.is_empty()) {
                chosen = Some((path.clone(), content));
                break;
            }
        }
        let (path, mut content) = match chosen {
            Some(found) => found,
            None => {
                let path = self.file_for_new_entries()?;
                let content = read(&path)?;
                (path, content)
            }
        };
        content.insert("current-context".to_owned(), json!(name));
        write(&path, content)
    }

    /// Sets fields of the context `name` and says whether it was there before.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn set_context(&self, name: &str, fields: &[(&str, Option<&str>)]) -> Result<bool> {
        let mut target = None;
        for path in &self.files {
            if entry_index(&read(path)?, name).is_some() {
                target = Some(path.clone());
                break;
            }
        }
        let path = match target {
            Some(path) => path,
            None => self.file_for_new_entries()?,
        };
        let mut content = read(&path)?;
        let index = entry_index(&content, name);
        let contexts = content.entry("contexts").or_insert_with(|| json!([]));
        if contexts.is_null() {
            *contexts = json!([]);
        }
        let Value::Array(contexts) = contexts else {
            return Err(CommandError::config(format!("contexts of {} is not a list", path.display())));
        };
        let entry = match index.and_then(|index| contexts.get_mut(index)) {
            Some(entry) => entry,
            None => {
                contexts.push(json!({"context": {"cluster": "", "user": ""}, "name": name}));
                contexts.last_mut().expect("an entry was just added")
            }
        };
        for (field, value) in fields {
            if let Some(value) = value {
                entry["context"][*field] = json!(value);
            }
        }
        write(&path, content)?;
        Ok(index.is_some())
    }

    fn file_for_new_entries(&self) -> Result<PathBuf> {
        self.files.first().or(self.default_file.as_ref()).cloned().ok_or_else(|| {
            CommandError::config("there is no kubeconfig to write to").hint("name one with --kubeconfig FILE")
        })
    }
}

fn entry_index(content: &Map<String, Value>, name: &str) -> Option<usize> {
    content.get("contexts")?.as_array()?.iter().position(|entry| entry["name"] == name)
}

fn read(path: &Path) -> Result<Map<String, Value>> {
    let Some(text) = super::read_if_there(path)? else {
        return Ok(Map::from_iter([("apiVersion".to_owned(), json!("v1")), ("kind".to_owned(), json!("Config"))]));
    };
    match crate::manifests::value(&text) {
        Ok(Value::Object(content)) => Ok(content),
        Ok(_) => Err(CommandError::config(format!("{} is not a kubeconfig", path.display()))),
        Err(error) => Err(CommandError::config(format!("{} is not a kubeconfig: {error}", path.display()))),
    }
}

/// Replaces the file in one step, readable by its owner only, because it holds credentials.
fn write(path: &Path, content: Map<String, Value>) -> Result<()> {
    let failed = |error: std::io::Error| CommandError::config(format!("cannot write {}: {error}", path.display()));
    // A link is followed, so that a managed file stays managed.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, yaml::to_string(&Value::Object(content)).as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}
