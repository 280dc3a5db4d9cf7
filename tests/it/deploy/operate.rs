//! `docs/operate.md`, followed to the letter: its `sh` blocks are run in order in one shell against a real ccd, and what
//! the other blocks name exists.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tests::daemon::program;

use super::{read, root, run, text, version};

/// Longest time in seconds that all commands of the page together may take.
const SECONDS_MAX: &str = "240";

/// Stands in for root's tools: the user is ours, and the service is a process beside the shell.
const STAND_INS: [(&str, &str); 3] = [
    ("runuser", r#"while [ "$1" != -- ]; do shift; done; shift; exec "$@""#),
    (
        "install",
        r#"words=(); for word in "$@"; do [ "$word" = --owner=ccd ] || words+=("$word"); done
PATH=${PATH#*:} exec install "${words[@]}""#,
    ),
    (
        "systemctl",
        r#"pause() { read -r -t 0.05 <> <(:) || true; }
stop() { local pid; pid=$(cat "$DATA.pid"); kill "$pid"; while kill -0 "$pid" 2>/dev/null; do pause; done; }
start() {
  ccd serve --data-dir "$DATA" --http 127.0.0.1:0 --https 127.0.0.1:0 >>"$DATA.log" 2>&1 &
  local pid=$!
  echo "$pid" >"$DATA.pid"
  until [ -e "$DATA/addresses.json" ]; do kill -0 "$pid"; pause; done
  until KUBECONFIG=$DATA/kubeconfig ccctl get --raw /readyz >/dev/null 2>&1; do kill -0 "$pid"; done
}
[ "$2" = ccd ] || exit 5
case $1 in stop) stop ;; start) start ;; restart) stop; start ;; *) exit 5 ;; esac"#,
    ),
];

/// A fenced block of the page: what stands after the fence, and its text.
struct Block {
    info: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut is_open = false;
    for line in read("docs/operate.md").lines() {
        match (line.strip_prefix("```"), is_open) {
            (Some(info), false) => found.push(Block { info: info.to_owned(), text: String::new() }),
            (Some(_), true) => {}
            (None, true) => writeln!(found.last_mut().unwrap().text, "{line}").unwrap(),
            (None, false) => {}
        }
        is_open ^= line.starts_with("```");
    }
    found
}

/// Makes the page's commands harmless here: what they write lies below `folder`, and no engine is asked.
fn script(folder: &Path) -> String {
    let commands: String =
        blocks().iter().filter(|block| block.info == "sh").map(|block| format!("{}\n", block.text)).collect();
    let host = folder.join("host.yaml");
    let example = read("deploy/examples/kinds/host.yaml");
    let socket = format!("unix://{}", folder.join("none.sock").display());
    std::fs::write(&host, example.replace("unix:///var/run/docker.sock", &socket)).unwrap();
    let here = folder.display().to_string();
    let commands = commands
        // First: the folder itself may lie there.
        .replace("/tmp/", &format!("{here}/"))
        .replace("deploy/examples/kinds/host.yaml", &host.display().to_string())
        .replace("/etc/ccd", &format!("{here}/etc"))
        .replace("/var/lib/ccd", &format!("{here}/data"));
    format!(
        "set -euo pipefail\ntrap 'kill \"$(cat \"$DATA.pid\")\"' EXIT\nexec 2>&1\nsystemctl start ccd\nset -x\n{commands}"
    )
}

