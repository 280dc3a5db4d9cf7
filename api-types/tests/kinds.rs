//! Every kind against the validator that admission uses: definitions compile, examples are good, bad fields are refused.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps a test fails as a test does")]

use std::collections::BTreeMap;
use std::path::Path;

use api_types::kind::{Kind, Object};
use api_types::kinds::app::App;
use api_types::kinds::approval::Approval;
use api_types::kinds::certificate::Certificate;
use api_types::kinds::forge::Forge;
use api_types::kinds::host::Host;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::repository::Repository;
use api_types::kinds::test_run::TestRun;
use api_types::manifest;
use api_types::registry::{Definition, aliases, definitions};
use serde_json::{Value, json};
use store::schema::CompiledSchema;

fn compile(definition: &Definition) -> CompiledSchema {
    let schema = definition.storage_version().schema.clone().unwrap().open_api_v3_schema;
    CompiledSchema::compile(schema).unwrap_or_else(|causes| panic!("{}: {causes:#?}", definition.resource()))
}

/// The one example manifest of a kind.
fn example(kind: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/kinds");
    let path = folder.join(format!("{}.yaml", kind.to_lowercase()));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let documents = manifest::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(documents.len(), 1, "{} has one object", path.display());
    assert_eq!(documents[0].object["kind"], kind, "{}", path.display());
    documents[0].object.clone()
}

/// Returns what admission says about an object: what it would drop, then what is wrong, as `field: message`.
fn problems(schema: &CompiledSchema, object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut object = object.clone();
    let mut problems: Vec<String> =
        schema.prune(&mut object).into_iter().map(|field| format!("{field}: unknown field")).collect();
    schema.default(&mut object);
    let old = old.map(|old| {
        let mut old = old.clone();
        schema.default(&mut old);
        old
    });
    let causes = schema.validate(&object, old.as_ref());
    problems.extend(causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)));
    problems
}

fn schemas() -> BTreeMap<String, CompiledSchema> {
    definitions().iter().map(|definition| (definition.spec.names.kind.clone(), compile(definition))).collect()
}

#[test]
fn every_kind_has_an_example_that_admission_takes() {
    for (kind, schema) in schemas() {
        let found = problems(&schema, &example(&kind), None);
        assert!(found.is_empty(), "{kind}: {found:#?}");
    }
}

#[test]
fn the_other_face_of_an_event_can_be_served() {
    for alias in aliases() {
        compile(&alias.definition);
        assert!(definitions().iter().any(|definition| definition.resource() == alias.stored_as), "{}", alias.stored_as);
    }
}

#[test]
fn every_example_belongs_to_a_kind() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/kinds");
    let kinds: Vec<String> = schemas().keys().map(|kind| kind.to_lowercase()).collect();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(kinds.contains(&name.trim_end_matches(".yaml").to_owned()), "{name} is the example of no kind");
    }
}

fn check_round_trip<K: Kind>() {
    let mut value = example(K::KIND);
    let schema = &schemas()[K::KIND];
    schema.default(&mut value);
    let object = Object::<K>::from_value(&value).unwrap();
    let written = object.to_value();
    assert_eq!(written["spec"], value["spec"], "{}", K::KIND);
    let found = problems(schema, &written, None);
    assert!(found.is_empty(), "{}: {found:#?}", K::KIND);
}

#[test]
fn every_field_of_the_examples_survives_the_rust_types() {
    check_round_trip::<App>();
    check_round_trip::<Approval>();
    check_round_trip::<Certificate>();
    check_round_trip::<Forge>();
    check_round_trip::<Host>();
    check_round_trip::<Recipe>();
    check_round_trip::<Repository>();
    check_round_trip::<TestRun>();
}

fn check_default_spec<K: Kind>() {
    let mut defaulted = json!({"spec": {}});
    schemas()[K::KIND].default(&mut defaulted);
    let filled: K::Spec = serde_json::from_value(defaulted["spec"].clone()).unwrap();
    let empty: K::Spec = serde_json::from_value(json!({})).unwrap();
    assert_eq!(serde_json::to_value(filled).unwrap(), serde_json::to_value(empty).unwrap(), "{}", K::KIND);
}

