//! One run of ccctl: the arguments that every command takes, and the configuration, the connection and the discovery
//! that they lead to, each made when it is first asked for.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::Write as _;
use std::rc::Rc;

use jiff::Timestamp;
use serde_json::Value;

use crate::arguments::GlobalArguments;
use crate::client::Client;
use crate::config::{Connection, KubeConfig};
use crate::discovery::{Discovery, ResourceType};
use crate::environment::Environment;
use crate::error::{CommandError, Result};
use crate::output::table::{Style, Table};
use crate::output::{self, Format};

/// What a command works with.
pub struct Session {
    /// Arguments that every command takes.
    pub global: GlobalArguments,
    /// Where the process runs.
    pub environment: Environment,
    kubeconfig: OnceCell<KubeConfig>,
    connection: OnceCell<Connection>,
    client: OnceCell<Client>,
    discovery: RefCell<Option<Rc<Discovery>>>,
    has_printed_yaml: Cell<bool>,
}

impl Session {
    /// Starts a run.
    #[must_use]
    pub fn new(global: GlobalArguments, environment: Environment) -> Self {
        Self {
            global,
            environment,
            kubeconfig: OnceCell::new(),
            connection: OnceCell::new(),
            client: OnceCell::new(),
            discovery: RefCell::new(None),
            has_printed_yaml: Cell::new(false),
        }
    }

