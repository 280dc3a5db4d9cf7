//! `ccctl __complete`: the names that may stand where somebody is typing. Says nothing when it knows nothing: a shell
//! has no use for errors while somebody types.

use std::time::Duration;

use clap::{Args, CommandFactory as _};
use serde_json::Value;

use crate::arguments::Arguments;
use crate::client::request::{Accept, ApiRequest};
use crate::discovery::ResourceType;
use crate::error::{Outcome, Result};
use crate::fields;
use crate::objects;
use crate::session::Session;

/// Nobody waits longer for a completion.
const PATIENCE: Duration = Duration::from_secs(2);
/// Commands that take TYPE NAME or TYPE/NAME.
const OBJECT_COMMANDS: [&str; 16] = [
    "annotate", "cancel", "delete", "describe", "edit", "events", "explain", "get", "label", "patch", "resume",
    "scale", "suspend", "top", "wait", "watch",
];
/// Commands that take names of one type, and the type.
const NAME_COMMANDS: [(&str, &str); 6] = [
    ("run", "recipes"),
    ("rerun", "testruns"),
    ("cancel", "testruns"),
    ("logs", "testruns"),
    ("approve", "testruns"),
    ("deny", "testruns"),
];

/// Names for the word that is being typed
#[derive(Clone, Debug, Args)]
pub struct CompleteArguments {
    /// The words after `ccctl`, the last of which is being typed
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// What is being typed.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// The name of a resource type.
    Types,
    /// The name of an object of a type; each candidate begins with the second text.
    Objects(String, String),
    /// Anything that we have no names for.
    Nothing,
}

/// Runs the command.
///
/// # Errors
/// Stdout is gone.
pub async fn run(session: &Session, arguments: CompleteArguments) -> Result<Outcome> {
    let line = Line::read(&arguments.words);
    let found = tokio::time::timeout(PATIENCE, candidates(session, &line)).await;
    let mut names = found.ok().and_then(Result::ok).unwrap_or_default();
    names.retain(|name| name.starts_with(&line.typed));
    names.sort();
    names.dedup();
    let text: String = names.iter().map(|name| format!("{name}\n")).collect();
    session.print(&text)?;
    Ok(Outcome::Success)
}

async fn candidates(session: &Session, line: &Line) -> Result<Vec<String>> {
    match line.wanted() {
        Wanted::Nothing => Ok(Vec::new()),
        Wanted::Types => {
            let discovery = session.discovery().await?;
            let listed = discovery.types.iter().filter(|candidate| candidate.preferred && candidate.supports("list"));
            Ok(listed.map(|candidate| candidate.plural.clone()).collect())
        }
        Wanted::Objects(type_, before) => {
            let discovery = session.discovery().await?;
            let Some(resource) = discovery.find(&type_) else { return Ok(Vec::new()) };
            let namespace = match &line.namespace {
                Some(namespace) => namespace.clone(),
                None => session.namespace()?,
            };
            let names = names(session, resource, &namespace).await?;
            Ok(names.into_iter().map(|name| format!("{before}{name}")).collect())
        }
    }
}

async fn names(session: &Session, resource: &ResourceType, namespace: &str) -> Result<Vec<String>> {
    let request = ApiRequest::get(resource.collection_path(Some(namespace))).accept(Accept::Metadata);
    let list = objects::list_pages(session, request, objects::PAGE).await?;
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(items.iter().map(|item: &Value| fields::name(item).to_owned()).collect())
}

/// A command line, as far as it has been typed.
#[derive(Debug, Default)]
struct Line {
    command: String,
    /// Words after the command that are no options, without the one that is being typed.
    words: Vec<String>,
    namespace: Option<String>,
    /// The option whose value is being typed, without its hyphens.
    option: Option<String>,
    typed: String,
}