#[test]
fn the_store_and_the_rust_types_have_the_same_defaults() {
    check_default_spec::<App>();
    check_default_spec::<Approval>();
    check_default_spec::<Certificate>();
    check_default_spec::<Forge>();
    check_default_spec::<Host>();
    check_default_spec::<Recipe>();
    check_default_spec::<Repository>();
    check_default_spec::<TestRun>();
}

/// Changes one field of an object; `null` takes it away.
fn change(object: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} has no parent"));
    match parent {
        Value::Object(members) if value.is_null() => drop(members.remove(last)),
        Value::Object(members) => drop(members.insert(last.to_owned(), value)),
        Value::Array(items) => items[last.parse::<usize>().unwrap()] = value,
        other => panic!("{pointer}: {other} has no members"),
    }
}

fn check_refusals(kind: &str, cases: &[(&str, Value, &str, &str)]) {
    let schema = &schemas()[kind];
    for (pointer, value, field, message) in cases {
        let mut object = example(kind);
        change(&mut object, pointer, value.clone());
        let found = problems(schema, &object, None);
        let is_there =
            found.iter().any(|problem| problem.starts_with(&format!("{field}: ")) && problem.contains(message));
        assert!(is_there, "{kind} with {pointer} = {value}: no cause for {field} with {message:?} in {found:#?}");
    }
}

fn check_changes(kind: &str, cases: &[(&str, Value, Option<&str>)]) {
    let schema = &schemas()[kind];
    for (pointer, value, message) in cases {
        let old = example(kind);
        let mut object = old.clone();
        change(&mut object, pointer, value.clone());
        let found = problems(schema, &object, Some(&old));
        match message {
            Some(message) => {
                assert!(
                    found.iter().any(|problem| problem.contains(message)),
                    "{kind} {pointer} = {value}: {found:#?}"
                );
            }
            None => assert!(found.is_empty(), "{kind} {pointer} = {value}: {found:#?}"),
        }
    }
}

#[test]
fn a_bad_forge_is_refused() {
    check_refusals(
        "Forge",
        &[
            ("/spec/url", json!("https://user:password@git.example.com"), "spec.url", "should match"),
            ("/spec/url", json!("--help"), "spec.url", "should match"),
            ("/spec/url", Value::Null, "spec.url", "Required value"),
            ("/spec/flavor", json!("GitHub"), "spec.flavor", "supported values: \"Auto\", \"Gitea\", \"Forgejo\""),
            ("/spec/tokenSecretRef", json!("x"), "spec.tokenSecretRef", "must be of type object"),
            ("/spec/token", json!("x"), "spec.token", "unknown field"),
        ],
    );
}

#[test]
fn a_bad_repository_is_refused() {
    check_refusals(
        "Repository",
        &[
            ("/spec/owner", json!("-x"), "spec.owner", "should match"),
            ("/spec/name", json!("../x"), "spec.name", "should match"),
            ("/spec/pollInterval", json!("1s"), "spec.pollInterval", "between 5s and 24h"),
            ("/spec/pollInterval", json!("30"), "spec.pollInterval", "should match"),
            ("/spec/webhook/secretRef", Value::Null, "spec.webhook", "a webhook needs secretRef"),
            ("/spec/triggers/0/phrase", Value::Null, "spec.triggers[0]", "phrase belongs to triggers on Comment"),
            ("/spec/triggers/0/authorize", Value::Null, "spec.triggers[0]", "needs authorize"),
            ("/spec/triggers/0/authorize", json!({}), "spec.triggers[0].authorize", "say whose comments count"),
            (
                "/spec/triggers/0/authorize",
                json!({"team": "x", "users": ["y"]}),
                "spec.triggers[0].authorize",
                "name the organization too",
            ),
            ("/spec/triggers/0/run", json!({}), "spec.triggers[0].run", "exactly one of recipeRef"),
            (
                "/spec/triggers/0/run",
                json!({"recipeRef": "a", "releaseRef": "b"}),
                "spec.triggers[0].run",
                "exactly one of recipeRef",
            ),
            ("/spec/triggers/1/pattern", Value::Null, "spec.triggers[1]", "pattern belongs to triggers on Tag"),
            ("/spec/triggers/1/branch", json!("main"), "spec.triggers[1]", "branch belongs to triggers on Push"),
            ("/spec/triggers/2/branch", json!("--upload-pack=x"), "spec.triggers[2].branch", "should match"),
            ("/spec/triggers/3/cron", json!("whenever"), "spec.triggers[3].cron", "should match"),
            ("/spec/triggers/3/on", json!("Never"), "spec.triggers[3].on", "Unsupported value"),
        ],
    );
}

