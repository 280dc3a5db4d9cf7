//! `ccctl doctor`: every step between the person and the server, with a fix for each that fails.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::auth;
use crate::client::request::{Accept, ApiRequest};
use crate::error::{CommandError, ErrorKind, Outcome, Result};
use crate::fields;
use crate::output::table::Table;
use crate::output::text::{Colour, coloured};
use crate::session::Session;

/// A clock that is further off than this makes certificates and tokens fail.
const SKEW_SECONDS_MAX: i64 = 30;
/// Certificates and tokens that end sooner deserve a word.
const EXPIRY_DAYS_MIN: i64 = 14;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Failed,
}

struct Check {
    name: &'static str,
    verdict: Verdict,
    finding: String,
    fix: String,
}

/// Runs the command; exits with 1 when a check failed.
///
/// # Errors
/// Stdout is gone. Everything else is a finding.
pub async fn run(session: &Session) -> Result<Outcome> {
    let mut checks = Vec::new();
    let usable = kubeconfig(session, &mut checks);
    if usable {
        let reached = server(session, &mut checks).await;
        if reached {
            identity(session, &mut checks).await;
            resources(session, &mut checks).await;
        }
    }
    print(session, &checks)?;
    Ok(Outcome::from_yes(checks.iter().all(|check| check.verdict != Verdict::Failed)))
}

fn print(session: &Session, checks: &[Check]) -> Result<()> {
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            let word = match check.verdict {
                Verdict::Ok => "ok",
                Verdict::Warn => "warn",
                Verdict::Failed => "failed",
            };
            vec![check.name.to_owned(), word.to_owned(), check.finding.clone()]
        })
        .collect();
    let style = session.table_style(false);
    let headings = ["CHECK", "RESULT", "FINDING"].map(str::to_owned).to_vec();
    let mut text = Table::new(headings, style).render(&rows);
    for check in checks.iter().filter(|check| check.verdict != Verdict::Ok && !check.fix.is_empty()) {
        let name = coloured(check.name, Colour::Bold, session.stdout_colours());
        text += &format!("fix for {name}: {}\n", check.fix);
    }
    session.print(&text)
}

fn failed(name: &'static str, error: &CommandError) -> Check {
    let hints = error.hints.iter().filter(|hint| !hint.contains("ccctl doctor")).cloned().collect::<Vec<_>>();
    Check { name, verdict: Verdict::Failed, finding: error.message.replace('\n', " "), fix: hints.join("; or ") }
}

fn ok(name: &'static str, finding: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::Ok, finding: finding.into(), fix: String::new() }
}

fn kubeconfig(session: &Session, checks: &mut Vec<Check>) -> bool {
    let config = match session.kubeconfig() {
        Ok(config) => config,
        Err(error) => {
            checks.push(failed("kubeconfig", &error));
            return false;
        }
    };
    let connection = match session.connection() {
        Ok(connection) => connection,
        Err(error) => {
            checks.push(failed("kubeconfig", &error));
            return false;
        }
    };
    let files: Vec<String> = config.files.iter().map(|file| file.display().to_string()).collect();
    let files =
        if files.is_empty() { "no file; everything from the command line".to_owned() } else { files.join(", ") };
    checks.push(ok("kubeconfig", files));
    let context = if connection.context.is_empty() { "none" } else { &connection.context };
    checks.push(ok("context", format!("{context} ({}, namespace {})", connection.server, connection.namespace)));
    checks.extend(readable_by_others(config));
    if let Err(error) = session.client() {
        checks.push(failed("credentials", &error));
        return false;
    }
    true
}

/// A kubeconfig holds credentials: nobody else should read it.
fn readable_by_others(config: &crate::config::KubeConfig) -> Option<Check> {
    use std::os::unix::fs::PermissionsExt as _;
    let exposed = config
        .files
        .iter()
        .find(|file| std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0))?;
    Some(Check {
        name: "secrecy",
        verdict: Verdict::Warn,
        finding: format!("{} can be read by others on this machine", exposed.display()),
        fix: format!("`chmod 600 {}`", exposed.display()),
    })
}

/// Checks reachability, certificate, clock and version with one request.
async fn server(session: &Session, checks: &mut Vec<Check>) -> bool {
    let Ok(client) = session.client() else { return false };
    let answer = match client.answer(ApiRequest::get("/version").accept(Accept::Json)).await {
        Ok(answer) => answer,
        Err(error) => {
            let is_trust = error.kind == ErrorKind::Network && error.message.contains("certificate");
            checks.push(failed(if is_trust { "certificate" } else { "server" }, &error));
            return false;
        }
    };
    checks.push(ok("server", "answers"));
    checks.push(certificate(session, answer.certificate.as_deref()));
    checks.extend(answer.date.as_deref().and_then(|date| clock(date, session.now())));
    let version: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    checks.push(versions(fields::text(&version, "gitVersion")));
    checks.push(readiness(session).await);
    true
}

fn certificate(session: &Session, certificate: Option<&[u8]>) -> Check {
    let name = "certificate";
    let Ok(connection) = session.connection() else { return ok(name, "not checked") };
    let Some(certificate) = certificate else {
        return Check {
            name,
            verdict: Verdict::Warn,
            finding: "plain HTTP: everybody on the way can read the token".to_owned(),
            fix: "use the https:// address of DATA-DIR/kubeconfig".to_owned(),
        };
    };
    if connection.insecure {
        return Check {
            name,
            verdict: Verdict::Warn,
            finding: "not checked: insecure-skip-tls-verify is set".to_owned(),
            fix: "put the server's certificate-authority into the kubeconfig: copy DATA-DIR/kubeconfig".to_owned(),
        };
    }
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
        return Check {
            name,
            verdict: Verdict::Warn,
            finding: "trusted, but cannot be read".to_owned(),
            fix: String::new(),
        };
    };
    expiry(
        name,
        "trusted",
        parsed.validity().not_after.timestamp(),
        session.now(),
        "the server renews it by itself: look at its log",
    )
}

