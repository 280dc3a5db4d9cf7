//! The stack file and the recipes: ours and the bundled ones pass our own linter.

use std::collections::BTreeMap;

use ports::compose::{CheckoutFiles, LoadInput, RecipeFiles as _, Stack, load};
use ports::recipe::app::{AppEnvironment, compose_files};
use ports::recipe::env::EnvFile;
use ports::recipe::lint::{LintInput, Report, Tag, lint};

use super::{read, root, version};

/// A checkout of a recipe: what it is called, where it lies, and which rules it breaks knowingly.
struct Checkout {
    recipe: &'static str,
    folder: &'static str,
    breaks: &'static [&'static str],
}

const CHECKOUTS: [Checkout; 5] = [
    Checkout { recipe: "guestbook", folder: "deploy/recipes/guestbook/versions/1.0.0+1.0.0", breaks: &[] },
    Checkout { recipe: "guestbook", folder: "deploy/recipes/guestbook/versions/1.1.0+1.1.0", breaks: &[] },
    // C008: who looks after a swarm needs the engine's socket, which is on the host.
    Checkout { recipe: "traefik", folder: "deploy/recipes/traefik/versions/1.0.0+v3.7.15", breaks: &["C008"] },
    Checkout { recipe: "traefik", folder: "deploy/recipes/traefik/versions/1.1.0+v3.7.15", breaks: &["C008"] },
    Checkout { recipe: "cc-ci", folder: "deploy/recipe", breaks: &["C008"] },
];

/// Reads a checkout as a deploy does, and lints it as a run does.
fn look(checkout: &Checkout) -> (Stack, Report) {
    let files = CheckoutFiles::open(&root().join(checkout.folder)).unwrap();
    let text = |name: &str| String::from_utf8(files.read(name, 1 << 20).unwrap()).unwrap();
    let (sample, abra_sh) = (EnvFile::parse(".env.sample", &text(".env.sample")).unwrap(), text("abra.sh"));
    let domain = sample.get("DOMAIN").unwrap().to_owned();
    let environment = AppEnvironment {
        recipe: checkout.recipe,
        version: "",
        domain: &domain,
        sample: sample.values(),
        env: BTreeMap::new(),
        abra_sh: &abra_sh,
    };
    let variables = environment.variables();
    let names = compose_files(&variables).unwrap();
    let input = LoadInput {
        stack: environment.stack(),
        files: names.clone(),
        env: variables,
        directory: "/recipe".to_owned(),
        changes: BTreeMap::new(),
    };
    let stack = load(&input, &files).unwrap_or_else(|error| panic!("{}: {error:?}", checkout.folder));
    let label = format!("coop-cloud.{}.version", stack.name);
    let released = stack.service("app").unwrap().spec.labels[&label].clone();
    let tags = [Tag { name: released, is_annotated: true }];
    let report = lint(&LintInput { files: &files, stack: Ok(&stack), compose_files: &names, tags: Some(&tags) });
    (stack, report)
}

#[test]
fn the_linter_finds_nothing_in_what_we_bundle_that_we_do_not_know() {
    for checkout in &CHECKOUTS {
        let (_, report) = look(checkout);
        let mut broken: Vec<&str> = report.findings.iter().map(|finding| finding.rule.as_str()).collect();
        broken.dedup();
        assert!(report.is_clean() && broken == checkout.breaks, "{}: {report:#?}", checkout.folder);
    }
}

#[test]
fn the_recipe_of_ourselves_is_of_this_version_and_backs_up_what_a_restore_needs() {
    let (stack, _) = look(CHECKOUTS.last().unwrap());
    let app = stack.service("app").unwrap();
    assert_eq!(app.image_as_written, format!("git.coopcloud.tech/coop-cloud/cc-ci:{}", version()));
    assert_eq!(app.spec.labels[&format!("coop-cloud.{}.version", stack.name)], format!("{0}+{0}", version()));
    let plan = ports::recipe::backup::plan(&stack);
    assert_eq!(plan.findings, []);
    let [volume] = plan.volumes.as_slice() else { panic!("one volume: {plan:?}") };
    assert_eq!((volume.key.as_str(), volume.paths.join(",")), ("data", "dump,pki,store.key,tokens.json".to_owned()));
    let filled = read("deploy/recipe/config.toml.tmpl")
        .replace("{{ env \"DOMAIN\" }}", "ci.example.org")
        .replace("{{ env \"ZONE\" }}", "runs.example.org");
    let config: apiserver::config::Config = toml::from_str(&filled).unwrap();
    config.check().unwrap();
    assert_eq!(config.runs.zone.as_deref(), Some("runs.example.org"));
}

/// Returns the stack file as it is loaded with these variables.
fn stack(env: &[(&str, &str)]) -> Stack {
    let files = CheckoutFiles::open(&root().join("deploy/stack")).unwrap();
    let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let input = LoadInput {
        stack: "ccd".to_owned(),
        files: vec!["compose.yml".to_owned()],
        env,
        directory: "/deploy/stack".to_owned(),
        changes: BTreeMap::new(),
    };
    load(&input, &files).unwrap()
}

#[test]
fn the_stack_runs_one_ccd_of_this_version_beside_a_manager() {
    let stack = stack(&[]);
    assert_eq!(stack.warnings, []);
    let app = stack.service("app").unwrap();
    assert_eq!(app.ignored, BTreeMap::new(), "a swarm heeds all that is written");
    assert_eq!(app.image_as_written, format!("cc-ci:{}", version()));
    let spec = serde_json::to_value(&app.spec).unwrap();
    let container = &spec["TaskTemplate"]["ContainerSpec"];
    assert_eq!(spec["TaskTemplate"]["Placement"]["Constraints"], serde_json::json!(["node.role == manager"]));
    assert_eq!(spec["Mode"]["Replicated"]["Replicas"], 1);
    assert_eq!(spec["UpdateConfig"]["Order"], "stop-first", "one process has the data");
    assert_eq!(container["Init"], true);
    assert_eq!(container["ReadOnly"], true);
    let grace = container["StopGracePeriod"].as_i64().unwrap() / 1_000_000_000;
    let drain = i64::try_from(apiserver::config::ServerConfig::default().drain_seconds).unwrap();
    assert!(grace >= drain + 10, "it is not killed while it drains");
    let config: apiserver::config::Config = toml::from_str(&read("deploy/stack/config.toml")).unwrap();
    config.check().unwrap();
    assert_eq!(stack.configs.len(), 1);
}
