//! Programs that write DNS records.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::{Change, HOOK_FAILED, Record, SolverSettings, Writer};
use crate::error::Error;
use crate::program::{Bounds, Finished, Input, Overflow, Program};
use crate::redact::Redactor;

/// Most bytes of what a program says that are looked at.
const OUTPUT_BYTES_MAX: usize = 16 << 10;
/// Most characters of it that are told.
const SAID_CHARACTERS_MAX: usize = 300;
/// Algorithms of TSIG that nsupdate knows.
const ALGORITHMS: [&str; 6] = ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"];
/// Seconds for which others may keep a record.
const TTL_SECONDS: u32 = 60;

/// Returns whether there is a program for it.
pub(super) fn check(settings: &SolverSettings, writer: &Writer) -> Result<(), Error> {
    program(settings, writer).map(drop)
}

fn program(settings: &SolverSettings, writer: &Writer) -> Result<Vec<OsString>, Error> {
    match writer {
        Writer::Hook(name) => {
            let argv = settings.hooks.get(name).filter(|argv| !argv.is_empty()).ok_or_else(|| {
                let known: Vec<&str> = settings.hooks.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message = format!(
                    "ccd's configuration names no program {name} in certificates.dns_hooks (it names {known}): add it \
                     there and restart ccd, or correct spec.source.acme.dns01.hook"
                );
                Error::terminal(HOOK_FAILED, message)
            })?;
            Ok(argv.iter().map(OsString::from).collect())
        }
        Writer::Updates { .. } => {
            let nsupdate = settings.nsupdate.clone().ok_or_else(|| {
                let message = "dynamic updates of the DNS are written with nsupdate, which is not installed: install it \
                               (Debian: apt-get install bind9-dnsutils) and restart ccd";
                Error::terminal(HOOK_FAILED, message)
            })?;
            Ok(vec![nsupdate.into_os_string()])
        }
    }
}

pub(super) async fn write(
    settings: &SolverSettings,
    redactor: &Redactor,
    writer: &Writer,
    change: Change,
    record: &Record,
) -> Result<(), Error> {
    let mut argv = program(settings, writer)?;
    let mut env = BTreeMap::from([("PATH".to_owned(), settings.path.clone()), ("LC_ALL".to_owned(), "C".to_owned())]);
    let (name, input) = match writer {
        Writer::Hook(name) => {
            let told = [
                ("ACTION", change.word()),
                ("DOMAIN", &record.domain),
                ("RECORD", &record.name),
                ("VALUE", &record.value),
            ];
            env.extend(told.map(|(name, value)| (format!("ACME_{name}"), value.to_owned())));
            argv.extend([change.word(), &record.name, &record.value].map(OsString::from));
            (name.clone(), Input::Nothing)
        }
        // On standard input: everybody on the machine can read arguments.
        Writer::Updates { server, key_name, key } => {
            ("nsupdate".to_owned(), Input::Bytes(updates(server, key_name, key, change, record)?.into_bytes()))
        }
    };
    let bounds = Bounds {
        time: settings.hook_time_max,
        stdout_bytes: OUTPUT_BYTES_MAX,
        stderr_bytes: OUTPUT_BYTES_MAX,
        overflow: Overflow::Drop,
        ..Bounds::default()
    };
    let program = Program { env, input, bounds, ..Program::new(argv, PathBuf::from("/")) };
    let place = match writer {
        Writer::Hook(_) => format!("the program {name} of certificates.dns_hooks"),
        Writer::Updates { server, .. } => format!("nsupdate at {server}"),
    };
    let what = format!("{} the TXT record {}", if change == Change::Present { "write" } else { "remove" }, record.name);
    let finished = program.run().await.map_err(|error| {
        let kind = error.kind;
        Error::new(kind, HOOK_FAILED, format!("{place} was to {what}")).because(error)
    })?;
    if finished.is_success() {
        return Ok(());
    }
    let ended = match (finished.code, finished.signal) {
        (Some(code), _) => format!("ended with {code}"),
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
    };
    let said = said(&finished, writer, redactor);
    Err(Error::retryable(HOOK_FAILED, format!("{place} was to {what}, and {ended}{said}")))
}

/// Returns the last line that a program said, without secrets.
fn said(finished: &Finished, writer: &Writer, redactor: &Redactor) -> String {
    let last = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
    };
    let Some(line) = last(&finished.stderr).or_else(|| last(&finished.stdout)) else { return String::new() };
    let own = Redactor::default();
    if let Writer::Updates { key, .. } = writer {
        own.insert("key", key.rsplit(':').next().unwrap_or_default().as_bytes());
    }
    let line = own.text(&redactor.text(&line));
    let line: String = line
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(SAID_CHARACTERS_MAX)
        .collect();
    format!(": {}", line.trim_end_matches('.'))
}

/// Returns what nsupdate is to do.
fn updates(server: &str, key_name: &str, key: &str, change: Change, record: &Record) -> Result<String, Error> {
    let key = key.trim();
    let (algorithm, secret) = key.split_once(':').unwrap_or(("hmac-sha256", key));
    let is_base64 = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
    };
    if !ALGORITHMS.contains(&algorithm) || !is_base64(secret) {
        let message = format!(
            "the TSIG key {key_name} is not base64 with one of {} and a colon before it: correct the Secret",
            ALGORITHMS.join(", ")
        );
        return Err(Error::terminal(HOOK_FAILED, message));
    }
    let (host, port) = server.rsplit_once(':').unwrap_or((server, "53"));
    let host = host.trim_matches(['[', ']']);
    let name = &record.name;
    let line = match change {
        Change::Present => format!("update add {name}. {TTL_SECONDS} IN TXT \"{}\"", record.value),
        Change::Cleanup => format!("update delete {name}. IN TXT \"{}\"", record.value),
    };
    let script = format!("server {host} {port}\nkey {algorithm}:{key_name} {secret}\n{line}\nsend\n");
    // What is put in has a grammar; this is the last look at it.
    if [host, port, key_name, &record.name, &record.value].iter().any(|text| text.contains(['\n', '\r', '"', ' '])) {
        return Err(Error::bug("InternalError", "a name with white space is to be written into the DNS"));
    }
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            domain: "example.org".to_owned(),
            name: "_acme-challenge.example.org".to_owned(),
            value: "abc_-1".to_owned(),
        }
    }

    #[test]
    fn nsupdate_is_told_one_record_and_its_key_on_standard_input() {
        let script = updates("[::1]:5353", "acme.example.org", "c2VjcmV0", Change::Present, &record()).unwrap();
        assert_eq!(
            script,
            "server ::1 5353\nkey hmac-sha256:acme.example.org c2VjcmV0\nupdate add _acme-challenge.example.org. 60 IN \
             TXT \"abc_-1\"\nsend\n"
        );
        let script = updates("ns:53", "k", "hmac-sha512:c2VjcmV0", Change::Cleanup, &record()).unwrap();
        assert!(script.contains("key hmac-sha512:k c2VjcmV0\nupdate delete _acme-challenge.example.org. IN TXT"));
        for key in ["", "rot13:c2VjcmV0", "c2Vj\nserver evil", "c2 Vj"] {
            let error = updates("ns:53", "k", key, Change::Present, &record()).unwrap_err();
            assert_eq!(error.reason, HOOK_FAILED, "{key}");
            assert!(key.is_empty() || !error.message.contains(key), "{error}");
        }
    }
}
