//! Rules about the recipe's files.

use super::super::{abra_sh, app, env::EnvFile};
use super::Lint;
use crate::compose::{Place, durations_from_variables};

impl Lint<'_> {
    pub(super) fn files(&mut self) {
        self.sample_file();
        self.readme();
        self.compose_files();
    }

    fn sample_file(&mut self) {
        let Some(text) = self.text(".env.sample") else {
            return self.breach("R008", Place::file(".env.sample"), "there is no `.env.sample`");
        };
        match EnvFile::parse(".env.sample", &text) {
            Err(findings) => {
                for finding in findings {
                    self.breach("R008", finding.place, finding.message);
                }
            }
            Ok(sample) => self.sample_names_files(&sample),
        }
    }

    fn sample_names_files(&mut self, sample: &EnvFile) {
        // Every line counts, also one that a later line overrides: each stands for a choice that an operator has.
        for entry in sample.entries.iter().filter(|entry| entry.key == "COMPOSE_FILE") {
            let place = Place { file: ".env.sample".to_owned(), line: entry.line, path: "COMPOSE_FILE".to_owned() };
            let variables = [("COMPOSE_FILE".to_owned(), entry.value.clone())].into();
            match app::compose_files(&variables) {
                Err(name) => self.breach("C007", place, format!("the file {name:?} lies outside the recipe")),
                Ok(files) => {
                    for file in files {
                        if self.text(&file).is_none() {
                            self.breach("C007", place.clone(), format!("there is no file {file:?}"));
                        }
                    }
                }
            }
        }
    }

    fn readme(&mut self) {
        let place = Place::file("README.md");
        let Some(text) = self.text("README.md") else {
            return self.breach("R007", place, "there is no README.md");
        };
        let block = text.split_once("<!-- metadata -->").and_then(|(_, rest)| rest.split_once("<!-- endmetadata -->"));
        let Some((block, _)) = block else {
            return self.breach("R007", place, "README.md has no metadata block");
        };
        for key in ["Category", "Status", "Image", "Healthcheck", "Backups", "Email", "Tests", "SSO"] {
            if !block.contains(&format!("**{key}**")) {
                self.breach("R007", place.clone(), format!("the metadata block of README.md does not say {key}"));
            }
        }
    }

    fn compose_files(&mut self) {
        let exports = abra_sh::exports(&self.text("abra.sh").unwrap_or_default());
        for file in self.input.compose_files {
            let Some(text) = self.text(file) else { continue };
            if let Some(line) = text.lines().position(|line| line.starts_with("version:"))
                && !text.lines().nth(line).is_some_and(|line| line.contains("3.8"))
            {
                let line = u32::try_from(line + 1).unwrap_or(u32::MAX);
                let place = Place { file: file.clone(), line, path: "version".to_owned() };
                self.breach("R001", place, format!("{file} is of another version than 3.8"));
            } else if !text.lines().any(|line| line.starts_with("version:")) {
                self.breach("R001", Place::file(file), format!("{file} has no version"));
            }
            for place in durations_from_variables(file, &text).unwrap_or_default() {
                let message = format!("{} comes from a variable", place.path);
                self.breach("C014", place, message);
            }
            self.config_versions(file, &text, &exports);
        }
    }

    /// Looks whether the names of configs take their versions from `abra.sh`.
    fn config_versions(&mut self, file: &str, text: &str, exports: &std::collections::BTreeMap<String, String>) {
        for (key, name) in crate::compose::config_names(file, text) {
            let variables: Vec<&str> = name.variables.iter().map(String::as_str).collect();
            let versions: Vec<&&str> = variables.iter().filter(|name| name.ends_with("_VERSION")).collect();
            if versions.is_empty() {
                let message = format!("the name of the config {key} has no version of its own");
                self.breach("R012", name.place.clone(), message);
            }
            for version in versions.into_iter().filter(|version| !exports.contains_key(**version)) {
                self.breach("R012", name.place.clone(), format!("abra.sh does not export {version}"));
            }
        }
    }
}
