//! `ccctl get`: objects as a table, YAML, JSON, names or single fields; once or as they change.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::Value;

use crate::client::request::{Accept, ApiRequest};
use crate::client::watch::Watcher;
use crate::discovery::ResourceType;
use crate::error::{CommandError, Outcome, Result};
use crate::manifests::FileArguments;
use crate::objects;
use crate::output::{self, Format, jsonpath};
use crate::reference::{self, Target};
use crate::session::{Failures, Session};

use self::table::{TablePrinter, TableSettings};

mod table;

/// Print objects
#[derive(Clone, Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  ccctl get testruns -A\n  ccctl get recipe/nextcloud -o yaml\n  ccctl get tr -l recipe=nextcloud -w\n  ccctl get apps -o custom-columns=NAME:.metadata.name,DOMAIN:.spec.domain\n  ccctl get all"
)]
pub struct GetArguments {
    /// TYPE[,TYPE…], TYPE NAME… or TYPE/NAME…
    #[arg(value_name = "TYPE/NAME")]
    pub words: Vec<String>,
    /// Files that name the objects
    #[command(flatten)]
    pub files: FileArguments,
    /// table, wide, yaml, json, name, jsonpath=TEMPLATE, custom-columns=SPEC and the latter two with -file
    #[arg(short, long, default_value = "", hide_default_value = true, value_name = "FORMAT")]
    pub output: String,
    /// Objects whose labels match, such as app=web,tier!=test
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Objects whose fields match, such as metadata.name=a
    #[arg(long, value_name = "SELECTOR")]
    pub field_selector: Option<String>,
    /// In every namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Go on printing changes
    #[arg(short, long)]
    pub watch: bool,
    /// Print changes only, not what is there now
    #[arg(long)]
    pub watch_only: bool,
    /// Print changes as {type, object}; with -o json or yaml
    #[arg(long)]
    pub output_watch_events: bool,
    /// Sort by a field, such as .metadata.creationTimestamp
    #[arg(long, value_name = "JSONPATH")]
    pub sort_by: Option<String>,
    /// Add a column with all labels
    #[arg(long)]
    pub show_labels: bool,
    /// Add a column per label; repeatable, or separated by commas
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    pub label_columns: Vec<String>,
    /// Leave the headings out
    #[arg(long)]
    pub no_headers: bool,
    /// Print the kind before each name
    #[arg(long)]
    pub show_kind: bool,
    /// Print managedFields too; with -o json or yaml
    #[arg(long)]
    pub show_managed_fields: bool,
    /// Objects to ask for at once; 0 asks for all
    #[arg(long, default_value_t = objects::PAGE, value_name = "COUNT")]
    pub chunk_size: u32,
    /// Missing objects are no error
    #[arg(long)]
    pub ignore_not_found: bool,
    /// Read a subresource, such as status
    #[arg(long, value_name = "NAME")]
    pub subresource: Option<String>,
    /// Print the answer of this path of the server as it comes
    #[arg(long, value_name = "PATH", conflicts_with_all = ["words", "filename"])]
    pub raw: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// What the server refuses, and what cannot be understood.
pub async fn run(session: &Session, arguments: GetArguments) -> Result<Outcome> {
    if let Some(path) = &arguments.raw {
        return raw(session, path).await;
    }
    let format = Format::parse(&arguments.output)?;
    let targets = match arguments.files.is_given() {
        true => from_files(session, &arguments.files).await?,
        false => reference::targets(session, &arguments.words).await?,
    };
    check(&arguments, &targets)?;
    let get = Get { session, arguments: &arguments, format, several: targets.len() > 1 };
    if arguments.watch || arguments.watch_only {
        return get.watch(&targets).await;
    }
    if get.format.is_table() { get.tables(&targets).await } else { get.objects(&targets).await }
}

fn check(arguments: &GetArguments, targets: &[Target]) -> Result<()> {
    let named = targets.iter().any(|target| !target.names.is_empty());
    if named && (arguments.selector.is_some() || arguments.field_selector.is_some()) {
        return Err(CommandError::user("selectors may not be specified when a resource is named"));
    }
    if named && arguments.all_namespaces && !arguments.files.is_given() {
        return Err(CommandError::user("a resource cannot be retrieved by name across all namespaces")
            .hint("name the namespace with -n"));
    }
    if (arguments.watch || arguments.watch_only)
        && (targets.len() != 1 || targets.iter().any(|target| target.names.len() > 1))
    {
        return Err(CommandError::user("you may only specify a single resource type, or one object, with -w"));
    }
    Ok(())
}

async fn from_files(session: &Session, files: &FileArguments) -> Result<Vec<Target>> {
    let mut targets: Vec<Target> = Vec::new();
    for manifest in files.read()? {
        let in_file = |error: CommandError| error.while_doing(&format!("error in \"{}\"", manifest.source));
        let resource = manifest.resource_type(session).await.map_err(in_file)?;
        match targets.iter_mut().find(|target| target.resource == resource) {
            Some(target) => target.names.push(manifest.name().to_owned()),
            None => targets.push(Target { resource, names: vec![manifest.name().to_owned()] }),
        }
    }
    Ok(targets)
}

async fn raw(session: &Session, path: &str) -> Result<Outcome> {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let request = ApiRequest::get(path).accept(Accept::Any).unbounded();
    let client = session.client()?;
    if client.shows_requests() {
        client.show(&request)?;
        return Ok(Outcome::Success);
    }
    let mut response = client.stream(&request).await?;
    while let Some(chunk) = response.chunk().await.map_err(|error| client.unreachable(&error))? {
        session.print_bytes(&chunk)?;
    }
    Ok(Outcome::Success)
}

struct Get<'run> {
    session: &'run Session,
    arguments: &'run GetArguments,
    format: Format,
    several: bool,
}

