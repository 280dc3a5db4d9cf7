//! [`ProcessAbra`]: the `abra` program, by argument list, with an environment of its own.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::parse::{fatal, lint_rules, made_secrets, meaning, snapshot};
use super::{Abra, AbraApp, Change, LintRule, MadeSecret, SERVER, Target};
use crate::error::Error;
use crate::files::plain;
use crate::program::{Bounds, Finished, Output, Overflow, Program};
use crate::redact::Redactor;

/// Longest that a deploy may take: images may be looked up at slow registries.
const DEPLOY_TIME_MAX: Duration = Duration::from_mins(5);
/// Longest that a backup or a restore may take, its hooks included.
const BACKUP_TIME_MAX: Duration = Duration::from_mins(25);
/// Longest that anything else may take.
const TIME_MAX: Duration = Duration::from_mins(2);
/// Longest that help and version may take.
const HELP_TIME_MAX: Duration = Duration::from_secs(20);
/// The engine that abra finds by itself.
const USUAL_ENGINE: &str = "unix:///var/run/docker.sock";

/// An option of a command, in both of its spellings.
struct Flag {
    short: &'static str,
    long: &'static str,
    /// Without it the command must not be run: it would wait, ask, or do something else.
    is_needed: bool,
}

const fn flag(short: &'static str, long: &'static str) -> Flag {
    Flag { short, long, is_needed: false }
}

const fn needed(short: &'static str, long: &'static str) -> Flag {
    Flag { short, long, is_needed: true }
}

const NO_INPUT: Flag = needed("-n", "--no-input");
const OFFLINE: Flag = flag("-o", "--offline");
const CHAOS: Flag = flag("-C", "--chaos");
const CHAOS_NEEDED: Flag = needed("-C", "--chaos");
const FORCE: Flag = flag("-f", "--force");
const NO_DOMAIN_CHECKS: Flag = flag("-D", "--no-domain-checks");
const NO_CONVERGE_CHECKS: Flag = needed("-c", "--no-converge-checks");
const MACHINE: Flag = needed("-m", "--machine");
const ALL: Flag = needed("-a", "--all");
const FROM_FILE: Flag = needed("-f", "--file");
const SNAPSHOT: Flag = flag("-s", "--snapshot");

/// How a command is run.
#[derive(Clone, Copy)]
struct Way<'a> {
    /// Longest that it may take.
    time: Duration,
    /// Where it writes to.
    output: Output,
    /// Options with values, beside its flags.
    options: &'a [&'a str],
}

/// How most commands are run.
const PLAIN: Way<'_> = Way { time: TIME_MAX, output: Output::Pipes, options: &[] };
/// How those are run that do their work in a container: they ask for a terminal.
const IN_CONTAINER: Way<'_> = Way { time: BACKUP_TIME_MAX, output: Output::Terminal, options: &[] };

/// The `abra` program.
pub struct ProcessAbra {
    program: OsString,
    path: String,
    redactor: Redactor,
    help: Mutex<HashMap<String, Arc<str>>>,
}

impl ProcessAbra {
    /// Returns an abra that is `program`, a name on `path` or a path itself.
    #[must_use]
    pub fn new(program: impl Into<OsString>, path: &str, redactor: Redactor) -> Self {
        Self { program: program.into(), path: path.to_owned(), redactor, help: Mutex::default() }
    }

    fn program(&self, arguments: &[&str], cwd: PathBuf) -> Program {
        let mut argv = vec![self.program.clone()];
        argv.extend(arguments.iter().map(OsString::from));
        let mut program = Program::new(argv, cwd);
        let pairs = [
            ("PATH", &*self.path),
            ("LC_ALL", "C"),
            ("LANG", "C"),
            ("ABRA_CI", "1"),
            ("NO_COLOR", "1"),
            ("TERM", "dumb"),
        ];
        program.env = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        program.bounds = Bounds { time: TIME_MAX, overflow: Overflow::Drop, ..Bounds::default() };
        program
    }

    async fn run(&self, program: Program) -> Result<Finished, Error> {
        program.run().await.map_err(|error| match error.reason {
            "ProgramNotFound" => {
                Error::terminal("AbraNotFound", "abra is not installed, or abra.program names another place")
            }
            _ => error,
        })
    }

