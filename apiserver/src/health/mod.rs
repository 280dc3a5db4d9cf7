//! `/readyz`, `/livez`, `/healthz`: one line per check.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::request::query_values;

/// The checks of a server. Live means: do not kill it. Ready means: send it requests.
#[derive(Clone, Default)]
pub struct Health {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    checks: std::sync::RwLock<Vec<Check>>,
    started: AtomicBool,
    draining: AtomicBool,
}

struct Check {
    name: &'static str,
    live: bool,
    run: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// An answer: HTTP status and `text/plain` body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthAnswer {
    /// 200, 404 for an unknown check, 500 when one fails.
    pub code: u16,
    /// `ok`, or one line per check.
    pub body: String,
}

/// Whether a check that fails means that the process should be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Only takes readiness away.
    Ready,
    /// Takes liveness away too.
    Live,
}

impl Health {
    /// Adds a check. It is run on every request for health: it must be quick and must not block. The text of a failure
    /// is shown to everybody and must not be secret.
    pub fn add(
        &self,
        name: &'static str,
        severity: Severity,
        run: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        let check = Check { name, live: severity == Severity::Live, run: Box::new(run) };
        self.shared.checks.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(check);
    }

    /// Says that the start is over.
    pub fn set_started(&self) {
        self.shared.started.store(true, Ordering::Release);
    }

    /// Says that the end has begun: not ready any more, alive still.
    pub fn set_draining(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }

    /// Answers a health path such as `/readyz` or `/livez/ping`; `None` when `path` is none.
    #[must_use]
    pub fn answer(&self, path: &str, query: Option<&str>) -> Option<HealthAnswer> {
        let mut segments = path.trim_matches('/').splitn(2, '/');
        let endpoint = segments.next().filter(|endpoint| matches!(*endpoint, "readyz" | "livez" | "healthz"))?;
        let only = segments.next();
        let mut verbose = false;
        let mut excluded = Vec::new();
        for (name, value) in query_values(query.unwrap_or_default()) {
            match name.as_str() {
                "verbose" => verbose = true,
                "exclude" => excluded.push(value),
                _ => {}
            }
        }
        Some(self.render(endpoint, only, verbose, &excluded))
    }

    fn render(&self, endpoint: &str, only: Option<&str>, verbose: bool, excluded: &[String]) -> HealthAnswer {
        let mut results = self.results(endpoint == "livez");
        if let Some(only) = only {
            results.retain(|(name, _)| *name == only);
            if results.is_empty() {
                return HealthAnswer {
                    code: 404,
                    body: format!("there is no check {only:?}; /{endpoint}?verbose lists them\n"),
                };
            }
        }
        let mut body = String::new();
        let mut failed = false;
        for (name, result) in results {
            let line = match result {
                _ if excluded.iter().any(|excluded| excluded == name) => format!("[+]{name} excluded: ok\n"),
                Ok(()) => format!("[+]{name} ok\n"),
                Err(reason) => {
                    failed = true;
                    format!("[-]{name} failed: {reason}\n")
                }
            };
            body.push_str(&line);
        }
        match (failed, verbose) {
            (true, _) => HealthAnswer { code: 500, body: format!("{body}{endpoint} check failed\n") },
            (false, true) => HealthAnswer { code: 200, body: format!("{body}{endpoint} check passed\n") },
            (false, false) => HealthAnswer { code: 200, body: "ok".to_owned() },
        }
    }

    fn results(&self, live: bool) -> Vec<(&'static str, Result<(), String>)> {
        let mut results = vec![("ping", Ok(()))];
        if !live {
            let started = self.shared.started.load(Ordering::Acquire);
            results.push(("start", if started { Ok(()) } else { Err("the server is starting".to_owned()) }));
            let draining = self.shared.draining.load(Ordering::Acquire);
            results.push(("shutdown", if draining { Err("the server is stopping".to_owned()) } else { Ok(()) }));
        }
        let checks = self.shared.checks.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        results.extend(checks.iter().filter(|check| check.live || !live).map(|check| (check.name, (check.run)())));
        results
    }
}
