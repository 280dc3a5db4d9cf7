//! `ccctl logs`: the log of a test run, of an app's services, or of anything else that has one.

use std::time::Duration;

use clap::Args;

use crate::client::request::{Accept, ApiRequest};
use crate::error::{CommandError, Outcome, Result};
use crate::reference;
use crate::session::Session;

/// Print the log of a test run or an app
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl logs nextcloud-pr12-3fa21c9-991\n  ccctl logs -f testrun/nextcloud-pr12-3fa21c9-991 --tail=100\n  ccctl logs nextcloud-pr12-3fa21c9-991 -c upgrade --since=10m\n  ccctl logs -f app/cloud/db"
)]
pub struct LogsArguments {
    /// NAME of a test run, TYPE/NAME, TYPE NAME, or app/NAME/SERVICE
    #[arg(value_name = "NAME", required = true)]
    pub words: Vec<String>,
    /// Go on printing until the end
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    pub tail: Option<u64>,
    /// Only what is younger than this, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = crate::arguments::parse_duration)]
    pub since: Option<Duration>,
    /// Only what is younger than this time, RFC 3339
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    pub since_time: Option<jiff::Timestamp>,
    /// Put the time before each line
    #[arg(long)]
    pub timestamps: bool,
    /// Only this step of a run, or this service of an app
    #[arg(short, long, value_name = "STEP")]
    pub container: Option<String>,
    /// Of the try before
    #[arg(short, long)]
    pub previous: bool,
}

/// Runs the command.
///
/// # Errors
/// There is no log; the server refuses.
pub async fn run(session: &Session, arguments: LogsArguments) -> Result<Outcome> {
    let (words, service) = split_service(&arguments.words);
    let container = arguments.container.clone().or(service);
    let reference = reference::single(session, &words, Some("testrun")).await?;
    if !reference.resource.has_subresource("log") {
        return Err(CommandError::user(format!("{} have no logs", reference.resource.qualified_plural()))
            .exit_with(1)
            .hint(format!(
                "see what happened with `ccctl events --for {}/{}{}`",
                reference.resource.singular,
                reference.name,
                reference.namespace_option()
            )));
    }
    let flag = |set: bool| set.then_some("true");
    let mut request = ApiRequest::get(format!("{}/log", reference.path()))
        .accept(Accept::Any)
        .query_if("container", container.as_deref())
        .query_if("follow", flag(arguments.follow))
        .query_if("previous", flag(arguments.previous))
        .query_if("timestamps", flag(arguments.timestamps))
        .query_if("tailLines", arguments.tail.map(|lines| lines.to_string()).as_deref())
        .query_if("sinceSeconds", arguments.since.map(|since| since.as_secs().max(1).to_string()).as_deref())
        .query_if("sinceTime", arguments.since_time.map(|time| time.to_string()).as_deref())
        .unbounded();
    let client = session.client()?;
    if client.shows_requests() {
        client.show(&request)?;
        return Ok(Outcome::Success);
    }
    let mut response = client.stream(&request).await?;
    let mut anything = false;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                anything = true;
                session.print_bytes(&chunk)?;
            }
            Ok(None) => break,
            Err(_) if arguments.follow && anything => {
                // What was printed must not come again: only what follows is asked for.
                session.note("note: lost the connection; going on from now");
                request.query.retain(|(name, _)| !["tailLines", "sinceSeconds", "sinceTime"].contains(&name.as_str()));
                request = request.query("tailLines", "0");
                response = client.stream(&request).await?;
                anything = false;
            }
            Err(error) => return Err(client.unreachable(&error)),
        }
    }
    if !anything && !arguments.follow {
        session.note(&format!("The log of {} is empty.", reference.text()));
    }
    Ok(Outcome::Success)
}

/// Splits `app/NAME/SERVICE` into what names the object and the service.
fn split_service(words: &[String]) -> (Vec<String>, Option<String>) {
    if let [word] = words
        && let Some((object, service)) = word.rsplit_once('/')
        && object.contains('/')
    {
        return (vec![object.to_owned()], Some(service.to_owned()));
    }
    (words.to_vec(), None)
}

#[cfg(test)]
mod tests {
    use super::split_service;

    #[test]
    fn a_service_may_stand_behind_its_app() {
        let cases: [(&[&str], &[&str], Option<&str>); 4] = [
            (&["run-1"], &["run-1"], None),
            (&["app/cloud"], &["app/cloud"], None),
            (&["app/cloud/db"], &["app/cloud"], Some("db")),
            (&["app", "cloud"], &["app", "cloud"], None),
        ];
        for (words, object, service) in cases {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let (found, found_service) = split_service(&words);
            assert_eq!((found.join(" "), found_service.as_deref()), (object.join(" "), service));
        }
    }
}