fn expiry(name: &'static str, state: &str, ends: i64, now: Timestamp, fix: &str) -> Check {
    let days = (ends - now.as_second()) / 86400;
    let finding = format!("{state}, ends in {days} days");
    if ends <= now.as_second() {
        return Check { name, verdict: Verdict::Failed, finding: "ended".to_owned(), fix: fix.to_owned() };
    }
    if days < EXPIRY_DAYS_MIN {
        return Check { name, verdict: Verdict::Warn, finding, fix: fix.to_owned() };
    }
    ok(name, finding)
}

/// Compares the `Date` header with the clock here. The header has whole seconds, hence the tolerance.
fn clock(date: &str, now: Timestamp) -> Option<Check> {
    let server = DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", date).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let skew = now.as_second() - server.as_second();
    let finding = match skew {
        -1..=1 => "agrees with the server's".to_owned(),
        2.. => format!("{skew} s ahead of the server's"),
        _ => format!("{} s behind the server's", -skew),
    };
    if skew.abs() <= SKEW_SECONDS_MAX {
        return Some(ok("clock", finding));
    }
    let fix = "set the clock of the machine that is wrong: `timedatectl set-ntp true`".to_owned();
    Some(Check { name: "clock", verdict: Verdict::Failed, finding, fix })
}

fn versions(server: &str) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    ok("version", format!("ccctl {own}, server {}", if server.is_empty() { "unknown" } else { server }))
}

/// Asks the server about itself; every failed check of its own has a line `[-]name …`.
async fn readiness(session: &Session) -> Check {
    let name = "readiness";
    let Ok(client) = session.client() else { return ok(name, "not checked") };
    match client.answer(ApiRequest::get("/readyz?verbose").accept(Accept::Any)).await {
        Ok(_) => ok(name, "the server is ready"),
        Err(error) => {
            let failing: Vec<&str> = error.message.lines().filter(|line| line.starts_with("[-]")).collect();
            let finding = if failing.is_empty() { error.message.clone() } else { failing.join(", ") };
            Check {
                name,
                verdict: Verdict::Failed,
                finding,
                fix: "look at the server's log, or run `ccd check` there".to_owned(),
            }
        }
    }
}

async fn identity(session: &Session, checks: &mut Vec<Check>) {
    match auth::self_review(session).await {
        Ok(review) => {
            let user = &review["status"]["userInfo"];
            checks.push(ok("identity", fields::text(user, "username")));
            checks.extend(token_expiry(session, user));
        }
        Err(error) => {
            let mut check = failed("identity", &error);
            "make a new token on the server's machine: `ccd token create NAME`, and put it into the kubeconfig"
                .clone_into(&mut check.fix);
            checks.push(check);
        }
    }
}

/// Finds out when the credential ends: from what the server tells with the identity, or from the token if it is a JWT.
fn token_expiry(session: &Session, user: &Value) -> Option<Check> {
    let told = user["extra"].as_object().into_iter().flatten().find(|(key, _)| key.ends_with("expires"));
    let told = told.and_then(|(_, value)| value[0].as_str()).and_then(|text| text.parse::<Timestamp>().ok());
    let ends = told.map(Timestamp::as_second).or_else(|| jwt_expiry(session.connection().ok()?.token.as_deref()?))?;
    let fix = "make a new one on the server's machine: `ccd token create NAME`";
    Some(expiry("token", "valid", ends, session.now(), fix))
}

fn jwt_expiry(token: &str) -> Option<i64> {
    use base64::Engine as _;
    let claims = token.split('.').nth(1)?;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice::<Value>(&claims).ok()?["exp"].as_i64()
}

async fn resources(session: &Session, checks: &mut Vec<Check>) {
    match session.fresh_discovery().await {
        Ok(discovery) => {
            let own = discovery.types.iter().filter(|candidate| candidate.group == api_types::meta::GROUP).count();
            checks.push(ok(
                "resources",
                format!("{} types, {own} of them of {}", discovery.types.len(), api_types::meta::GROUP),
            ));
        }
        Err(error) => {
            checks.push(failed("resources", &error));
            return;
        }
    }
    let Ok(namespace) = session.namespace() else { return };
    let mut denied = Vec::new();
    for (verb, resource) in [("list", "recipes"), ("create", "testruns"), ("patch", "recipes"), ("delete", "apps")] {
        match may(session, &namespace, verb, resource).await {
            Ok(true) => {}
            Ok(false) => denied.push(format!("{verb} {resource}")),
            Err(error) => {
                checks.push(failed("permissions", &error));
                return;
            }
        }
    }
    checks.push(if denied.is_empty() {
        ok("permissions", format!("may read and change everything in {namespace}"))
    } else {
        Check {
            name: "permissions",
            verdict: Verdict::Warn,
            finding: format!("may not {} in {namespace}", denied.join(", ")),
            fix: format!("if that is not meant: an administrator gives you a role; `ccctl auth can-i --list -n {namespace}` shows yours"),
        }
    });
}

async fn may(session: &Session, namespace: &str, verb: &str, resource: &str) -> Result<bool> {
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "namespace": namespace, "verb": verb, "group": api_types::meta::GROUP, "resource": resource,
        }},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let review = session.client()?.json(ApiRequest::post(path, &body)).await?;
    Ok(review["status"]["allowed"] == true)
}
