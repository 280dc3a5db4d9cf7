//! The command line reference as Markdown pages, made from the same definitions that parse the command line.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use crate::arguments::Arguments;
use crate::error::{ErrorKind, Outcome};

/// First line of every page.
const NOTICE: &str =
    "<!-- Made by ccctl's tests from its definitions: UPDATE_DOCS=1 cargo nextest run -p ccctl -->\n\n";

/// Returns the page of another program's commands, which is made elsewhere and lies beside ours.
#[must_use]
pub fn page_of(mut root: Command, notice: &str) -> String {
    root.build();
    let mut text = format!("{notice}# {}\n\n{}\n\n", root.get_name(), about(&root));
    let name = root.get_name().to_owned();
    for command in root.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        section(&mut text, command, &format!("{name} {}", command.get_name()), 2);
    }
    text
}

/// Name of the page of the daemon's commands.
pub const DAEMON_PAGE: &str = "ccd.md";

/// Returns every page: file name and text.
#[must_use]
pub fn pages() -> Vec<(String, String)> {
    let mut root = Arguments::command();
    root.build();
    let mut pages = vec![("README.md".to_owned(), index(&root)), ("exit-codes.md".to_owned(), exit_codes())];
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        pages.push((format!("{}.md", command.get_name()), page(command)));
    }
    pages
}

fn index(root: &Command) -> String {
    let mut text =
        format!("{NOTICE}# ccctl\n\n{}\n\n## Commands\n\n| command | what it does |\n|---|---|\n", about(root));
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        let short = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "| [`{name}`]({name}.md) | {} |", short.replace('|', "\\|"));
    }
    text += "\n## Options of every command\n\n";
    let _ = write!(text, "{}", options(root.get_arguments().filter(|argument| argument.is_global_set())));
    text += "\nData goes to standard output, notes and progress to standard error. Colours and narrow columns appear on a terminal \
             only; `NO_COLOR` turns colours off. [Exit codes](exit-codes.md). The daemon has commands of its own: [ccd](ccd.md).\n";
    text
}

fn exit_codes() -> String {
    let mut text = format!("{NOTICE}# Exit codes\n\n| code | meaning |\n|---|---|\n");
    let _ = writeln!(text, "| {} | Done |", Outcome::Success.exit_code());
    let mut rows: Vec<(u8, String)> =
        ErrorKind::ALL.into_iter().map(|(kind, meaning)| (kind.exit_code(), meaning.to_owned())).collect();
    rows.extend(Outcome::OF_RUNS.map(|(outcome, meaning)| (outcome.exit_code(), meaning.to_owned())));
    rows.sort();
    for (code, meaning) in rows {
        let _ = writeln!(text, "| {code} | {meaning} |");
    }
    text += "\n`diff` answers 0 when nothing would change, 1 when something would, and 2 or more when it could not find out.\n\
             A command that goes on after an error ends with the code of the first one.\n";
    text
}

fn page(command: &Command) -> String {
    let mut text = NOTICE.to_owned();
    section(&mut text, command, &format!("ccctl {}", command.get_name()), 1);
    text
}

fn section(text: &mut String, command: &Command, name: &str, depth: usize) {
    let _ = write!(text, "{} {name}\n\n{}\n\n", "#".repeat(depth), about(command));
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let _ = write!(text, "```\n{usage}\n```\n\n");
    let aliases: Vec<String> = command.get_visible_aliases().map(|alias| format!("`{alias}`")).collect();
    if !aliases.is_empty() {
        let _ = write!(text, "Also: {}\n\n", aliases.join(", "));
    }
    let own = options(command.get_arguments().filter(|argument| !argument.is_global_set()));
    if !own.is_empty() {
        let _ = writeln!(text, "{own}");
    }
    if let Some(after) = command.get_after_help() {
        let after = after.to_string();
        let (title, lines) = after.split_once('\n').unwrap_or(("", &after));
        let _ = write!(text, "{title}\n\n```\n{}\n```\n\n", unindented(lines));
    }
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        section(text, inner, &format!("{name} {}", inner.get_name()), depth + 1);
    }
}

fn unindented(lines: &str) -> String {
    lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn about(command: &Command) -> String {
    command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default()
}

fn options<'command>(arguments: impl Iterator<Item = &'command Arg>) -> String {
    let rows: Vec<String> = arguments
        .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help" && argument.get_id() != "version")
        .map(row)
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("| option | meaning |\n|---|---|\n{}", rows.concat())
}

fn row(argument: &Arg) -> String {
    let value = argument.get_value_names().into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let takes_value = argument.get_action().takes_values();
    let names: Vec<String> = argument
        .get_short()
        .map(|short| format!("`-{short}`"))
        .into_iter()
        .chain(argument.get_long().map(|long| match takes_value {
            true => format!("`--{long} {value}`"),
            false => format!("`--{long}`"),
        }))
        .collect();
    let name = if names.is_empty() { format!("`{value}`") } else { names.join(", ") };
    let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let choices: Vec<String> = argument
        .get_possible_values()
        .into_iter()
        .filter(|choice| !choice.is_hide_set())
        .map(|choice| match choice.get_help() {
            Some(help) => format!("`{}`: {help}", choice.get_name()),
            None => format!("`{}`", choice.get_name()),
        })
        .collect();
    if takes_value && !choices.is_empty() && choices != ["`true`", "`false`"] {
        meaning += &format!(" ({})", choices.join("; "));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if takes_value && !argument.is_hide_default_value_set() && !defaults.is_empty() {
        meaning += &format!("; default `{}`", defaults.join(","));
    }
    format!("| {} | {} |\n", name.replace('|', "\\|"), meaning.replace('|', "\\|").replace('\n', " "))
}