#[test]
fn a_bad_recipe_is_refused() {
    check_refusals(
        "Recipe",
        &[
            ("/spec/source/url", json!("ext::sh -c id"), "spec.source.url", "should match"),
            ("/spec/source/branch", json!("-x"), "spec.source.branch", "should match"),
            ("/spec/zone", json!("localhost"), "spec.zone", "should match"),
            ("/spec/env", json!({"1BAD": "x"}), "spec.env", "names of environment variables"),
            ("/spec/env", json!({"GOOD": 1}), "spec.env.GOOD", "must be of type string"),
            ("/spec/overlays/0/services/db/image", json!("x:1"), "spec.overlays[0]", "may not change an image"),
            ("/spec/overlays/1/baseVersions", Value::Null, "spec.overlays[1]", "must list in baseVersions"),
            ("/spec/overlays/0/baseVersions", json!(["1.0.0"]), "spec.overlays[0]", "applies to base and head alike"),
            ("/spec/overlays/1/name", json!("slow-machine"), "spec.overlays[1]", "Duplicate value"),
            ("/spec/health/statuses", json!([99]), "spec.health.statuses[0]", "greater than or equal to 100"),
            ("/spec/probes/0/tcp", json!({"port": 1}), "spec.probes[0]", "exactly one of http and tcp"),
            ("/spec/probes/1/tcp/port", json!(0), "spec.probes[1].tcp.port", "greater than or equal to 1"),
            ("/spec/timeouts/run", json!("1m"), "spec.timeouts", "at least as long as pull"),
            ("/spec/timeouts/run", json!("25h"), "spec.timeouts", "at most 24h"),
            ("/spec/backup/capable", json!("Maybe"), "spec.backup.capable", "Unsupported value"),
            ("/spec/tests/0/stage", json!("lint"), "spec.tests[0]", "the lint rung has no tests"),
            ("/spec/tests/0/tcp", json!({"port": 1}), "spec.tests[0]", "exactly one of http, tcp, exec and container"),
            (
                "/spec/tests/0/seed",
                json!({"exec": {"service": "a", "command": ["b"]}}),
                "spec.tests[0]",
                "seed and destroy belong to the stages",
            ),
            ("/spec/tests/1/seed", Value::Null, "spec.tests[1]", "together with seed"),
            ("/spec/tests/1/seed", json!({}), "spec.tests[1].seed", "exactly one of http, exec and container"),
            ("/spec/tests/1/expect/statuses", json!([200]), "spec.tests[1]", "expect.statuses belongs to http"),
            ("/spec/tests/0/expect/exitCode", json!(0), "spec.tests[0]", "expect.exitCode belongs to exec"),
            ("/spec/tests/2/container/mount", json!("../../etc"), "spec.tests[2].container.mount", "should match"),
            (
                "/spec/expectedSkips",
                json!({"install": "why not"}),
                "spec.expectedSkips",
                "the rungs that may be skipped are",
            ),
            ("/spec/expectedSkips", json!({"lint": ""}), "spec.expectedSkips.lint", "at least 1 chars long"),
            ("/spec/requires/memory", json!("lots"), "spec.requires.memory", "should match"),
            ("/spec/keep/age", json!("30d"), "spec.keep.age", "should match"),
            ("/spec/trust/forks", json!("Maybe"), "spec.trust.forks", "Unsupported value"),
        ],
    );
    for capable in [json!(true), json!(false), json!("Auto")] {
        let mut object = example("Recipe");
        change(&mut object, "/spec/backup/capable", capable.clone());
        assert!(problems(&schemas()["Recipe"], &object, None).is_empty(), "{capable}");
        assert_eq!(Object::<Recipe>::from_value(&object).unwrap().to_value()["spec"]["backup"]["capable"], capable);
    }
}

