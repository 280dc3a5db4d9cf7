//! `ccd token create|list|revoke`: works on the data directory; a running daemon sees the change at once.

use std::io::Write;
use std::str::FromStr;

use anyhow::Context as _;
use apiserver::authentication::MASTERS;
use apiserver::authentication::token_file::{self, NewToken};
use apiserver::data_dir::{DataPaths, make_private_directory};
use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};

use super::{DataDirArgument, table};
use crate::commands::Outcome;
use crate::environment::Environment;

/// Arguments of `ccd token`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What to do with tokens.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Action {
    /// Make a token and print it; it is shown this once
    Create {
        /// Name to know it by: lower-case letters, digits and '-'
        name: String,
        /// User that it stands for [default: the token's name]
        #[arg(long)]
        user: Option<String>,
        /// Group that the user is in; may be given several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// How long it works: 12h, 90d, 52w, or `never`
        #[arg(long, default_value = "90d", value_name = "TIME")]
        expires: Lifetime,
        #[command(flatten)]
        data_dir: DataDirArgument,
    },
    /// List tokens; their secrets are not kept and cannot be shown
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data_dir: DataDirArgument,
    },
    /// Revoke a token; it stops working at once
    Revoke {
        /// Its name
        name: String,
        #[command(flatten)]
        data_dir: DataDirArgument,
    },
}

/// How long a token works; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime(pub(crate) Option<SignedDuration>);

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HINT: &str = "write a number and a unit such as 12h, 90d or 52w, or `never`";
        if text == "never" {
            return Ok(Self(None));
        }
        let unit_at = text.find(|character: char| !character.is_ascii_digit()).ok_or(HINT)?;
        let (number, unit) = text.split_at(unit_at);
        let hours_each = match unit {
            "h" => 1,
            "d" => 24,
            "w" => 24 * 7,
            _ => return Err(HINT.to_owned()),
        };
        let hours = number.parse::<i64>().ok().and_then(|number| number.checked_mul(hours_each)).ok_or(HINT)?;
        if hours == 0 || hours > 24 * 366 * 100 {
            return Err("must be from 1 hour to 100 years, or `never`".to_owned());
        }
        Ok(Self(Some(SignedDuration::from_hours(hours))))
    }
}

pub(crate) fn run(arguments: &Arguments, environment: &Environment, output: &mut dyn Write) -> anyhow::Result<Outcome> {
    match &arguments.action {
        Action::Create { name, user, groups, expires, data_dir } => {
            let now = environment.clock.now();
            let expires = match expires.0 {
                None => None,
                Some(life) => Some(now.checked_add(life).context("create token: it would end after the year 9999")?),
            };
            let user = user.clone().unwrap_or_else(|| name.clone());
            let new = NewToken { name: name.clone(), user, groups: groups.clone(), expires };
            create(&data_dir.paths(environment), &new, now, output)
        }
        Action::List { json, data_dir } => list(&data_dir.paths(environment), *json, environment.clock.now(), output),
        Action::Revoke { name, data_dir } => {
            token_file::revoke(&data_dir.paths(environment).tokens(), name)?;
            eprintln!("token {name:?} is revoked");
            Ok(Outcome::Well)
        }
    }
}

fn create(paths: &DataPaths, new: &NewToken, now: Timestamp, output: &mut dyn Write) -> anyhow::Result<Outcome> {
    make_private_directory(paths.root())?;
    let token = token_file::create(&paths.tokens(), new, now)?;
    // The token alone goes to standard output, so that it can be piped; all else is for the person.
    let until = new.expires.map_or("never expires".to_owned(), |expires| format!("expires {}", shown(expires)));
    eprintln!("token {:?} for user {:?} {until}; it is shown only now:", new.name, new.user);
    if new.groups.iter().any(|group| group == MASTERS) {
        eprintln!("warning: group {MASTERS} may do everything");
    }
    writeln!(output, "{token}")?;
    Ok(Outcome::Well)
}

fn list(paths: &DataPaths, json: bool, now: Timestamp, output: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut records = token_file::read(&paths.tokens())?;
    records.sort_by(|left, right| left.name.cmp(&right.name));
    if json {
        let shown: Vec<_> = records
            .iter()
            .map(|record| {
                serde_json::json!({"name": record.name, "id": record.id, "user": record.user, "groups": record.groups,
                    "created": record.created, "expires": record.expires, "expired": record.is_expired(now)})
            })
            .collect();
        writeln!(output, "{}", serde_json::to_string_pretty(&shown)?)?;
        return Ok(Outcome::Well);
    }
    if records.is_empty() {
        eprintln!("there are no tokens; `ccd token create NAME` makes one");
        return Ok(Outcome::Well);
    }
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            let expires = match record.expires {
                None => "never".to_owned(),
                Some(time) if record.is_expired(now) => format!("{} (expired)", shown(time)),
                Some(time) => shown(time),
            };
            let groups = record.groups.join(",");
            vec![record.name.clone(), record.user.clone(), groups, shown(record.created), expires]
        })
        .collect();
    table::write(output, &["NAME", "USER", "GROUPS", "CREATED", "EXPIRES"], &rows)?;
    Ok(Outcome::Well)
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}