    /// Returns the help of a command; empty when there is none.
    async fn help(&self, command: &[&str]) -> Result<Arc<str>, Error> {
        let key = command.join(" ");
        if let Some(help) = self.help.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(help));
        }
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let mut program = self.program(&arguments, PathBuf::from("/"));
        program.bounds.time = HELP_TIME_MAX;
        let finished = self.run(program).await?;
        let help: Arc<str> = plain::text(&[finished.stdout, finished.stderr].concat()).into();
        self.help.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&help));
        Ok(help)
    }

    /// Returns the options that this abra has.
    async fn flags(&self, command: &[&str], wanted: &[Flag]) -> Result<Vec<&'static str>, Error> {
        let help = self.help(command).await?;
        let has = |flag: &Flag| {
            let mut words = help.split(|one: char| one.is_whitespace() || one == ',' || one == '=');
            words.any(|word| word == flag.long)
        };
        if let Some(missing) = wanted.iter().find(|flag| flag.is_needed && !has(flag)) {
            let message =
                format!("this abra has no option {} of {}: install a newer one", missing.long, command.join(" "));
            return Err(Error::terminal("AbraTooOld", message));
        }
        Ok(wanted.iter().filter(|flag| has(flag)).map(|flag| flag.short).collect())
    }

    /// Runs a command for an app. Returns what it wrote, plain and without secrets, or what it gave up with.
    async fn command(
        &self,
        app: &AbraApp,
        command: &[&str],
        flags: &[Flag],
        arguments: &[&str],
        way: Way<'_>,
    ) -> Result<Result<Finished, String>, Error> {
        let flags = self.flags(command, flags).await?;
        let mut all = command.to_vec();
        all.extend(flags);
        all.extend(way.options);
        // What follows can be no option, whatever it looks like.
        all.push("--");
        all.extend(arguments);
        let mut program = self.program(&all, app.folder.clone());
        let folder = app.folder.display().to_string();
        program.env.insert("ABRA_DIR".to_owned(), folder.clone());
        program.env.insert("HOME".to_owned(), format!("{folder}/home"));
        if app.engine != USUAL_ENGINE {
            program.env.insert("DOCKER_HOST".to_owned(), app.engine.clone());
        }
        (program.bounds.time, program.output) = (way.time, way.output);
        let finished = self.run(program).await?;
        // Errors are written to standard output by some versions.
        let text = self.words(&finished);
        match (fatal(&text), finished.code) {
            (Some(words), _) => Ok(Err(words)),
            (None, Some(0)) => Ok(Ok(finished)),
            (None, Some(code)) => {
                let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing").trim();
                Ok(Err(format!("{last} (exit code {code})")))
            }
            (None, None) => {
                let message = format!("abra {} was ended by a signal", command.join(" "));
                Err(Error::retryable("AbraFailed", message))
            }
        }
    }

    /// Runs a command that has no unusual outcomes.
    async fn plain_command(
        &self,
        app: &AbraApp,
        command: &[&str],
        flags: &[Flag],
        arguments: &[&str],
    ) -> Result<Change, Error> {
        match self.command(app, command, flags, arguments, PLAIN).await? {
            Ok(_) => Ok(Change::Made),
            Err(words) if is_nothing_to_do(&words) => Ok(Change::Was),
            Err(words) => Err(meaning(&words)),
        }
    }

    fn words(&self, finished: &Finished) -> String {
        let both = [finished.stdout.as_slice(), b"\n", finished.stderr.as_slice()].concat();
        self.redactor.text(&plain::text(&both))
    }
}

/// Returns whether abra only gave up because it is so already.
fn is_nothing_to_do(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    let signs = [
        "is not deployed",
        "no secrets to remove",
        "no volumes to remove",
        "already exist",
        "no secrets found",
        "no volumes found",
    ];
    signs.iter().any(|sign| words.contains(sign))
}

