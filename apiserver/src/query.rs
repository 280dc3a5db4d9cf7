//! Query parameters: read once, checked where they are used, with the answers of a Kubernetes server.

use api_types::status::{Reason, ResourceNames, Status, StatusCause};
use store::request::{DryRun, FieldValidation, WriteOptions};

use crate::request::query_values;

/// Longest field manager, in bytes.
const FIELD_MANAGER_BYTES_MAX: usize = 128;

/// The decoded pairs of a query string, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

/// Which options object a verb's parameters belong to; its name stands in the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OptionsKind {
    Create,
    Update,
    Patch,
    Delete,
    List,
}

impl OptionsKind {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch => "PatchOptions",
            Self::Delete => "DeleteOptions",
            Self::List => "ListOptions",
        }
    }
}

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        Self { pairs: query_values(query.unwrap_or_default()).collect() }
    }

    /// Returns the first value of `name`; empty when it is absent, as Kubernetes does not tell the two apart.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| key == name)
    }

    /// Returns whether a switch is on: present and not one of the words for "no".
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.has(name) && !matches!(self.text(name), "false" | "False" | "0" | "f" | "F" | "FALSE")
    }

    /// Returns a whole number.
    ///
    /// # Errors
    /// `BadRequest` in Go's words.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Status> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            Status::failure(Reason::BadRequest, format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
        })
    }

    /// Returns what a write is asked to do besides its body.
    ///
    /// # Errors
    /// `Invalid` with every cause.
    pub(crate) fn write_options(&self, kind: OptionsKind, default_manager: &str) -> Result<WriteOptions, Status> {
        let mut causes = Vec::new();
        let dry_run = match self.dry_run() {
            Ok(dry_run) => dry_run,
            Err(cause) => {
                causes.push(cause);
                DryRun::No
            }
        };
        let given = self.text("fieldManager");
        causes.extend(field_manager_cause(given));
        let field_validation = match self.text("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Strict" => FieldValidation::Strict,
            "Ignore" => FieldValidation::Ignore,
            other => {
                causes.push(cause(
                    "FieldValueNotSupported",
                    "fieldValidation",
                    format!("Unsupported value: {other:?}: supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""),
                ));
                FieldValidation::Warn
            }
        };
        refuse(kind, causes)?;
        let manager = if given.is_empty() { default_manager } else { given };
        Ok(WriteOptions { field_manager: manager.to_owned(), field_validation, dry_run, ..WriteOptions::default() })
    }

    /// Reads `dryRun`.
    pub(crate) fn dry_run(&self) -> Result<DryRun, StatusCause> {
        dry_run(self.all("dryRun").filter(|value| !value.is_empty()))
    }
}

/// Reads the values of `dryRun`, from the query or from a body.
pub(crate) fn dry_run<'a>(values: impl Iterator<Item = &'a str>) -> Result<DryRun, StatusCause> {
    let values: Vec<&str> = values.collect();
    if values.is_empty() {
        return Ok(DryRun::No);
    }
    if values.iter().all(|value| *value == "All") {
        return Ok(DryRun::All);
    }
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    let message = format!("Unsupported value: [{}]: supported values: \"All\"", quoted.join(","));
    Err(cause("FieldValueNotSupported", "dryRun", message))
}

/// Returns the manager that a client is taken to be when it does not say: its program's name.
pub(crate) fn default_manager(user_agent: Option<&str>) -> String {
    let program = user_agent.unwrap_or_default().split('/').next().unwrap_or_default();
    let printable: String = program.chars().filter(|character| !character.is_control()).collect();
    let end = printable.floor_char_boundary(FIELD_MANAGER_BYTES_MAX);
    if end == 0 { "unknown".to_owned() } else { printable[..end].to_owned() }
}

fn field_manager_cause(manager: &str) -> Option<StatusCause> {
    if manager.len() > FIELD_MANAGER_BYTES_MAX {
        let message = format!("Too long: may not be more than {FIELD_MANAGER_BYTES_MAX} bytes");
        return Some(cause("FieldValueTooLong", "fieldManager", message));
    }
    let control = manager.chars().position(char::is_control)?;
    let message = format!("Invalid value: {manager:?}: should only contain printable characters, character {control}");
    Some(cause("FieldValueInvalid", "fieldManager", message))
}

/// Returns an error when there is a cause.
///
/// # Errors
/// `Invalid` about the options object of `kind`.
pub(crate) fn refuse(kind: OptionsKind, causes: Vec<StatusCause>) -> Result<(), Status> {
    if causes.is_empty() {
        return Ok(());
    }
    let names = ResourceNames { group: "meta.k8s.io".to_owned(), plural: String::new(), kind: kind.name().to_owned() };
    Err(Status::invalid(&names, "", causes))
}

/// Makes one cause.
pub(crate) fn cause(reason: &str, field: &str, message: impl Into<String>) -> StatusCause {
    StatusCause { reason: reason.to_owned(), message: message.into(), field: field.to_owned() }
}