impl Line {
    fn read(words: &[String]) -> Self {
        let Some((typed, before)) = words.split_last() else { return Self::default() };
        let mut line = Self { typed: typed.clone(), ..Self::default() };
        let definition = Arguments::command();
        let mut before = before.iter();
        while let Some(word) = before.next() {
            if let Some(option) = word.strip_prefix('-') {
                let option = option.trim_start_matches('-');
                let (name, value) = match option.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (option, None),
                };
                let is_open = value.is_none() && takes_value(&definition, &line.command, name);
                let value = if is_open { before.next().cloned() } else { value };
                if is_open && value.is_none() {
                    line.option = Some(name.to_owned());
                }
                if matches!(name, "n" | "namespace") {
                    line.namespace = value;
                }
            } else if line.command.is_empty() {
                line.command.clone_from(word);
            } else {
                line.words.push(word.clone());
            }
        }
        line
    }

    fn wanted(&self) -> Wanted {
        match self.option.as_deref() {
            Some("n" | "namespace") => return Wanted::Objects("namespaces".to_owned(), String::new()),
            Some(_) => return Wanted::Nothing,
            None if self.typed.starts_with('-') => return Wanted::Nothing,
            None => {}
        }
        let named = NAME_COMMANDS.iter().find(|(command, _)| *command == self.command);
        if let Some((_, type_)) = named
            && !self.typed.contains('/')
        {
            return Wanted::Objects((*type_).to_owned(), String::new());
        }
        if !OBJECT_COMMANDS.contains(&&*self.command) && self.command != "why" {
            return Wanted::Nothing;
        }
        match (self.typed.split_once('/'), self.words.first()) {
            (Some((type_, _)), _) => Wanted::Objects(type_.to_owned(), format!("{type_}/")),
            (None, None) => Wanted::Types,
            (None, Some(first)) if first.contains('/') => Wanted::Types,
            (None, Some(type_)) => Wanted::Objects(type_.clone(), String::new()),
        }
    }
}

/// Says whether an option takes its value from the next word.
fn takes_value(definition: &clap::Command, command: &str, name: &str) -> bool {
    let all = definition
        .get_arguments()
        .chain(definition.find_subcommand(command).into_iter().flat_map(clap::Command::get_arguments));
    let is_meant = |argument: &&clap::Arg| {
        argument.get_long() == Some(name)
            || argument.get_short().is_some_and(|short| name.len() == 1 && name.starts_with(short))
    };
    all.into_iter()
        .find(is_meant)
        .is_some_and(|argument| argument.get_action().takes_values() && !argument.is_require_equals_set())
}

#[cfg(test)]
mod tests {
    use super::{Line, Wanted};

    fn wanted(line: &str) -> Wanted {
        // A space at the end begins a word.
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Line::read(&words).wanted()
    }

    fn objects(type_: &str, before: &str) -> Wanted {
        Wanted::Objects(type_.to_owned(), before.to_owned())
    }

    #[test]
    fn names_are_asked_for_where_they_may_stand() {
        let cases = [
            ("", Wanted::Nothing),
            ("ge", Wanted::Nothing),
            ("get ", Wanted::Types),
            ("get te", Wanted::Types),
            ("get testruns ", objects("testruns", "")),
            ("get testruns a b", objects("testruns", "")),
            ("describe tr/ne", objects("tr", "tr/")),
            ("why app/", objects("app", "app/")),
            ("delete app/a app/", objects("app", "app/")),
            ("run ", objects("recipes", "")),
            ("logs -f ", objects("testruns", "")),
            ("rerun x", objects("testruns", "")),
            ("-n prod get apps ", objects("apps", "")),
            ("get -o yaml apps ", objects("apps", "")),
            ("get apps -o ", Wanted::Nothing),
            ("get apps -n ", objects("namespaces", "")),
            ("get apps --namespace ", objects("namespaces", "")),
            ("get apps --sho", Wanted::Nothing),
            ("config ", Wanted::Nothing),
        ];
        for (line, expected) in cases {
            assert_eq!(wanted(line), expected, "{line:?}");
        }
    }

    #[test]
    fn the_namespace_on_the_line_counts() {
        for line in ["get apps -n prod ", "get -n=prod apps ", "--namespace prod get apps "] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(Line::read(&words).namespace.as_deref(), Some("prod"), "{line}");
        }
    }
}
