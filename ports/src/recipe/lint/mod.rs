//! Lint: what is wrong with a recipe, or will go wrong, before it is deployed.
//!
//! Rules that abra has as well keep abra's ids (`R…`); the others (`C…`) are ours, each from an accident that really
//! happened. [`RULES`] is the whole list, and the table in `docs/recipes.md` is made of it.

mod files;
mod stack;
#[cfg(test)]
mod tests;

use super::env::EnvFile;
use super::version::RecipeVersion;
use crate::compose::source::{RecipeFiles, TEXT_BYTES_MAX};
use crate::compose::{Finding, LoadError, Place, Severity, Stack};

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its id.
    pub id: &'static str,
    /// How bad a breach is.
    pub severity: Severity,
    /// What should be.
    pub should: &'static str,
    /// What to do about a breach.
    pub fix: &'static str,
}

const fn rule(id: &'static str, severity: Severity, should: &'static str, fix: &'static str) -> Rule {
    Rule { id, severity, should, fix }
}

const ERROR: Severity = Severity::Error;
const WARNING: Severity = Severity::Warning;

/// All rules.
pub const RULES: [Rule; 28] = [
    rule("R001", WARNING, "compose files say `version: \"3.8\"`", "write `version: \"3.8\"` on the first line"),
    rule(
        "R002",
        WARNING,
        "every service has a health check",
        "add `healthcheck`, so that a broken service is not taken for a running one",
    ),
    rule("R003", WARNING, "every image has a tag", "write the tag: without it, every deploy may be another version"),
    rule(
        "R004",
        WARNING,
        "no image has a tag that moves",
        "use the tag of a release instead of latest, main, nightly and the like",
    ),
    rule("R005", WARNING, "image tags say a version", "use a tag with a number in it"),
    rule(
        "R007",
        WARNING,
        "README.md has the metadata block",
        "add the block between `<!-- metadata -->` and `<!-- endmetadata -->`",
    ),
    rule("R008", ERROR, "there is a `.env.sample`", "add it: it is what an app's settings begin with"),
    rule("R009", ERROR, "one service is called `app`", "rename the main service to `app`"),
    rule("R010", WARNING, "Traefik routes to a service", "add the label `traefik.enable=true` and a router"),
    rule("R011", ERROR, "every service has an image", "add `image`: a swarm builds nothing"),
    rule(
        "R012",
        ERROR,
        "versions of configs are exported by abra.sh",
        "add `export <CONFIG>_VERSION=v1` to abra.sh, and raise it with every change",
    ),
    rule("R014", ERROR, "tags of versions are annotated", "make them with `git tag -a`: abra deploys no others"),
    rule(
        "R015",
        WARNING,
        "names of secrets are short",
        "use at most 12 characters: the stack's name comes before it, and a swarm takes 64",
    ),
    rule("C001", ERROR, "names in the swarm are at most 64 characters long", "shorten the key of the secret or config"),
    rule(
        "C002",
        ERROR,
        "a service that publishes a host port is stopped before it is started",
        "use `order: stop-first`: the new task waits for ever for the port of the old one",
    ),
    rule(
        "C003",
        WARNING,
        "only routed services are on a shared network",
        "put the service on a network of its own: on a shared one, another app's service of the same name may answer",
    ),
    rule(
        "C004",
        ERROR,
        "a routed service says its port",
        "add `traefik.http.services.${STACK_NAME}.loadbalancer.server.port`: Traefik drops the service otherwise",
    ),
    rule(
        "C005",
        WARNING,
        "an update watches for as long as health may take to fail",
        "raise `update_config.monitor` above start_period + interval × retries, or a broken update counts as done",
    ),
    rule(
        "C006",
        ERROR,
        "`depends_on` names services that are there",
        "correct the name: tools that list images fail on it",
    ),
    rule("C007", ERROR, "the files that COMPOSE_FILE names are there", "add the file, or take it out of `.env.sample`"),
    rule("C008", WARNING, "nothing of the host is mounted", "use a volume: the path may be missing on another host"),
    rule(
        "C009",
        ERROR,
        "no volume has a name of one letter",
        "give it a longer name: `d:/data` is read as a drive of Windows",
    ),
    rule("C010", ERROR, "the compose files can be loaded", "mend what is said about the line"),
    rule("C011", WARNING, "backup labels do what they look like", "correct the label"),
    rule(
        "C012",
        WARNING,
        "the service `app` says its version",
        "add the label `coop-cloud.${STACK_NAME}.version` with `<version>+<upstream's version>`",
    ),
    rule("C013", WARNING, "no key is written that a swarm does not heed", "remove it: it looks as if it did something"),
    rule(
        "C014",
        ERROR,
        "durations are written, not taken from variables",
        "write the duration itself: abra reads it before variables are replaced",
    ),
    rule(
        "C015",
        WARNING,
        "versions of secrets stand in `.env.sample`",
        "add the line, with `=v1`: the modifiers of the secret are lost without it",
    ),
];

