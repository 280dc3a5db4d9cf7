//! What `run --wait` tells on stderr while a test run goes on: each phase, and each rung of the ladder as it ends.

use std::io::Write as _;

use jiff::Timestamp;
use serde_json::Value;

use crate::commands::wait::Follower;
use crate::fields;
use crate::output::text::{Colour, coloured, harmless};
use crate::session::Session;

/// One character per step of the turning wheel.
const WHEEL: [char; 4] = ['|', '/', '-', '\\'];
/// Takes the cursor to the start of the line and clears it.
const CLEAR: &str = "\r\x1b[2K";

/// Tells how a run goes. On a terminal the last line is alive: a wheel, what is being done, and for how long.
pub(super) struct Progress<'run> {
    session: &'run Session,
    told: Vec<String>,
    alive: String,
    since: Option<Timestamp>,
    turn: usize,
}

impl<'run> Progress<'run> {
    pub(super) fn new(session: &'run Session) -> Self {
        Self { session, told: Vec::new(), alive: String::new(), since: None, turn: 0 }
    }

    /// Prints lines that were not printed before.
    fn tell(&mut self, line: String) {
        if self.told.contains(&line) {
            return;
        }
        self.clear();
        self.session.note(&line);
        self.told.push(line);
    }

    fn clear(&self) {
        if self.is_alive() {
            // A terminal that takes no more shows nothing more.
            let _ = write!(std::io::stderr(), "{CLEAR}");
        }
    }
}

impl Follower for Progress<'_> {
    fn note(&mut self, object: &Value) {
        let status = &object["status"];
        if let Some(line) = phase_line(status) {
            self.tell(line);
        }
        let is_over = super::ENDED.contains(&fields::text(status, "phase"));
        let rungs = status["rungs"].as_array().cloned().unwrap_or_default();
        for rung in rungs.iter().filter(|rung| has_ended(rung) || is_over) {
            self.tell(rung_line(rung, self.session.stderr_colours()));
        }
        let open = rungs.iter().find(|rung| !fields::text(rung, "startedAt").is_empty() && !has_ended(rung));
        let (doing, since) = match open {
            Some(rung) => (fields::text(rung, "name"), fields::text(rung, "startedAt")),
            None => (fields::text(status, "phase"), fields::text(status, "startedAt")),
        };
        self.alive = if doing.is_empty() { "Pending".to_owned() } else { harmless(doing) };
        self.since = since.parse().ok();
    }

    fn is_alive(&self) -> bool {
        self.session.environment.stderr_is_terminal && !self.session.global.quiet
    }

    fn tick(&mut self) {
        self.turn += 1;
        let wheel = WHEEL[self.turn % WHEEL.len()];
        let took = self.since.map(|since| format!(" {}", seconds_text(since, self.session.now()))).unwrap_or_default();
        let line = coloured(&format!("{wheel} {}{took}", self.alive), Colour::Cyan, self.session.stderr_colours());
        let _ = write!(std::io::stderr(), "{CLEAR}{line}");
    }

    fn end(&mut self) {
        self.clear();
    }
}

/// Returns the line for a phase; `None` for one that the command's last line tells.
fn phase_line(status: &Value) -> Option<String> {
    let phase = fields::text(status, "phase");
    match phase {
        "Queued" => {
            let position = status["queue"]["position"].as_u64().map(|place| format!(", place {place}"));
            let reason = fields::text(&status["queue"], "reason");
            let reason = if reason.is_empty() { String::new() } else { format!(": {}", harmless(reason)) };
            Some(format!("Queued{}{reason}", position.unwrap_or_default()))
        }
        "Running" => {
            let domain = fields::text(status, "domain");
            let place = if domain.is_empty() { String::new() } else { format!(" at https://{}", harmless(domain)) };
            Some(format!("Running{place}"))
        }
        _ => None,
    }
}

fn has_ended(rung: &Value) -> bool {
    let is_judged = matches!(fields::text(rung, "status"), "Pass" | "Fail" | "Skip");
    is_judged || !fields::text(rung, "finishedAt").is_empty()
}

/// Returns `✔ install 2m10s`, or with what was wrong.
fn rung_line(rung: &Value, colours: bool) -> String {
    let word = fields::text(rung, "status");
    let (mark, colour) = match word {
        "Pass" => ("✔", Colour::Green),
        "Fail" => ("✘", Colour::Red),
        "Skip" => ("–", Colour::Dim),
        _ => ("?", Colour::Yellow),
    };
    let moment = |name: &str| fields::text(rung, name).parse::<Timestamp>().ok();
    let took = moment("startedAt").zip(moment("finishedAt"));
    let took = took.map(|(from, to)| format!(" {}", seconds_text(from, to))).unwrap_or_default();
    let why: Vec<String> = ["reason", "message"]
        .into_iter()
        .map(|name| harmless(fields::text(rung, name)))
        .filter(|text| !text.is_empty())
        .collect();
    let why = match (word, why.join(": ").replace('\n', " ")) {
        ("Pass", _) => String::new(),
        (_, why) if why.is_empty() => format!(" ({word})"),
        (_, why) => format!(" ({word}) {why}"),
    };
    format!("{} {}{took}{why}", coloured(mark, colour, colours), harmless(fields::text(rung, "name")))
}

/// Returns the time between two moments: `42s`, `2m10s`, `1h05m`.
fn seconds_text(from: Timestamp, to: Timestamp) -> String {
    let seconds = (to.as_second() - from.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{phase_line, rung_line};

    #[test]
    fn rungs_are_one_line_each() {
        let rung = |name: &str, status: &str, reason: &str, message: &str| {
            rung_line(
                &json!({"name": name, "status": status, "reason": reason, "message": message,
                    "startedAt": "2026-11-21T08:00:00Z", "finishedAt": "2026-11-21T08:02:10Z"}),
                false,
            )
        };
        assert_eq!(rung("install", "Pass", "Healthy", "It answers."), "✔ install 2m10s");
        assert_eq!(
            rung("upgrade", "Fail", "RolledBack", "The service app was rolled back.\nSee its log."),
            "✘ upgrade 2m10s (Fail) RolledBack: The service app was rolled back. See its log."
        );
        assert_eq!(rung_line(&json!({"name": "lint", "status": "Unverified"}), false), "? lint (Unverified)");
        assert_eq!(rung("lint", "Skip", "\x1b[2J", ""), "– lint 2m10s (Skip) \u{fffd}[2J");
    }

    #[test]
    fn the_queue_says_what_it_waits_for() {
        let queued = json!({"phase": "Queued", "queue": {"position": 2, "reason": "no free slot on the host local"}});
        assert_eq!(phase_line(&queued).as_deref(), Some("Queued, place 2: no free slot on the host local"));
        assert_eq!(
            phase_line(&json!({"phase": "Running", "domain": "mumb-3f.ci.example"})).as_deref(),
            Some("Running at https://mumb-3f.ci.example")
        );
        assert_eq!(phase_line(&json!({"phase": "Succeeded"})), None);
    }
}
