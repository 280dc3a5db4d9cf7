//! Starts the real program with a home folder of its own and shows what it did as one text.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use crate::server::Server;

/// A home folder with a kubeconfig for one server.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    address: String,
}

impl Home {
    pub(crate) fn new(server: &Server) -> Self {
        Self::with_address(&server.address)
    }

    pub(crate) fn with_address(address: &str) -> Self {
        let home = Self::empty();
        home.write(
            ".kube/config",
            &format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters:\n- name: c\n  cluster: {{server: 'http://{address}'}}\nusers:\n- name: u\n  user: {{token: secret-token}}\ncontexts:\n- name: here\n  context: {{cluster: c, user: u}}\n- name: there\n  context: {{cluster: c, user: u, namespace: other}}\n"
            ),
        );
        Self { address: address.to_owned(), ..home }
    }

    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), address: "nowhere".to_owned() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ccctl"));
        command.args(arguments).env_clear().env("HOME", self.folder.path()).current_dir(self.folder.path());
        command
    }

    /// Runs the program; returns stdout, stderr and exit code as one text with nothing in it that changes.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        self.shown(&self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs one command after the other and returns what a person would have seen.
    pub(crate) fn transcript(&self, cases: &[&[&str]]) -> String {
        let shown = |arguments: &&[&str]| {
            let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
            format!("$ ccctl {}\n{}", words.join(" "), self.run(arguments))
        };
        cases.iter().map(shown).collect::<Vec<_>>().join("\n")
    }

    /// As [`Home::run`], with a text on stdin.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> String {
        let mut child = self.spawn_with_input(arguments);
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        self.shown(&child.wait_with_output().unwrap())
    }

    fn spawn_with_input(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts the program and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn shown(&self, output: &Output) -> String {
        let mut text = String::new();
        text += &String::from_utf8_lossy(&output.stdout);
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            text += &format!("[stderr] {line}\n");
        }
        text += &format!("[exit {}]\n", output.status.code().map_or("by signal".to_owned(), |code| code.to_string()));
        let folder = self.folder.path().display().to_string();
        redacted(&text.replace(&folder, "HOME").replace(&self.address, "ADDRESS"))
    }
}

fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "-_=./,:@+".contains(character);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

/// Replaces ages, which grow, by one word.
fn redacted(text: &str) -> String {
    let ages = regex::Regex::new(r"\b\d+(d|h|y\d+d|d\d+h)\b").unwrap();
    ages.replace_all(text, "AGE").into_owned()
}
