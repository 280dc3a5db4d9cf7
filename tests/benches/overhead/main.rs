//! What ccd costs on a real engine, which `.ci/with-engine` makes: the time of a whole run beside the same done by hand,
//! in the same minutes on the same machine, and the requests to the engine while twenty apps run and nothing happens.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::daemon::wait_a_moment;
use tests::engine;
use tests::installation::{Installation, ZONE, status_of};
use tests::recipes::{RecipeRepository, SLEEPER, bundled, version};

const BASE: &str = "1.0.0+1.0.0";
const HEAD: &str = "1.1.0+1.1.0";
/// How often each is done; the quicker one counts, because a machine disturbs but never helps.
const ROUNDS: usize = 2;
const RUN_WITHIN: Duration = Duration::from_mins(10);
const APPS: usize = 20;
/// Long enough for each App to be looked at once although nothing happens.
const IDLE_WINDOW: Duration = Duration::from_mins(3);
const RATIO_GOAL: f64 = 1.15;
const CALLS_GOAL: f64 = 2.0;

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let installation = Installation::start(folder.path(), 1)?;
    let (by_hand, by_ccd) = whole_runs(&installation, folder.path())?;
    let ratio = by_ccd.as_secs_f64() / by_hand.as_secs_f64();
    println!(
        "a whole run of the guestbook: by hand {:.1} s, by ccd {:.1} s, ratio {ratio:.2} (goal: at most {RATIO_GOAL})",
        by_hand.as_secs_f64(),
        by_ccd.as_secs_f64()
    );
    let calls = idle(&installation, folder.path())?;
    println!("requests to the engine a second while {APPS} apps run: {calls:.2} (goal: fewer than {CALLS_GOAL})");
    installation.remove()
}

/// Returns the shortest times by hand and by ccd.
fn whole_runs(installation: &Installation, folder: &Path) -> anyhow::Result<(Duration, Duration)> {
    let mut repository = RecipeRepository::new(&folder.join("guestbook"))?;
    repository.publish_bundled("guestbook", &[BASE, HEAD])?;
    apply_demo_recipe(installation, folder, &repository.url())?;
    installation.wait_for("recipes", "guestbook", "Ready")?;
    let (mut by_hand, mut by_ccd) = (Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        by_hand = by_hand.min(run_by_hand(installation, folder, round)?);
        by_ccd = by_ccd.min(run_by_ccd(installation, round)?);
    }
    Ok((by_hand, by_ccd))
}

/// Applies the Recipe of `make demo`.
fn apply_demo_recipe(installation: &Installation, folder: &Path, url: &str) -> anyhow::Result<()> {
    let path = bundled().join("../demo/recipe/recipe.yaml");
    let text = std::fs::read_to_string(path)?.replace("GUESTBOOK_URL", url);
    let file = folder.join("recipe.yaml");
    std::fs::write(&file, text)?;
    installation.kubectl(&["apply", "--filename", &file.to_string_lossy()]).map(drop)
}

fn run_by_ccd(installation: &Installation, round: usize) -> anyhow::Result<Duration> {
    let name = format!("round-{round}");
    let started = Instant::now();
    installation.apply(&[json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun", "metadata": {"name": name},
        "spec": {"recipeRef": "guestbook", "source": {"version": HEAD}},
    })])?;
    let is_finished =
        |run: &Value| matches!(run["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Error" | "Cancelled"));
    let run = installation.wait("testruns", &name, RUN_WITHIN, is_finished)?;
    let took = started.elapsed();
    anyhow::ensure!(run["status"]["phase"] == "Succeeded" && run["status"]["level"] == 5, "{:#}", run["status"]);
    Ok(took)
}

/// Does by hand, in a script, what a run does.
fn run_by_hand(installation: &Installation, folder: &Path, round: usize) -> anyhow::Result<Duration> {
    let versions = folder.join(format!("by-hand-{round}"));
    for name in [BASE, HEAD] {
        for (file, text) in version("guestbook", name)? {
            let path = versions.join(name).join(file);
            std::fs::create_dir_all(path.parent().expect("it lies in the folder"))?;
            std::fs::write(path, text)?;
        }
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/by-hand");
    let started = Instant::now();
    let output = Command::new(script)
        .args([versions.join(BASE), versions.join(HEAD)])
        .args([format!("hand-{round}.{ZONE}"), installation.https_port().to_string()])
        .arg(folder.join("cert.pem"))
        .env("DOCKER_HOST", engine::address())
        .output()?;
    let took = started.elapsed();
    anyhow::ensure!(output.status.success(), "by hand: {}", String::from_utf8_lossy(&output.stderr));
    Ok(took)
}

/// Returns how many requests a second the engine gets while nothing happens.
fn idle(installation: &Installation, folder: &Path) -> anyhow::Result<f64> {
    let compose = SLEEPER.replace("IMAGE", &engine::image());
    let files = [("compose.yml", compose.as_str()), (".env.sample", "TYPE=idle\n"), ("README.md", "# Idle\n")];
    let tree = files.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let mut repository = RecipeRepository::new(&folder.join("idle"))?;
    repository.commit(&tree, "chore: publish 1.0.0+1.0.0 release")?;
    repository.publish(BASE)?;
    let names: Vec<String> = (0..APPS).map(|number| format!("idle-{number}")).collect();
    let app = |name: &String| {
        json!({
            "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "App", "metadata": {"name": name},
            "spec": {
                "recipe": {"url": repository.url()}, "domain": format!("{name}.{ZONE}"), "deployer": "Swarm",
                "volumes": "Delete",
            },
        })
    };
    installation.apply(&names.iter().map(app).collect::<Vec<_>>())?;
    for name in &names {
        installation.wait("apps", name, RUN_WITHIN, |app| status_of(app, "Ready") == "True")?;
    }
    let (first, started) = (installation.engine_calls()?, Instant::now());
    while started.elapsed() < IDLE_WINDOW {
        wait_a_moment();
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of some hundreds")]
    let calls = (installation.engine_calls()? - first) as f64;
    Ok(calls / started.elapsed().as_secs_f64())
}
