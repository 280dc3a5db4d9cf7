//! `ccctl api-resources` and `ccctl api-versions`: what the server serves.

use clap::Args;

use crate::discovery::ResourceType;
use crate::error::{CommandError, Outcome, Result};
use crate::output::table::Table;
use crate::session::Session;

/// List the resource types of the server
#[derive(Clone, Debug, Args)]
pub struct ApiResourcesArguments {
    /// Only those of this API group; '' is the core group
    #[arg(long, value_name = "GROUP")]
    pub api_group: Option<String>,
    /// Only those that live in namespaces, or only those that do not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub namespaced: Option<bool>,
    /// Only those that take all of these verbs
    #[arg(long, value_name = "VERB", value_delimiter = ',')]
    pub verbs: Vec<String>,
    /// Only those of all of these categories
    #[arg(long, value_name = "CATEGORY", value_delimiter = ',')]
    pub categories: Vec<String>,
    /// wide adds verbs and categories; name prints plural.group only
    #[arg(short, long, default_value = "", hide_default_value = true, value_name = "FORMAT")]
    pub output: String,
    /// Leave the headings out
    #[arg(long)]
    pub no_headers: bool,
    /// Sort by name or kind instead of by group
    #[arg(long, value_name = "FIELD", value_parser = ["name", "kind"])]
    pub sort_by: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// The server does not answer; the format is not known.
pub async fn run(session: &Session, arguments: ApiResourcesArguments) -> Result<Outcome> {
    let wide = match arguments.output.as_str() {
        "" | "table" | "name" => false,
        "wide" => true,
        other => {
            return Err(CommandError::user(format!("--output {other} is not available"))
                .hint("allowed formats are: wide, name"));
        }
    };
    let discovery = session.fresh_discovery().await?;
    let mut types: Vec<&ResourceType> =
        discovery.each_once().filter(|candidate| wanted(candidate, &arguments)).collect();
    match arguments.sort_by.as_deref() {
        Some("kind") => types.sort_by(|left, right| left.kind.cmp(&right.kind)),
        Some(_) => types.sort_by(|left, right| left.plural.cmp(&right.plural)),
        None => types.sort_by(|left, right| (&left.group, &left.plural).cmp(&(&right.group, &right.plural))),
    }
    if arguments.output == "name" {
        let names: String = types.iter().map(|resource| format!("{}\n", resource.qualified_plural())).collect();
        session.print(&names)?;
        return Ok(Outcome::Success);
    }
    let mut headings = vec!["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"];
    if wide {
        headings.extend(["VERBS", "CATEGORIES"]);
    }
    let style = session.table_style(arguments.no_headers);
    let mut table = Table::new(headings.into_iter().map(str::to_owned).collect(), style);
    let rows: Vec<Vec<String>> = types.iter().map(|resource| row(resource, wide)).collect();
    if rows.is_empty() {
        session.note("No resource types found");
    } else {
        session.print(&table.render(&rows))?;
    }
    Ok(Outcome::Success)
}

fn wanted(resource: &ResourceType, arguments: &ApiResourcesArguments) -> bool {
    arguments.api_group.as_ref().is_none_or(|group| *group == resource.group)
        && arguments.namespaced.is_none_or(|namespaced| namespaced == resource.namespaced)
        && arguments.verbs.iter().all(|verb| resource.supports(verb))
        && arguments.categories.iter().all(|category| resource.categories.contains(category))
}

fn row(resource: &ResourceType, wide: bool) -> Vec<String> {
    let mut row = vec![
        resource.plural.clone(),
        resource.short_names.join(","),
        resource.api_version(),
        resource.namespaced.to_string(),
        resource.kind.clone(),
    ];
    if wide {
        let mut verbs = resource.verbs.clone();
        verbs.sort();
        row.extend([verbs.join(","), resource.categories.join(",")]);
    }
    row
}

/// Prints every group and version.
///
/// # Errors
/// The server does not answer.
pub async fn versions(session: &Session) -> Result<Outcome> {
    let discovery = session.fresh_discovery().await?;
    let mut versions: Vec<String> = discovery.types.iter().map(ResourceType::api_version).collect();
    versions.sort();
    versions.dedup();
    session.print(&versions.iter().map(|version| format!("{version}\n")).collect::<String>())?;
    Ok(Outcome::Success)
}