#[test]
fn a_bad_test_run_is_refused() {
    let commit = "a".repeat(40);
    check_refusals(
        "TestRun",
        &[
            ("/spec/recipeRef", json!("-x"), "spec.recipeRef", "should match"),
            ("/spec/source", json!({}), "spec.source", "exactly one of commit, ref and version"),
            (
                "/spec/source",
                json!({"ref": "main", "version": "1"}),
                "spec.source",
                "exactly one of commit, ref and version",
            ),
            ("/spec/source", json!({"ref": "--help"}), "spec.source.ref", "should match"),
            ("/spec/source", json!({"ref": "a..b"}), "spec.source.ref", "should match"),
            ("/spec/source", json!({"commit": "abc"}), "spec.source.commit", "should match"),
            ("/spec/source/commit", json!(commit), "spec.source", "set commit to pullRequest.headSHA"),
            (
                "/spec/source/pullRequest/number",
                json!(0),
                "spec.source.pullRequest.number",
                "greater than or equal to 1",
            ),
            ("/spec/stages", json!(["install", "install"]), "spec.stages[1]", "Duplicate value"),
            ("/spec/stages", json!(["deploy"]), "spec.stages[0]", "Unsupported value"),
            ("/spec/holdOnFailure", json!("48h"), "spec.holdOnFailure", "at most 24h"),
            ("/spec/lane", json!("Fast"), "spec.lane", "Unsupported value"),
        ],
    );
}

#[test]
fn a_test_run_can_be_cancelled_and_held_but_not_turned_into_another() {
    check_changes(
        "TestRun",
        &[
            ("/spec/cancel", json!(true), None),
            ("/spec/holdOnFailure", json!("1h"), None),
            ("/spec/holdOnFailure", Value::Null, None),
            ("/spec/ttlAfterFinished", json!("1h"), None),
            ("/spec/suspend", json!(true), None),
            ("/spec/recipeRef", json!("other"), Some("recipeRef cannot be changed")),
            ("/spec/source", json!({"ref": "main"}), Some("source cannot be changed")),
            ("/spec/lane", json!("Quick"), Some("lane cannot be changed")),
            ("/spec/stages", Value::Null, Some("stages cannot be changed")),
            ("/spec/baseVersion", json!("1.0.0"), Some("baseVersion cannot be changed")),
        ],
    );
    let mut cancelled = example("TestRun");
    change(&mut cancelled, "/spec/cancel", json!(true));
    let found = problems(&schemas()["TestRun"], &example("TestRun"), Some(&cancelled));
    assert!(found.iter().any(|problem| problem.contains("a cancelled run stays cancelled")), "{found:#?}");
}

#[test]
fn a_bad_app_is_refused() {
    check_refusals(
        "App",
        &[
            ("/spec/recipe", json!({}), "spec.recipe", "exactly one of url and recipeRef"),
            ("/spec/recipe/recipeRef", json!("x"), "spec.recipe", "exactly one of url and recipeRef"),
            ("/spec/commit", json!("a".repeat(40)), "spec", "at most one of version, commit and ref"),
            ("/spec/domain", json!("-x.example.com"), "spec.domain", "should match"),
            ("/spec/domain", json!("UPPER.example.com"), "spec.domain", "should match"),
            ("/spec/composeFiles", json!(["../compose.yml"]), "spec.composeFiles[0]", "should match"),
            ("/spec/secrets/0/generate", json!({}), "spec.secrets[0]", "exactly one of valueFrom and generate"),
            (
                "/spec/secrets/2/generate/length",
                json!(4),
                "spec.secrets[2].generate.length",
                "greater than or equal to 8",
            ),
            ("/spec/updatePolicy/window/start", json!("25:00"), "spec.updatePolicy.window.start", "should match"),
            ("/spec/volumes", json!("Keep"), "spec.volumes", "Unsupported value"),
        ],
    );
    check_changes(
        "App",
        &[
            ("/spec/domain", json!("other.example.com"), Some("domain cannot be changed")),
            ("/spec/version", json!("3.1.0+v3.2.0"), None),
            ("/spec/version", Value::Null, None),
        ],
    );
    let mut object = example("App");
    change(&mut object, "/spec/version", Value::Null);
    change(&mut object, "/spec/ref", json!("main"));
    let found = problems(&schemas()["App"], &object, None);
    assert!(found.iter().any(|problem| problem.contains("updates by themselves need a version")), "{found:#?}");
}

