//! The fake forge as a program: over real HTTP it is the forge that the client is tested with, and it says what is wrong
//! with what it is given.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use jiff::SignedDuration;
use ports::clock::{Clock as _, SystemClock};
use ports::forge::conformance::{self, Situation};
use ports::forge::http::{ForgeTimes, HttpForges};
use ports::forge::{ForgeAddress, ForgeToken, Forges as _, RepositoryName};

const SEED: &str = r#"{
    "tokens": {"token-of-the-bot": "bot"},
    "organizations": {"coop": ["ada", "bot"], "others": ["mallory"]},
    "repositories": {"coop/wiki": {
        "cloneUrl": "file:///srv/wiki", "collaborators": {"bot": "write"},
        "branches": {"main": "3fa21c9000000000000000000000000000000001"}, "tags": {},
        "pullRequests": [{"number": 7, "author": "ada", "head": "3fa21c9000000000000000000000000000000002"}]
    }}
}"#;

fn program(folder: &Path, seed: &str) -> Command {
    let file = folder.join("forge.json");
    std::fs::write(&file, seed).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fake-forge"));
    command.arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends with the test.
struct Played(Child);

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn as_a_program_it_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let mut played = Played(program(folder.path(), SEED).spawn().unwrap());
    let mut url = String::new();
    BufReader::new(played.0.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let address = ForgeAddress { url: url.trim().to_owned(), token: ForgeToken::new("token-of-the-bot") };
    let forge = HttpForges::open(&[], ForgeTimes::default()).unwrap().connect(&address).unwrap();
    let situation = Situation {
        repository: RepositoryName::new("coop", "wiki"),
        pull_request: 7,
        organization: Some(("coop".into(), "ada".into(), "mallory".into())),
        before: SystemClock.now() - SignedDuration::from_hours(1),
    };
    conformance::check(&*forge, &situation).await;
}

#[test]
fn a_wrong_seed_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (seed, words) in [
        (r#"{"tokens": 1}"#, "invalid type: integer `1`"),
        (r#"{"repositories": {"wiki": {}}}"#, "\"wiki\" is no repository: write OWNER/NAME"),
        (r#"{"repository": {}}"#, "unknown field `repository`"),
        (r#"{"repositories": {"a/b": {"collaborators": {"x": "owner"}}}}"#, "unknown variant `owner`"),
    ] {
        let output = program(folder.path(), seed).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(words), "{seed}: {said}");
    }
    let nothing = Command::new(env!("CARGO_BIN_EXE_fake-forge")).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).starts_with("Usage: fake-forge FILE"));
}
