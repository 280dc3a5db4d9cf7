//! Whether records can be written for authorities that issue certificates.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use apiserver::config::Config;

use super::Finding;
use crate::environment::Environment;

/// Looks at the programs that write records of the DNS.
pub(super) fn records(config: &Config, environment: &Environment) -> Finding {
    const CHECK: &str = "dns records";
    let hooks = &config.certificates.dns_hooks;
    let is_program = |path: &str| {
        Path::new(path).metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let program = |argv: &Vec<String>| argv.first().cloned().unwrap_or_default();
    let missing: Vec<String> = hooks
        .iter()
        .filter(|(_, argv)| !is_program(&program(argv)))
        .map(|(name, argv)| format!("{name} ({})", program(argv)))
        .collect();
    if !missing.is_empty() {
        let detail = format!("certificates.dns_hooks names what is no program: {}", missing.join(", "));
        return Finding::warn(CHECK, detail, "put it there and chmod +x it, or correct certificates.dns_hooks");
    }
    let names: Vec<&str> = hooks.keys().map(String::as_str).collect();
    let hooks = if names.is_empty() { "no hooks".to_owned() } else { format!("hooks {}", names.join(", ")) };
    let updates = match environment.find_program("nsupdate") {
        Some(path) => format!("dynamic updates with {}", path.display()),
        None => "no dynamic updates (nsupdate of bind9-dnsutils)".to_owned(),
    };
    Finding::ok(CHECK, format!("{hooks}; {updates}"))
}