    /// Returns the time of day.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.environment.now()
    }

    /// Returns the merged kubeconfig.
    ///
    /// # Errors
    /// A named file is missing, unreadable or not a kubeconfig.
    pub fn kubeconfig(&self) -> Result<&KubeConfig> {
        if let Some(kubeconfig) = self.kubeconfig.get() {
            return Ok(kubeconfig);
        }
        let kubeconfig = KubeConfig::load(self.global.kubeconfig.as_deref(), &self.environment)?;
        Ok(self.kubeconfig.get_or_init(|| kubeconfig))
    }

    /// Returns where to connect to, and as whom.
    ///
    /// # Errors
    /// The kubeconfig or the context does not say, or says something we cannot do.
    pub fn connection(&self) -> Result<&Connection> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let connection = self.kubeconfig()?.connection(&self.global)?;
        Ok(self.connection.get_or_init(|| connection))
    }

    /// Returns the client for the server.
    ///
    /// # Errors
    /// As [`Session::connection`], and when certificates or keys cannot be read.
    pub fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(self.connection()?, &self.global, &self.environment)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Returns what the server serves, from the cache when that is young enough.
    ///
    /// # Errors
    /// As [`Session::client`], and when the server does not answer.
    pub async fn discovery(&self) -> Result<Rc<Discovery>> {
        if let Some(discovery) = self.discovery.borrow().as_ref() {
            return Ok(Rc::clone(discovery));
        }
        let folder = self.global.cache_dir.clone().or_else(|| self.environment.cache_folder());
        let discovery = Rc::new(Discovery::load(self.client()?, folder.as_deref(), self.now()).await?);
        *self.discovery.borrow_mut() = Some(Rc::clone(&discovery));
        Ok(discovery)
    }

    /// Returns what the server serves right now.
    ///
    /// # Errors
    /// As [`Session::discovery`].
    pub async fn fresh_discovery(&self) -> Result<Rc<Discovery>> {
        let discovery = self.discovery().await?;
        match discovery.refreshed(self.client()?, self.now()).await? {
            None => Ok(discovery),
            Some(fresh) => {
                let fresh = Rc::new(fresh);
                *self.discovery.borrow_mut() = Some(Rc::clone(&fresh));
                Ok(fresh)
            }
        }
    }

    /// Finds a resource type by any of its names; asks the server again before it says that there is none.
    ///
    /// # Errors
    /// There is none; the error names the nearest.
    pub async fn resource_type(&self, name: &str) -> Result<ResourceType> {
        if let Some(found) = self.discovery().await?.find(name) {
            return Ok(found.clone());
        }
        let fresh = self.fresh_discovery().await?;
        fresh.find(name).cloned().ok_or_else(|| fresh.unknown(name))
    }

    /// Finds the resource type of an `apiVersion` and `kind`; asks the server again before it says that there is none.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn resource_type_of(&self, api_version: &str, kind: &str) -> Result<Option<ResourceType>> {
        if let Some(found) = self.discovery().await?.find_kind(api_version, kind) {
            return Ok(Some(found.clone()));
        }
        Ok(self.fresh_discovery().await?.find_kind(api_version, kind).cloned())
    }

    /// Returns the resource types of a category such as `all`, as the server has them right now; none when `name` is
    /// a type's name.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn resource_types_of_category(&self, name: &str) -> Result<Vec<ResourceType>> {
        if self.discovery().await?.find(name).is_some() {
            return Ok(Vec::new());
        }
        Ok(self.fresh_discovery().await?.category(name).into_iter().cloned().collect())
    }

    /// Adds what to do about an error that says that discovery is out of date, and forgets it.
    #[must_use]
    pub fn explained(&self, error: CommandError) -> CommandError {
        match self.discovery.borrow().as_ref() {
            Some(discovery) if error.is_unknown_resource() => {
                discovery.forget();
                error.hint("the server's resource types have changed: run the command again to see how")
            }
            _ => error,
        }
    }

    /// Returns the namespace to work in: `-n`, else the context's, else `default`.
    ///
    /// # Errors
    /// As [`Session::connection`].
    pub fn namespace(&self) -> Result<String> {
        match &self.global.namespace {
            Some(namespace) => Ok(namespace.clone()),
            None => Ok(self.connection()?.namespace.clone()),
        }
    }

    /// Says whether requests are shown instead of results.
    #[must_use]
    pub fn shows_requests(&self) -> bool {
        self.global.curl
    }

    /// Says whether stdout takes colours.
    #[must_use]
    pub fn stdout_colours(&self) -> bool {
        self.environment.stdout_width.is_some() && self.environment.allows_colours() && !self.global.no_color
    }

    /// Returns how tables appear on stdout.
    #[must_use]
    pub fn table_style(&self, without_headings: bool) -> Style {
        Style {
            width_max: self.environment.stdout_width,
            colours: self.stdout_colours(),
            without_headings,
            hides_empty: false,
        }
    }

    /// Says whether stderr takes colours.
    #[must_use]
    pub fn stderr_colours(&self) -> bool {
        self.environment.stderr_is_terminal && self.environment.allows_colours() && !self.global.no_color
    }

    /// Prints data to stdout and makes sure that it arrives; prints nothing when requests are shown instead.
    ///
    /// # Errors
    /// Stdout is gone or full.
    pub fn print(&self, text: &str) -> Result<()> {
        if self.shows_requests() {
            return Ok(());
        }
        self.print_bytes(text.as_bytes())
    }

    /// Prints an object after those that were printed before it, so that all together can be read again.
    ///
    /// # Errors
    /// Stdout is gone or full.
    pub fn print_object(&self, format: &Format, object: &Value) -> Result<()> {
        if matches!(format, Format::Yaml) && self.has_printed_yaml.replace(true) {
            self.print("---\n")?;
        }
        self.print(&output::render(format, object, &|_| String::new()))
    }

    /// Prints rows of a table, and says which columns a narrow terminal has no room for.
    ///
    /// # Errors
    /// Stdout is gone or full.
    pub fn print_table(&self, table: &mut Table, rows: &[Vec<String>]) -> Result<()> {
        let known = table.left_out().len();
        self.print(&table.render(rows))?;
        let left_out = table.left_out();
        if left_out.len() > known {
            self.note_left_out(&left_out);
        }
        Ok(())
    }

    /// Says which columns of what was printed a narrow terminal has no room for.
    pub fn note_left_out(&self, headings: &[&str]) {
        if headings.is_empty() {
            return;
        }
        let width_max = self.environment.stdout_width.unwrap_or(usize::MAX);
        let mut line = "not shown on this narrow terminal:".to_owned();
        for (index, heading) in headings.iter().enumerate() {
            let comma = if index + 1 < headings.len() { "," } else { "" };
            if line.len() + heading.len() + comma.len() + 1 > width_max {
                self.note(&line);
                line = " ".to_owned();
            }
            line += &format!(" {heading}{comma}");
        }
        self.note(&line);
    }

    /// Prints bytes to stdout as they are.
    ///
    /// # Errors
    /// Stdout is gone or full.
    pub fn print_bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| CommandError::from_output(&error))
    }

    /// Prints a note for the person to stderr, unless `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.global.quiet {
            eprintln!("{text}");
        }
    }
}

/// Collects the errors of a command that goes on after each of them.
#[derive(Debug, Default)]
pub struct Failures {
    first: Option<CommandError>,
}

impl Failures {
    /// Prints an error now and remembers it for the exit code.
    ///
    /// # Errors
    /// Returns the errors that make going on pointless: the server is not there, or nobody reads our output.
    pub fn add(&mut self, session: &Session, error: CommandError) -> Result<()> {
        use crate::error::ErrorKind;
        if matches!(error.kind, ErrorKind::BrokenPipe | ErrorKind::Interrupted | ErrorKind::Network | ErrorKind::Config)
        {
            return Err(error);
        }
        let error = session.explained(error);
        error.print(session.stderr_colours());
        self.first.get_or_insert(error.reported());
        Ok(())
    }

    /// Returns the first error, if there was one.
    ///
    /// # Errors
    /// The first error that was added.
    pub fn finish(self) -> Result<()> {
        self.first.map_or(Ok(()), Err)
    }
}
