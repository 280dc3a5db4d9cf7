//! `ccctl events`: what happened, oldest first.

use clap::Args;
use serde_json::Value;

use crate::client::request::ApiRequest;
use crate::client::watch::{Change, Watcher};
use crate::error::{CommandError, Outcome, Result};
use crate::fields;
use crate::objects;
use crate::output::table::Table;
use crate::output::{self, Format, text};
use crate::reference;
use crate::session::Session;

/// Print events
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl events\n  ccctl events --for testrun/nextcloud-pr12-3fa21c9-991\n  ccctl events -A --types=Warning -w"
)]
pub struct EventsArguments {
    /// Only those about this object: TYPE/NAME
    #[arg(long = "for", value_name = "TYPE/NAME")]
    pub about: Option<String>,
    /// Only those of these types: Normal, Warning
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
    /// In every namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Go on printing new events
    #[arg(short, long)]
    pub watch: bool,
    /// Leave the headings out
    #[arg(long)]
    pub no_headers: bool,
    /// table, yaml, json, name or jsonpath=…
    #[arg(short, long, default_value = "", hide_default_value = true, value_name = "FORMAT")]
    pub output: String,
}

/// Runs the command.
///
/// # Errors
/// What the server refuses, and what cannot be understood.
pub async fn run(session: &Session, arguments: EventsArguments) -> Result<Outcome> {
    let format = Format::parse(&arguments.output)?;
    for type_ in &arguments.types {
        if !["normal", "warning"].contains(&type_.to_lowercase().as_str()) {
            return Err(CommandError::user(format!("valid --types are Normal or Warning, not \"{type_}\"")));
        }
    }
    let (request, place) = request(session, &arguments).await?;
    let mut list = objects::list_pages(session, request.clone(), objects::PAGE).await?;
    let mut printer = EventPrinter::new(session, &arguments, format);
    let mut events: Vec<Value> = match list["items"].as_array_mut() {
        Some(items) => items.iter().filter(|event| printer.wants(event)).cloned().collect(),
        None => Vec::new(),
    };
    events.sort_by_key(objects::event_time);
    if events.is_empty() && !arguments.watch {
        session.note(&format!("No events found{place}."));
        return Ok(Outcome::Success);
    }
    printer.print(&events)?;
    if !arguments.watch {
        return Ok(Outcome::Success);
    }
    if session.shows_requests() {
        session.client()?.show(&request.query("watch", "true").unbounded())?;
        return Ok(Outcome::Success);
    }
    let mut watcher = Watcher::new(session.client()?, request, &list);
    loop {
        let event = watcher.next().await?;
        if event.change != Change::Deleted && printer.wants(&event.object) {
            printer.print(std::slice::from_ref(&event.object))?;
        }
    }
}

async fn request(session: &Session, arguments: &EventsArguments) -> Result<(ApiRequest, String)> {
    let Some(about) = &arguments.about else {
        if arguments.all_namespaces {
            return Ok((ApiRequest::get("/api/v1/events"), String::new()));
        }
        let namespace = session.namespace()?;
        let place = format!(" in {namespace} namespace");
        return Ok((ApiRequest::get(objects::events_path(Some(&namespace))), place));
    };
    if !about.contains('/') {
        return Err(CommandError::user(format!("--for must be in resource/name form, not \"{about}\"")));
    }
    let reference = reference::single(session, std::slice::from_ref(about), None).await?;
    let selector = format!(
        "involvedObject.kind={},involvedObject.apiVersion={},involvedObject.name={}",
        reference.resource.kind,
        reference.resource.api_version(),
        reference.name
    );
    let path = if arguments.all_namespaces {
        "/api/v1/events".to_owned()
    } else {
        objects::events_path(reference.namespace.as_deref())
    };
    Ok((ApiRequest::get(path).query("fieldSelector", selector), format!(" for {}", reference.text())))
}

struct EventPrinter<'run> {
    session: &'run Session,
    types: &'run [String],
    with_namespace: bool,
    format: Format,
    table: Table,
}

impl<'run> EventPrinter<'run> {
    fn new(session: &'run Session, arguments: &'run EventsArguments, format: Format) -> Self {
        let style = session.table_style(arguments.no_headers);
        let mut headings = Vec::new();
        if arguments.all_namespaces {
            headings.push("NAMESPACE");
        }
        headings.extend(["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
        let table = Table::new(headings.into_iter().map(str::to_owned).collect(), style);
        Self { session, types: &arguments.types, with_namespace: arguments.all_namespaces, format, table }
    }

    fn wants(&self, event: &Value) -> bool {
        self.types.is_empty() || self.types.iter().any(|type_| type_.eq_ignore_ascii_case(fields::text(event, "type")))
    }

    fn print(&mut self, events: &[Value]) -> Result<()> {
        if self.format.is_table() {
            let rows: Vec<Vec<String>> = events.iter().map(|event| self.row(event)).collect();
            return self.session.print_table(&mut self.table, &rows);
        }
        let mut events = events.to_vec();
        events.iter_mut().for_each(output::hide_managed_fields);
        let name = |event: &Value| format!("event/{}", fields::name(event));
        self.session.print(&output::render(&self.format, &output::list_of(events), &name))
    }

    fn row(&self, event: &Value) -> Vec<String> {
        let about = &event["involvedObject"];
        let mut row = Vec::new();
        if self.with_namespace {
            row.push(fields::namespace(event).unwrap_or_default().to_owned());
        }
        row.extend([
            last_seen(event, self.session.now()),
            fields::text(event, "type").to_owned(),
            fields::text(event, "reason").to_owned(),
            format!("{}/{}", fields::text(about, "kind"), fields::text(about, "name")),
            fields::text(event, "message").trim().replace('\n', " "),
        ]);
        row
    }
}

/// Returns how long ago an event was seen, and how often since when.
#[must_use]
pub fn last_seen(event: &Value, now: jiff::Timestamp) -> String {
    let last = text::age(objects::event_time(event).as_deref(), now);
    match objects::event_count(event) {
        0 | 1 => last,
        count => format!("{last} (x{count} over {})", text::age(objects::event_first_time(event).as_deref(), now)),
    }
}
