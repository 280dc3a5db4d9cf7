//! The fake forge as a program, for `make demo` and for whoever wants to try something without a Gitea: it answers as one
//! over HTTP, keeps everything in memory, and forgets it when it ends. Not part of what is installed.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ports::clock::SystemClock;
use ports::forge::fake::{FakeForge, Seed};

const USAGE: &str = "\
Usage: fake-forge FILE [ADDRESS]

Plays a Gitea with what FILE says, until it is ended. Prints its URL. ADDRESS is 127.0.0.1:0 when left out.

FILE is JSON: {\"tokens\": {TOKEN: LOGIN}, \"organizations\": {NAME: [LOGIN]}, \"repositories\": {OWNER/NAME: {
  \"cloneUrl\": URL, \"collaborators\": {LOGIN: none|read|write|admin}, \"branches\": {NAME: COMMIT}, \"tags\": {NAME: COMMIT},
  \"pullRequests\": [{\"number\": 1, \"author\": LOGIN, \"head\": COMMIT, \"fork\": false}]}}}";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, address) = match arguments.as_slice() {
        [file] if !file.starts_with('-') => (file, "127.0.0.1:0"),
        [file, address] if !file.starts_with('-') => (file, address.as_str()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(Path::new(file), address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("fake-forge: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until the process is ended.
fn run(file: &Path, address: &str) -> Result<(), String> {
    let text = std::fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let seed: Seed = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let forge = FakeForge::new(Arc::new(SystemClock));
    forge.world().plant(&seed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("it cannot begin: {error}"))?;
    runtime.block_on(async {
        let url = forge.serve_at(address).await.map_err(|error| format!("{address} cannot be had: {error}"))?;
        println!("{url}");
        std::future::pending().await
    })
}