impl Get<'_> {
    fn namespace(&self, resource: &ResourceType) -> Result<Option<String>> {
        if self.arguments.all_namespaces || !resource.namespaced {
            return Ok(None);
        }
        self.session.namespace().map(Some)
    }

    /// Returns the request for every object of a target, or for one name of it.
    fn request(&self, resource: &ResourceType, name: Option<&str>) -> Result<ApiRequest> {
        let namespace = self.namespace(resource)?;
        let mut request = match name {
            Some(name) => {
                let path = resource.object_path(namespace.as_deref(), name);
                ApiRequest::get(match &self.arguments.subresource {
                    Some(subresource) => format!("{path}/{subresource}"),
                    None => path,
                })
            }
            None => ApiRequest::get(resource.collection_path(namespace.as_deref()))
                .query_if("labelSelector", self.arguments.selector.as_deref())
                .query_if("fieldSelector", self.arguments.field_selector.as_deref()),
        };
        if self.format.is_table() {
            request = request.accept(Accept::Table);
            if self.arguments.sort_by.is_some() {
                request = request.query("includeObject", "Object");
            }
        }
        Ok(request)
    }

    fn page(&self) -> u32 {
        // Sorting needs everything at once, so that the state is that of one moment.
        if self.arguments.sort_by.is_some() { 0 } else { self.arguments.chunk_size }
    }

    fn settings(&self, resource: &ResourceType) -> TableSettings {
        TableSettings {
            wide: matches!(self.format, Format::Wide),
            show_labels: self.arguments.show_labels,
            label_columns: self.arguments.label_columns.clone(),
            with_namespace: self.arguments.all_namespaces && resource.namespaced,
            kind_prefix: (self.several || self.arguments.show_kind).then(|| resource.qualified_kind()),
            without_headings: self.arguments.no_headers,
            watches: self.arguments.watch,
        }
    }

    /// Reads what a target means: the list, or each named object. Missing names become failures.
    async fn read(&self, target: &Target, failures: &mut Failures) -> Result<Vec<Value>> {
        if target.names.is_empty() {
            let request = self.request(&target.resource, None)?;
            return match objects::list_pages(self.session, request, self.page()).await {
                Ok(list) => Ok(vec![list]),
                Err(error) => {
                    failures.add(self.session, error)?;
                    Ok(Vec::new())
                }
            };
        }
        let mut found = Vec::new();
        for name in &target.names {
            match self.session.client()?.json(self.request(&target.resource, Some(name))?).await {
                Ok(object) => found.push(object),
                Err(error) if error.is_not_found() && self.arguments.ignore_not_found => {}
                Err(error) => failures.add(self.session, error)?,
            }
        }
        Ok(found)
    }

    async fn tables(&self, targets: &[Target]) -> Result<Outcome> {
        let mut failures = Failures::default();
        let mut printed = 0_usize;
        let mut listed = false;
        let mut left_out = BTreeSet::new();
        for target in targets {
            let mut printer = TablePrinter::new(self.session, self.settings(&target.resource));
            let mut rows = Vec::new();
            for table in self.read(target, &mut failures).await? {
                listed |= target.names.is_empty();
                rows.extend(printer.rows(&table));
            }
            if let Some(sort_by) = &self.arguments.sort_by {
                sort(&mut rows, sort_by, |row| &row["object"])?;
            }
            if rows.is_empty() {
                continue;
            }
            let gap = if printed > 0 && !self.arguments.no_headers { "\n" } else { "" };
            printed += rows.len();
            self.session.print(&format!("{gap}{}", printer.render(&rows)))?;
            left_out.extend(printer.left_out().into_iter().map(str::to_owned));
        }
        self.session.note_left_out(&left_out.iter().map(String::as_str).collect::<Vec<_>>());
        if printed == 0 && listed {
            self.note_nothing_found(targets)?;
        }
        failures.finish()?;
        Ok(Outcome::Success)
    }

    fn note_nothing_found(&self, targets: &[Target]) -> Result<()> {
        let namespaced = targets.iter().any(|target| target.resource.namespaced);
        if namespaced && !self.arguments.all_namespaces {
            self.session.note(&format!("No resources found in {} namespace.", self.session.namespace()?));
        } else {
            self.session.note("No resources found");
        }
        Ok(())
    }

    async fn objects(&self, targets: &[Target]) -> Result<Outcome> {
        let mut failures = Failures::default();
        let mut found = Vec::new();
        let single = !self.several && targets.iter().all(|target| target.names.len() == 1);
        let name_of = |object: &Value| name_of(targets, object);
        for target in targets {
            for mut read in self.read(target, &mut failures).await? {
                match read["items"].take() {
                    Value::Array(items) => found.extend(items.into_iter().map(|mut item| {
                        objects::complete(&mut item, &target.resource);
                        item
                    })),
                    _ => found.push(without_items(read)),
                }
            }
        }
        if let Some(sort_by) = &self.arguments.sort_by {
            sort(&mut found, sort_by, |object| object)?;
        }
        if !self.arguments.show_managed_fields {
            found.iter_mut().for_each(output::hide_managed_fields);
        }
        let text = match (&self.format, single) {
            _ if found.is_empty() && single => String::new(),
            (Format::CustomColumns(columns), _) => {
                let headers = if self.arguments.no_headers {
                    output::columns::Headers::Hidden
                } else {
                    output::columns::Headers::Shown
                };
                columns.render(&found, headers)
            }
            (format, true) => output::render(format, &found.remove(0), &name_of),
            (format, false) => output::render(format, &output::list_of(found), &name_of),
        };
        self.session.print(&text)?;
        failures.finish()?;
        Ok(Outcome::Success)
    }

    async fn watch(&self, targets: &[Target]) -> Result<Outcome> {
        let target = targets.first().expect("a watch was checked to have one target");
        let name = target.names.first().map(String::as_str);
        let first = self.request(&target.resource, name)?;
        let listed = match name {
            Some(_) => self.session.client()?.json(first.clone()).await?,
            None => objects::list_pages(self.session, first.clone(), self.page()).await?,
        };
        let mut request = self.request(&target.resource, None)?;
        if let Some(name) = name {
            request = request.query("fieldSelector", format!("metadata.name={name}"));
        }
        if self.session.shows_requests() {
            self.session.client()?.show(&request.query("watch", "true").unbounded())?;
            return Ok(Outcome::Success);
        }
        let mut changes = ChangePrinter::new(self, target);
        if !self.arguments.watch_only {
            changes.print_listed(&listed)?;
        }
        let mut watcher = Watcher::new(self.session.client()?, request, &listed);
        loop {
            let event = watcher.next().await?;
            changes.print_event(event.change.word(), event.object)?;
        }
    }
}