/// A tag of the recipe's repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// Whether it is annotated.
    pub is_annotated: bool,
}

/// What is looked at.
pub struct LintInput<'a> {
    /// The checkout.
    pub files: &'a dyn RecipeFiles,
    /// The stack, with all files that `COMPOSE_FILE` names; or why it cannot be loaded.
    pub stack: Result<&'a Stack, &'a LoadError>,
    /// The files that were loaded.
    pub compose_files: &'a [String],
    /// The repository's tags; `None` when they are not known.
    pub tags: Option<&'a [Tag]>,
}

/// What lint says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Breaches, worst first.
    pub findings: Vec<Finding>,
    /// Rules that could not be looked at, with the reason. A rule that was not looked at did not pass.
    pub unverified: Vec<(&'static str, String)>,
}

impl Report {
    /// Returns whether no rule of the severity [`Severity::Error`] is broken or left out.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let is_error = |id: &str| RULES.iter().any(|rule| rule.id == id && rule.severity == Severity::Error);
        self.findings.iter().all(|finding| finding.severity < Severity::Error)
            && !self.unverified.iter().any(|(id, _)| is_error(id))
    }
}

/// Looks at a recipe.
#[must_use]
pub fn lint(input: &LintInput<'_>) -> Report {
    let mut lint = Lint { input, report: Report::default() };
    lint.files();
    match input.stack {
        Ok(stack) => lint.stack(stack),
        Err(error) => lint.unloadable(error),
    }
    lint.tags();
    lint.report.findings.sort_by(|one, other| {
        let key = |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.rule.clone());
        (key(one), &one.place).cmp(&(key(other), &other.place))
    });
    lint.report.findings.dedup();
    lint.report
}

struct Lint<'a> {
    input: &'a LintInput<'a>,
    report: Report,
}

impl Lint<'_> {
    fn breach(&mut self, id: &'static str, place: Place, message: impl Into<String>) {
        let Some(rule) = RULES.iter().find(|rule| rule.id == id) else { return };
        let message = format!("{}: {}", message.into(), rule.fix);
        self.report.findings.push(Finding { severity: rule.severity, rule: id.to_owned(), place, message });
    }

    /// Returns a text file of the recipe; `None` when there is none.
    fn text(&self, path: &str) -> Option<String> {
        let bytes = self.input.files.read(path, TEXT_BYTES_MAX).ok()?;
        String::from_utf8(bytes).ok()
    }

    fn sample(&self) -> Option<EnvFile> {
        EnvFile::parse(".env.sample", &self.text(".env.sample")?).ok()
    }

    fn unloadable(&mut self, error: &LoadError) {
        for finding in &error.findings {
            let id = if finding.rule == "InvalidImage" { "R011" } else { "C010" };
            self.breach(id, finding.place.clone(), finding.message.clone());
        }
        for rule in RULES.iter().filter(|rule| stack::NEEDS_STACK.contains(&rule.id)) {
            self.report.unverified.push((rule.id, "the compose files cannot be loaded".to_owned()));
        }
    }

    fn tags(&mut self) {
        let Some(tags) = self.input.tags else {
            self.report.unverified.push(("R014", "the repository's tags are not known".to_owned()));
            return;
        };
        for tag in tags.iter().filter(|tag| !tag.is_annotated && RecipeVersion::parse(&tag.name).is_some()) {
            self.breach("R014", Place::default(), format!("the tag {} is not annotated", tag.name));
        }
    }
}