#[test]
fn the_commands_of_the_page_work_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let stand_ins = folder.path().join("stand-ins");
    std::fs::create_dir(&stand_ins).unwrap();
    for (name, body) in STAND_INS {
        let path = stand_ins.join(name);
        std::fs::write(&path, format!("#!/usr/bin/env bash\nset -euo pipefail\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let programs = program("ccd").parent().unwrap().to_owned();
    let path = format!("PATH={}:{}:$PATH", stand_ins.display(), programs.display());
    let script = format!("{path}\n{}", script(folder.path()));
    let output = run(Command::new("timeout")
        .args([SECONDS_MAX, "bash", "-c", &script])
        .env("HOME", folder.path())
        .env("DATA", folder.path().join("data"))
        .current_dir(folder.path())
        .stdin(Stdio::null()));
    assert!(output.status.success(), "{}\n{}", output.status, text(&output));
    let said = text(&output);
    for expected in ["restored ", "alice", "system:masters", "store.key -> "] {
        assert!(said.contains(expected), "{expected} is missing in\n{said}");
    }
}

/// What the programs say about themselves, by the words of a command.
#[derive(Default)]
struct Helps {
    known: BTreeMap<Vec<String>, String>,
}

impl Helps {
    /// Returns the help of a command; nothing when there is no such command.
    fn help(&mut self, words: &[String]) -> String {
        let ask = || {
            let output = run(Command::new(program(&words[0])).args(&words[1..]).arg("--help").stdin(Stdio::null()));
            if output.status.success() { text(&output) } else { String::new() }
        };
        self.known.entry(words.to_vec()).or_insert_with(ask).clone()
    }

    /// Returns what is wrong with a command line of ours.
    fn judge(&mut self, line: &[&str]) -> Option<String> {
        let mut command = vec![line[0].to_owned()];
        let mut help = self.help(&command);
        for word in line[1..].iter().take_while(|word| !word.starts_with('-')) {
            let is_listed = |line: &str| line.starts_with("  ") && line.split_whitespace().next() == Some(word);
            let has_commands = help.contains("\nCommands:");
            if !has_commands {
                break;
            }
            if !help.lines().any(is_listed) {
                return Some(format!("{} has no {word}", command.join(" ")));
            }
            command.push((*word).to_owned());
            help = self.help(&command);
        }
        let flags = line.iter().filter(|word| word.starts_with("--") && word.len() > 2);
        let unknown: Vec<&str> =
            flags.map(|flag| flag.split('=').next().unwrap()).filter(|flag| !help.contains(*flag)).collect();
        (!unknown.is_empty()).then(|| format!("{} has no {}", command.join(" "), unknown.join(" ")))
    }
}

/// Returns the command lines of our programs in a block.
fn ours(block: &str) -> Vec<Vec<&str>> {
    let pieces = block.lines().flat_map(|line| line.split(['|', ';', '(', ')', '>'])).flat_map(|line| line.split("&&"));
    let command = |piece| {
        let words: Vec<&str> = str::split_whitespace(piece).collect();
        let at = words.iter().position(|word| matches!(*word, "ccd" | "ccctl"))?;
        let is_started = words[..at].iter().all(|word| matches!(*word, "$" | "#" | "as_ccd" | "docker" | "exec"));
        is_started.then(|| words[at..].to_vec())
    };
    pieces.filter_map(command).collect()
}

#[test]
fn every_command_and_flag_that_the_page_names_exists() {
    let page = read("docs/operate.md");
    let inline = page.split('`').skip(1).step_by(2).filter(|code| !code.contains('\n')).map(str::to_owned);
    let mut helps = Helps::default();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for code in blocks().into_iter().map(|block| block.text).chain(inline) {
        for line in ours(&code).iter().filter(|line| line.len() > 1) {
            seen += 1;
            wrong.extend(helps.judge(line));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 40, "the page's commands are found: {seen}");
    let invented = ["ccd backup --fast x".to_owned(), "ccctl frobnicate".to_owned()];
    for line in &invented {
        assert!(helps.judge(&ours(line)[0]).is_some(), "{line} is noticed");
    }
}

#[test]
fn what_the_page_writes_into_files_is_understood() {
    let blocks = blocks();
    let mut settings = 0;
    for block in blocks.iter().filter(|block| block.info == "toml") {
        let config: apiserver::config::Config = toml::from_str(&block.text).unwrap();
        config.check().unwrap();
        settings += 1;
    }
    assert!(settings > 1, "the page's settings are found");
    let page = read("docs/operate.md");
    let tag = regex::Regex::new(r"cc-ci:(\d[0-9.]*\d)").unwrap();
    for found in tag.captures_iter(&page) {
        assert_eq!(&found[1], version(), "the page names the image of this version");
    }
    for file in ["deploy/image/build", "deploy/stack/compose.yml", "deploy/systemd/ccd.service", "deploy/recipe"] {
        assert!(page.contains(file) && root().join(file).exists(), "{file}");
    }
}

/// What the store says of itself, in the order of the scrape.
const STORE_FIGURES: [&str; 8] = [
    "cc_store_revision",
    "cc_store_compacted_revision",
    "cc_store_objects",
    "cc_store_live_bytes",
    "cc_store_history_events",
    "cc_store_groups",
    "cc_store_writes",
    "cc_store_generations",
];

#[test]
fn every_metric_that_the_page_names_is_measured() {
    let page = read("docs/operate.md");
    let name = regex::Regex::new(r"`(cc_[a-z_]+)`").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let daemon = tests::daemon::Daemon::start(&folder.path().join("data")).unwrap();
    let metrics = tests::daemon::get(daemon.http(), "/metrics").unwrap();
    let named: Vec<&str> = name.captures_iter(&page).map(|found| found.get(1).unwrap().as_str()).collect();
    assert!(named.len() > 5, "{named:?}");
    for name in named {
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name} is not in\n{metrics}");
    }
    let of_store: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("cc_store_"))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(of_store, STORE_FIGURES);
}