/// Prints a list and then changes, with columns that stay where they are.
struct ChangePrinter<'run> {
    get: &'run Get<'run>,
    target: &'run Target,
    table: TablePrinter,
    custom: Option<output::table::Table>,
}

impl<'run> ChangePrinter<'run> {
    fn new(get: &'run Get<'run>, target: &'run Target) -> Self {
        let headers =
            if get.arguments.no_headers { output::columns::Headers::Hidden } else { output::columns::Headers::Shown };
        let custom = match &get.format {
            Format::CustomColumns(columns) => Some(columns.table(headers)),
            _ => None,
        };
        Self { table: TablePrinter::new(get.session, get.settings(&target.resource)), custom, get, target }
    }

    fn print_listed(&mut self, listed: &Value) -> Result<()> {
        if self.get.format.is_table() {
            let rows = self.table.rows(listed);
            return if rows.is_empty() { Ok(()) } else { self.get.session.print(&self.table.render(&rows)) };
        }
        for object in output::items(listed) {
            self.print_event("ADDED", object)?;
        }
        Ok(())
    }

    fn print_event(&mut self, change: &str, mut object: Value) -> Result<()> {
        if self.get.format.is_table() {
            let rows = self.table.rows(&object);
            return self.get.session.print(&self.table.render(&rows));
        }
        objects::complete(&mut object, &self.target.resource);
        if !self.get.arguments.show_managed_fields {
            output::hide_managed_fields(&mut object);
        }
        if let (Format::CustomColumns(columns), Some(table)) = (&self.get.format, &mut self.custom) {
            let text = columns.render_into(table, &[object]);
            return self.get.session.print(&text);
        }
        if self.get.arguments.output_watch_events {
            object = serde_json::json!({"type": change, "object": object});
        }
        let name = |_: &Value| String::new();
        let text = match &self.get.format {
            Format::Name => format!("{}\n", name_of(std::slice::from_ref(self.target), &object)),
            Format::Yaml => format!("---\n{}", output::yaml::to_string(&object)),
            format => output::render(format, &object, &name),
        };
        self.get.session.print(&text)
    }
}

