//! What the daemon writes to standard error: log lines and panics, without the secrets that are in use.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};

use anyhow::Context as _;
use apiserver::config::{LogConfig, LogFormat};
use ports::redact::Redactor;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

/// Starts logging. Call it once.
pub(crate) fn start(config: &LogConfig, redactor: &Redactor) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.level)
        .with_context(|| format!("use log.level {:?}; write a level such as info", config.level))?;
    let redacting = redactor.clone();
    let writer = move || Redacting { to: io::stderr(), redactor: redacting.clone() };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_timer(SystemTime);
    let started = match config.format {
        LogFormat::Text => {
            let colour = io::IsTerminal::is_terminal(&io::stderr());
            builder.with_ansi(colour).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("start logging: {error}"))?;
    // Nobody is left to tell when writing fails.
    redact_panics(redactor.clone(), |text| drop(io::stderr().write_all(text.as_bytes())));
    Ok(())
}

/// Lets what a panic says pass through the redactor: a value may stand in the text of a failed expectation.
fn redact_panics(redactor: Redactor, write: impl Fn(&str) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let backtrace = Backtrace::capture();
        let trace = match backtrace.status() {
            BacktraceStatus::Captured => format!("{backtrace}\n"),
            _ => String::new(),
        };
        let text = format!("thread '{}' {panic}\n{trace}", thread.name().unwrap_or("without a name"));
        write(&redactor.text(&text));
    }));
}

/// Takes the secrets out of whole lines: the subscriber writes each event at once.
struct Redacting<Writer> {
    to: Writer,
    redactor: Redactor,
}

impl<Writer: Write> Write for Redacting<Writer> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.to.write_all(&self.redactor.bytes(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn lines_and_panics_leave_without_secrets() {
        let redactor = Redactor::default();
        redactor.insert("s", b"canary-of-the-log");
        let mut writer = Redacting { to: Vec::new(), redactor: redactor.clone() };
        writer.write_all(b"401 with canary-of-the-log in it\n").unwrap();
        assert_eq!(String::from_utf8(writer.to).unwrap(), "401 with [redacted] in it\n");

        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        let before = std::panic::take_hook();
        redact_panics(redactor, move |text| heard.lock().unwrap().push_str(text));
        let ended = std::panic::catch_unwind(|| panic!("no answer to canary-of-the-log"));
        std::panic::set_hook(before);
        assert!(ended.is_err());
        let said = said.lock().unwrap();
        assert!(said.contains("panicked at") && said.contains("no answer to [redacted]"), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}
