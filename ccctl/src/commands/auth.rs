//! `ccctl auth`: who am I, what may I do.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::request::ApiRequest;
use crate::error::{Outcome, Result};
use crate::fields;
use crate::output::table::{Style, Table};
use crate::output::{json as json_output, yaml};
use crate::session::Session;

/// Ask who you are and what you may do
#[derive(Clone, Debug, Args)]
pub struct AuthArguments {
    /// The question
    #[command(subcommand)]
    pub question: Question,
}

/// The questions.
#[derive(Clone, Debug, Subcommand)]
pub enum Question {
    /// Ask whether you may do something; exits with 1 when not
    #[command(
        after_help = "Examples:\n  ccctl auth can-i create testruns\n  ccctl auth can-i delete app/cloud -n default\n  ccctl auth can-i get /metrics\n  ccctl auth can-i --list"
    )]
    CanI(CanIArguments),
    /// Print who the server takes you for
    Whoami {
        /// json or yaml
        #[arg(short, long, value_name = "FORMAT", value_parser = ["json", "yaml"])]
        output: Option<String>,
    },
}

/// Options of `can-i`.
#[derive(Clone, Debug, Args)]
pub struct CanIArguments {
    /// Verb: get, list, watch, create, update, patch, delete or *
    #[arg(value_name = "VERB", required_unless_present = "list")]
    pub verb: Option<String>,
    /// TYPE, TYPE/NAME or a path such as /metrics
    #[arg(value_name = "TYPE", required_unless_present = "list")]
    pub resource: Option<String>,
    /// Name of the object
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Subresource, such as status
    #[arg(long, value_name = "NAME")]
    pub subresource: Option<String>,
    /// Print everything that you may do
    #[arg(long)]
    pub list: bool,
    /// In every namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// Runs the command.
///
/// # Errors
/// The server refuses to answer.
pub async fn run(session: &Session, arguments: AuthArguments) -> Result<Outcome> {
    match arguments.question {
        Question::CanI(arguments) if arguments.list => list(session).await,
        Question::CanI(arguments) => can_i(session, arguments).await,
        Question::Whoami { output } => whoami(session, output.as_deref()).await,
    }
}

async fn can_i(session: &Session, arguments: CanIArguments) -> Result<Outcome> {
    let verb = arguments.verb.unwrap_or_default();
    let target = arguments.resource.unwrap_or_default();
    let spec = if target.starts_with('/') {
        json!({"nonResourceAttributes": {"verb": verb, "path": target}})
    } else {
        let (kind, name) = target.split_once('/').map_or((target.as_str(), None), |(kind, name)| (kind, Some(name)));
        let mut attributes = json!({"verb": verb, "resource": kind});
        if kind != "*" {
            let resource = session.resource_type(kind).await?;
            attributes["resource"] = Value::from(resource.plural.clone());
            attributes["group"] = Value::from(resource.group.clone());
            attributes["version"] = Value::from(resource.version.clone());
            if !resource.namespaced && !session.global.quiet {
                session.note(&format!("Warning: resource '{}' is not namespace scoped", resource.plural));
            }
        }
        if !arguments.all_namespaces {
            attributes["namespace"] = Value::from(session.namespace()?);
        }
        if let Some(name) = name.or(arguments.name.as_deref()) {
            attributes["name"] = Value::from(name);
        }
        if let Some(subresource) = arguments.subresource {
            attributes["subresource"] = Value::from(subresource);
        }
        json!({"resourceAttributes": attributes})
    };
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
    let review = session
        .client()?
        .json(ApiRequest::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &body))
        .await?;
    let allowed = review["status"]["allowed"] == true;
    let reason = fields::text(&review["status"], "reason");
    match (allowed, reason) {
        (true, _) => session.print("yes\n")?,
        (false, "") => session.print("no\n")?,
        (false, reason) => session.print(&format!("no - {reason}\n"))?,
    }
    Ok(Outcome::from_yes(allowed || session.shows_requests()))
}

async fn list(session: &Session) -> Result<Outcome> {
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": session.namespace()?},
    });
    let review = session
        .client()?
        .json(ApiRequest::post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", &body))
        .await?;
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let bracketed = |list: Vec<String>| format!("[{}]", list.join(" "));
    let mut rows = Vec::new();
    for rule in review["status"]["resourceRules"].as_array().into_iter().flatten() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let resource = if group.is_empty() { resource } else { format!("{resource}.{group}") };
                let names = bracketed(texts(&rule["resourceNames"]));
                rows.push(vec![resource, "[]".to_owned(), names, bracketed(texts(&rule["verbs"]))]);
            }
        }
    }
    rows.sort();
    for rule in review["status"]["nonResourceRules"].as_array().into_iter().flatten() {
        let verbs = bracketed(texts(&rule["verbs"]));
        rows.push(vec![String::new(), bracketed(texts(&rule["nonResourceURLs"])), "[]".to_owned(), verbs]);
    }
    let headings = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"].map(str::to_owned).to_vec();
    let style = session.table_style(false);
    session.print(&Table::new(headings, style).render(&rows))?;
    Ok(Outcome::Success)
}

/// Asks the server whom it takes us for.
///
/// # Errors
/// The server does not take us for anybody.
pub async fn self_review(session: &Session) -> Result<Value> {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    session.client()?.json(ApiRequest::post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &body)).await
}

async fn whoami(session: &Session, output: Option<&str>) -> Result<Outcome> {
    let review = self_review(session).await?;
    match output {
        Some("json") => session.print(&json_output::to_string(&review))?,
        Some(_) => session.print(&yaml::to_string(&review))?,
        None => {
            let user = &review["status"]["userInfo"];
            let list = |value: &Value| -> String {
                let words: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                format!("[{}]", words.join(" "))
            };
            let mut rows = vec![vec!["Username".to_owned(), fields::text(user, "username").to_owned()]];
            if !fields::text(user, "uid").is_empty() {
                rows.push(vec!["UID".to_owned(), fields::text(user, "uid").to_owned()]);
            }
            rows.push(vec!["Groups".to_owned(), list(&user["groups"])]);
            for (key, value) in user["extra"].as_object().into_iter().flatten() {
                rows.push(vec![format!("Extra: {key}"), list(value)]);
            }
            let headings = vec!["ATTRIBUTE".to_owned(), "VALUE".to_owned()];
            let style = Style { colours: session.stdout_colours(), ..Style::default() };
            session.print(&Table::new(headings, style).render(&rows))?;
        }
    }
    Ok(Outcome::Success)
}