/// `take` leaves a null behind, which must not be printed.
fn without_items(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut().filter(|fields| fields.get("items").is_some_and(Value::is_null)) {
        fields.remove("items");
    }
    object
}

fn name_of(targets: &[Target], object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match targets.iter().find(|target| target.resource.kind == kind) {
        Some(target) => format!("{}/{name}", target.resource.qualified_kind()),
        None => format!("{}/{name}", kind.to_lowercase()),
    }
}

/// Sorts by a field; what lacks the field comes first, as with kubectl.
fn sort(values: &mut [Value], sort_by: &str, object: impl Fn(&Value) -> &Value) -> Result<()> {
    let path = jsonpath::path(sort_by)?;
    let field = |value: &Value| path.find(object(value)).first().map(|found| (*found).clone());
    if !values.is_empty() && values.iter().all(|value| field(value).is_none()) {
        return Err(CommandError::user(format!(
            "couldn't find any field with path \"{sort_by}\" in the list of objects"
        ))
        .hint("see the fields there are with `ccctl explain TYPE --recursive`"));
    }
    values.sort_by(|left, right| match (field(left), field(right)) {
        (Some(left), Some(right)) => jsonpath::compare(&left, &right),
        (left, right) => left.is_some().cmp(&right.is_some()),
    });
    Ok(())
}