#[test]
fn a_bad_certificate_is_refused() {
    check_refusals(
        "Certificate",
        &[
            ("/spec/source", json!({}), "spec.source", "exactly one of files, secretRef, selfSigned and acme"),
            (
                "/spec/source/secretRef",
                json!({"name": "x"}),
                "spec.source",
                "exactly one of files, secretRef, selfSigned and acme",
            ),
            ("/spec/source/files/cert", json!("/etc/../x"), "spec.source.files.cert", "should match"),
            ("/spec/source", json!({"acme": {}}), "spec.source.acme", "exactly one of http01 and dns01"),
            ("/spec/dnsNames", json!(["a.*.b"]), "spec.dnsNames[0]", "should match"),
            ("/spec/renewBefore", json!("1m"), "spec.renewBefore", "between 1h and 8760h"),
            ("/spec/probes/0/address", json!("localhost"), "spec.probes[0].address", "should match"),
            ("/spec/distribute/0/certSecret", Value::Null, "spec.distribute[0].certSecret", "Required value"),
        ],
    );
    let mut object = example("Certificate");
    let refused = |object: &Value| problems(&schemas()["Certificate"], object, None).join("\n");
    for (dns01, words) in [
        (json!({"hook": "hetzner"}), ""),
        (json!({"server": "ns.example.com:53", "keyName": "acme.example.com", "keySecretRef": {"name": "tsig"}}), ""),
        (json!({}), "either hook, or all of server, keyName and keySecretRef"),
        (json!({"hook": "hetzner", "server": "ns.example.com:53"}), "either hook, or all of"),
        (json!({"server": "ns.example.com:53", "keyName": "acme.example.com"}), "either hook, or all of"),
        (json!({"hook": "/bin/sh"}), "should match"),
    ] {
        change(&mut object, "/spec/source", json!({"acme": {"dns01": dns01}}));
        let found = refused(&object);
        assert!(if words.is_empty() { found.is_empty() } else { found.contains(words) }, "{dns01}: {found}");
    }
    change(&mut object, "/spec/source", json!({"acme": {"http01": {}}}));
    assert!(refused(&object).contains("set source.acme.dns01 in the place of http01"), "{}", refused(&object));
    change(&mut object, "/spec/dnsNames", json!(["a.example.com"]));
    assert_eq!(refused(&object), "");
    change(&mut object, "/spec/source/acme/caBundle", json!("-----BEGIN CERTIFICATE-----"));
    change(&mut object, "/spec/source/acme/externalAccount", json!({"keyID": "k", "keySecretRef": {"name": "eab"}}));
    assert_eq!(refused(&object), "");
    change(&mut object, "/spec/dnsNames", Value::Null);
    let found = problems(&schemas()["Certificate"], &object, None);
    assert!(found.iter().any(|problem| problem.contains("an ACME certificate needs dnsNames")), "{found:#?}");
}

#[test]
fn a_bad_host_is_refused() {
    check_refusals(
        "Host",
        &[
            ("/spec/engine", json!("tcp://10.0.0.1:2375"), "spec.engine", "should match"),
            ("/spec/engine", json!("ssh://-oProxyCommand=x"), "spec.engine", "should match"),
            ("/spec/networks/0/subnet", json!("10.0.0.0"), "spec.networks[0].subnet", "should match"),
            ("/spec/networks/0/driver", json!("macvlan"), "spec.networks[0].driver", "Unsupported value"),
            ("/spec/floors/diskPercent", json!(101), "spec.floors.diskPercent", "less than or equal to 100"),
            ("/spec/floors/memory", json!("-1Gi"), "spec.floors.memory", "should match"),
            ("/spec/imagePrune/above", json!(0), "spec.imagePrune.above", "greater than or equal to 1"),
            ("/spec/capacity/runs", json!("two"), "spec.capacity.runs", "must be of type integer"),
        ],
    );
}

#[test]
fn a_bad_approval_is_refused_and_none_can_be_changed() {
    check_refusals(
        "Approval",
        &[
            ("/spec/headSHA", json!("abc"), "spec.headSHA", "should match"),
            ("/spec/approvedBy", json!(""), "spec.approvedBy", "at least 1 chars long"),
            ("/spec/scope", json!("Forever"), "spec.scope", "Unsupported value"),
        ],
    );
    check_changes(
        "Approval",
        &[
            ("/spec/headSHA", json!("a".repeat(40)), Some("an approval cannot be changed")),
            ("/spec/scope", json!("Author"), Some("an approval cannot be changed")),
            ("/spec/suspend", json!(true), None),
        ],
    );
}