#[async_trait]
impl Abra for ProcessAbra {
    async fn version(&self) -> Result<String, Error> {
        let mut program = self.program(&["--version"], PathBuf::from("/"));
        program.bounds.time = HELP_TIME_MAX;
        let finished = self.run(program).await?;
        let text = plain::text(&finished.stdout);
        let word = text
            .split_whitespace()
            .find(|word| word.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit()));
        let version = word.map(|word| word.trim_start_matches('v').to_owned());
        version.ok_or_else(|| Error::terminal("AbraFailed", format!("abra --version says {:?}", text.trim())))
    }

    async fn prepare(&self, app: &AbraApp, env: &str) -> Result<(), Error> {
        lay_out(app, env).map_err(|error| crate::files::failure("abra's folder of the app cannot be written", error))
    }

    async fn deploy(&self, app: &AbraApp, target: &Target) -> Result<String, Error> {
        let command = ["app", "deploy"];
        let usual = [NO_INPUT, OFFLINE, NO_DOMAIN_CHECKS, NO_CONVERGE_CHECKS, FORCE];
        let mut arguments = vec![app.domain.as_str()];
        let mut flags = Vec::from(usual);
        match target {
            Target::Version(version) => arguments.push(version),
            Target::WorkTree => flags.push(CHAOS_NEEDED),
        }
        match self.command(app, &command, &flags, &arguments, Way { time: DEPLOY_TIME_MAX, ..PLAIN }).await? {
            Ok(finished) => Ok(self.words(&finished)),
            Err(words) => Err(meaning(&words)),
        }
    }

    async fn undeploy(&self, app: &AbraApp) -> Result<Change, Error> {
        match self.plain_command(app, &["app", "undeploy"], &[NO_INPUT, OFFLINE], &[&app.domain]).await {
            // The services are gone, their tasks are not yet; abra tries each network once.
            Err(error) if error.reason == "NetworkInUse" => Ok(Change::Made),
            other => other,
        }
    }

    async fn generate_secrets(&self, app: &AbraApp) -> Result<Vec<MadeSecret>, Error> {
        let (command, flags) = (["app", "secret", "generate"], [NO_INPUT, OFFLINE, CHAOS, MACHINE, ALL]);
        match self.command(app, &command, &flags, &[&app.domain], PLAIN).await? {
            Ok(finished) => Ok(made_secrets(&plain::text(&finished.stdout))),
            Err(words) if is_nothing_to_do(&words) || words.contains("no secrets") => Ok(Vec::new()),
            Err(words) => Err(meaning(&words)),
        }
    }

    async fn insert_secret(&self, app: &AbraApp, name: &str, version: &str, value: &[u8]) -> Result<Change, Error> {
        let file = app.folder.join("home").join(".secret");
        let put = put(&file, value);
        put.map_err(|error| crate::files::failure("the secret cannot be handed to abra", error))?;
        let path = file.display().to_string();
        let (command, flags) = (["app", "secret", "insert"], [NO_INPUT, OFFLINE, CHAOS, FROM_FILE]);
        let inserted = self.plain_command(app, &command, &flags, &[&app.domain, name, version, &path]).await;
        // Whatever happened, it does not stay.
        let removed = fs::remove_file(&file);
        let change = inserted?;
        removed.map_err(|error| crate::files::failure("the file with a secret cannot be removed", error))?;
        Ok(change)
    }

    async fn remove_secrets(&self, app: &AbraApp) -> Result<Change, Error> {
        self.plain_command(app, &["app", "secret", "remove"], &[NO_INPUT, OFFLINE, ALL], &[&app.domain]).await
    }

    async fn remove_volumes(&self, app: &AbraApp) -> Result<Change, Error> {
        let force = needed("-f", "--force");
        self.plain_command(app, &["app", "volume", "remove"], &[NO_INPUT, OFFLINE, force], &[&app.domain]).await
    }

    async fn back_up(&self, app: &AbraApp) -> Result<Option<String>, Error> {
        let command = ["app", "backup", "create"];
        match self.command(app, &command, &[NO_INPUT, OFFLINE, CHAOS], &[&app.domain], IN_CONTAINER).await? {
            Ok(finished) => Ok(snapshot(&self.words(&finished))),
            Err(words) => Err(meaning(&words)),
        }
    }

    async fn restore(&self, app: &AbraApp, snapshot: &str) -> Result<(), Error> {
        let command = ["app", "restore"];
        let option = format!("{}={snapshot}", SNAPSHOT.long);
        // An abra without it restores the newest one.
        let has_option = !self.flags(&command, &[SNAPSHOT]).await?.is_empty();
        let options = [option.as_str()];
        let way = Way { options: if has_option { &options } else { &[] }, ..IN_CONTAINER };
        match self.command(app, &command, &[NO_INPUT, OFFLINE, CHAOS], &[&app.domain], way).await? {
            Ok(_) => Ok(()),
            Err(words) => Err(meaning(&words)),
        }
    }

    async fn lint(&self, app: &AbraApp) -> Result<Vec<LintRule>, Error> {
        let (command, flags) = (["recipe", "lint"], [NO_INPUT, OFFLINE, CHAOS]);
        // The table asks the terminal how wide it is, and dies without one.
        match self.command(app, &command, &flags, &[&app.recipe], Way { output: Output::Terminal, ..PLAIN }).await? {
            Ok(finished) => {
                let rules = lint_rules(&self.words(&finished));
                if rules.is_empty() {
                    return Err(Error::terminal("AbraFailed", "abra recipe lint wrote no table that is understood"));
                }
                Ok(rules)
            }
            Err(words) => Err(meaning(&words)),
        }
    }
}

/// Lays out a folder as abra wants it: a server, an empty catalogue so that none is fetched, and the environment.
fn lay_out(app: &AbraApp, env: &str) -> io::Result<()> {
    for folder in ["home", "recipes", "catalogue", "logs", &format!("servers/{SERVER}")] {
        DirBuilder::new().recursive(true).mode(0o700).create(app.folder.join(folder))?;
    }
    put(&app.folder.join("catalogue/recipes.json"), b"{}\n")?;
    put(&app.env_file(), env.as_bytes())
}

/// Replaces a file as a whole, for its owner only.
fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&new)?.write_all(content)?;
    fs::rename(&new, path)
}
