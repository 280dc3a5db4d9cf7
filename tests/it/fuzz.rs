//! Nonsense for every parser of outside bytes: it comes back, soon, and without a panic.
//!
//! Each target gets the same 2 000 mutations of what it takes in every run, or fewer when a second and a half is over;
//! with `CC_FUZZ_MILLIS` it gets new ones for as long as that, and `CC_SEED` repeats them. An input that broke something
//! is printed, and kept in `tests/fixtures/fuzz/TARGET/` once it is mended: those files are played first, as they are.

mod parsers;

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use api_types::jsonpath::{JsonPath, Template};
use api_types::schema::Schema;
use api_types::selector::{FieldSelector, Selector};
use serde_json::{Value, json};
use store::list::{ListAt, ListRequest};
use store::registry::DEFINITIONS;
use store::request::{Body, DryRun, Part, Patch, Target, WriteOptions};
use store::store::Store;
use store::write::Force;
use tests::mutation::Mutator;
use tests::widgets;

/// Longest that one input may keep a parser busy; the inputs are small, the machine may be slow.
const INPUT_WITHIN: Duration = Duration::from_secs(20);

/// How many inputs `make test` tries, and for how long at most.
const INPUTS: u64 = 2000;
const MILLIS: u64 = 1500;

/// Feeds one target for its time.
fn fuzz(name: &str, seeds: &[&[u8]], run: &dyn Fn(&[u8])) {
    let millis = tests::seed::number_from_environment("CC_FUZZ_MILLIS");
    let seed = if millis.is_some() { tests::seed::from_environment("CC_SEED") } else { 1 };
    let (count_max, millis) = millis.map_or((INPUTS, MILLIS), |millis| (u64::MAX, millis));
    println!("{name}: replay with CC_SEED={seed}");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz").join(name);
    let mut corpus: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    for file in std::fs::read_dir(folder).into_iter().flatten() {
        corpus.push(std::fs::read(file.unwrap().path()).unwrap());
    }
    for input in &corpus {
        feed(name, input, run);
    }
    let mut mutator = Mutator::new(seed);
    let begun = Instant::now();
    let mut count = 0_u64;
    while count < count_max && begun.elapsed() < Duration::from_millis(millis) {
        feed(name, &mutator.next_input(&corpus), run);
        count += 1;
    }
    println!("{name}: {count} inputs");
    assert!(count > 0, "{name}: nothing was tried");
}

fn feed(name: &str, input: &[u8], run: &dyn Fn(&[u8])) {
    let begun = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| run(input)));
    let shown = input.escape_ascii();
    assert!(result.is_ok(), "{name} panics on b\"{shown}\"");
    assert!(begun.elapsed() < INPUT_WITHIN, "{name} takes {:?} for b\"{shown}\"", begun.elapsed());
}

#[test]
fn fuzz_every_parser_of_requests() {
    for target in apiserver::fuzz::TARGETS.iter().chain(&webui::fuzz::TARGETS) {
        fuzz(target.name, target.seeds, &target.run);
    }
}

/// A folder of a target that is gone is played by nobody.
#[test]
fn fuzz_every_kept_input_has_a_target() {
    let targets = target_names();
    for folder in std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(targets.contains(&name), "no target is called {name}");
    }
}

/// Returns what all targets are called, here and in the crates.
fn target_names() -> Vec<String> {
    let page = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("it/fuzz.rs")).unwrap();
    let here = regex::Regex::new(r#"fuzz\(\s*"([a-z-]+)","#).unwrap();
    let here = here.captures_iter(&page).map(|name| name[1].to_owned());
    here.chain(apiserver::fuzz::TARGETS.iter().chain(&webui::fuzz::TARGETS).map(|target| target.name.to_owned()))
        .collect()
}

#[test]
fn fuzz_sizes_formats_and_sessions() {
    let documents: &[&[u8]] = &[br#"{"a":[{},{"b":1}],"c":{"d":[[],"",null]}}"#, b"a:\n- b: {}\n  c: [1, 2]\n"];
    fuzz("value-bytes", documents, &|bytes| {
        let estimate = store::schema::decode::estimated_value_bytes(bytes);
        assert!(estimate <= store::schema::decode::VALUE_BYTES_MAX, "{estimate}");
    });
    let names =
        ["date-time", "date", "byte", "uri", "email", "hostname", "ipv4", "ipv6", "cidr", "mac", "uuid", "duration"];
    let checked = names.map(|name| {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string", "format": name}}});
        store::schema::CompiledSchema::compile(serde_json::from_value(schema).unwrap()).unwrap()
    });
    let seeds: &[&[u8]] = &[
        b"2026-01-01T00:00:00.123456789+02:00",
        b"2026-02-29",
        b"aGVsbG8=",
        b"https://u:p@[::1]:8443/a?b#c",
        b"Jane.Doe+x@example.com",
        b"a-b.example.com.",
        b"127.0.0.1",
        b"fe80::1%eth0",
        b"10.0.0.0/8",
        b"00:00:5e:00:53:01",
        b"123e4567-e89b-12d3-a456-426614174000",
        b"1h30m1.5s",
        b"2 days",
    ];
    fuzz("formats", seeds, &|bytes| {
        let object = json!({"a": String::from_utf8_lossy(bytes)});
        for schema in &checked {
            black_box(schema.validate(&object, None));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let key = webui::session::SessionKey::open(&folder.path().join("web.key")).unwrap();
    let token = key.form_token("browser");
    fuzz("web-session", &[b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", token.as_bytes()], &|bytes| {
        let text = String::from_utf8_lossy(bytes);
        assert!(!key.is_form_token("another browser", &text), "a form of another browser");
        let mut headers = http::HeaderMap::new();
        if let Ok(value) = format!("{}={text}", webui::session::COOKIE_NAME).parse() {
            headers.append("cookie", value);
        }
        assert!(key.remembered(&headers).is_none(), "a made-up session");
    });
}

#[test]
fn fuzz_what_people_write_in_forges_recipes_and_secrets() {
    const PHRASES: [&str; 2] = ["!testme", "/test"];
    let seeds: &[&[u8]] = &[
        b"please\n!testme install upgrade --from last --lane fast --hold 2h\n> !testme\n",
        b"```\n!testme\n```\n<!-- /test -->\n/test abort",
        b"!testme rerun failed\r\n    !testme help",
    ];
    fuzz("comment", seeds, &|bytes| {
        black_box(controller::kinds::repository::grammar::read(&String::from_utf8_lossy(bytes), &PHRASES));
    });
    let seeds: &[&[u8]] = &[b"*/5 0-6,22 1,15 jan-mar mon\nEurope/Berlin", b"@daily\nUTC", b"0 0 31 2 7"];
    fuzz("cron", seeds, &|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (schedule, zone) = text.split_once('\n').map_or((&*text, None), |(schedule, zone)| (schedule, Some(zone)));
        if let Ok(cron) = controller::schedule::Cron::parse(schedule, zone) {
            black_box((cron.next_after(jiff::Timestamp::UNIX_EPOCH), cron.next_after(jiff::Timestamp::MAX)));
            black_box(cron.last_between(jiff::Timestamp::MIN, jiff::Timestamp::UNIX_EPOCH));
        }
    });
    let pair =
        ports::certificate::self_signed(&["a.test".to_owned()], jiff::Timestamp::UNIX_EPOCH, Duration::from_secs(3600))
            .unwrap();
    let origin = ports::certificate::Origin { certificate: "one".to_owned(), key: "another".to_owned() };
    fuzz("certificate", &[pair.certificate_pem().as_bytes(), pair.key_pem().as_bytes()], &|bytes| {
        for (certificate, key) in [(bytes, pair.key_pem().as_bytes()), (pair.certificate_pem().as_bytes(), bytes)] {
            black_box(ports::certificate::Pair::read(certificate, key, &origin).is_ok());
        }
    });
    let mut identities = ports::sops::Identities::default();
    identities.add(include_str!("../../ports/src/sops/testdata/age_identity")).unwrap();
    let seeds: [&[u8]; 2] = [
        include_bytes!("../../ports/src/sops/testdata/all.yaml"),
        include_bytes!("../../ports/src/sops/testdata/manifest.json"),
    ];
    fuzz("sops", &seeds, &|bytes| {
        let mut again = ports::sops::Identities::default();
        drop(again.add(&String::from_utf8_lossy(bytes)));
        black_box(ports::sops::Opened::read(bytes, &identities).is_ok());
    });
}

#[test]
fn fuzz_backups() {
    let tried = Tried::new();
    let folder = tempfile::tempdir().unwrap();
    let keyring = tried.store.keyring();
    let mut backup = Vec::new();
    store::backup::write_backup(&tried.store.state(), keyring, &mut backup).unwrap();
    let place = folder.path().join("store");
    fuzz("backup", &[&backup], &|bytes| {
        let mut input = bytes;
        let restored = store::backup::restore_backup(&mut input, &place, widgets::built_in(), keyring);
        assert!(restored.is_ok() == place.exists(), "half a store: {restored:?}");
        let _ = std::fs::remove_dir_all(&place);
    });
}

#[test]
fn fuzz_selectors_and_paths() {
    let labels = json!({"metadata": {"labels": {"a": "b", "c/d": ""}}});
    fuzz("label-selector", &[b"a=b,c!=d", b"x in (y,z),!w,v notin (u)", b"n gt 5, e", b"a.b/c==d"], &|bytes| {
        if let Ok(selector) = Selector::parse(&String::from_utf8_lossy(bytes)) {
            black_box(selector.matches_object(&labels));
        }
    });
    fuzz("field-selector", &[b"metadata.name=a,spec.x!=b", b"status.phase==Run\\,ning"], &|bytes| {
        if let Ok(selector) = FieldSelector::parse(&String::from_utf8_lossy(bytes)) {
            black_box(selector.matches(|field| Some(field.to_owned())));
        }
    });
    let object = json!({"items": [{"a": {"b": [1, 2, {"c": "d"}]}, "k": "x"}, {"k": null}], "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let seeds: &[&[u8]] = &[
        b".status.conditions[?(@.type==\"Ready\")].status",
        b"{range .items[*]}{.k}{\"\\t\"}{end}",
        b"$..b[0:2:1]",
        b"{.items[-1:].a['b','c']}",
        b".items[?(@.k)].a.b[2].c",
    ];
    fuzz("jsonpath", seeds, &|bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(path) = JsonPath::parse(&text) {
            black_box(path.find(&object));
        }
        if let Ok(template) = Template::parse(&text) {
            black_box(template.render(&object));
        }
    });
    fuzz("kubeconfig", &[include_bytes!("../fixtures/kubeconfig.yaml")], &|bytes| {
        drop(ccctl::config::check(&String::from_utf8_lossy(bytes)));
    });
}

/// A store whose writes are all tried only.
struct Tried {
    store: Store,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl Tried {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = runtime.block_on(async {
            let store = widgets::open(dir.path()).await.unwrap();
            let body = widgets::body("a", json!({"list": [1, {"name": "x"}], "text": "t"}));
            store.create(&widgets::widget(&store, "a"), Body::from(body), &WriteOptions::by("first")).await.unwrap();
            store
        });
        Self { store, runtime, _dir: dir }
    }

    fn options() -> WriteOptions {
        WriteOptions { field_manager: "fuzz".to_owned(), dry_run: DryRun::All, ..WriteOptions::default() }
    }

    fn create(&self, resource: &str, name: &str, value: Value) {
        let target = Target::new(self.store.registry().get(resource).unwrap(), "", name);
        drop(self.runtime.block_on(self.store.create(&target, Body::from(value), &Self::options())));
    }
}

fn read(bytes: &[u8]) -> Option<Value> {
    store::schema::decode_json(bytes).ok().map(|decoded| decoded.value)
}

#[test]
fn fuzz_patches_and_applies() {
    let tried = Tried::new();
    let target = widgets::widget(&tried.store, "a");
    let patch = |patch: Patch| {
        drop(tried.runtime.block_on(tried.store.patch(&target, Part::Whole, &patch, &Tried::options())));
    };
    fuzz(
        "json-patch",
        &[
            br#"[{"op":"add","path":"/spec/list/-","value":{"a":1}},{"op":"test","path":"/spec/text","value":"t"}]"#,
            br#"[{"op":"move","from":"/spec/text","path":"/spec/list/0"},{"op":"remove","path":"/spec/list/1"}]"#,
            br#"[{"op":"copy","from":"/spec","path":"/spec/copy"},{"op":"replace","path":"/metadata/labels","value":{"a":"b"}}]"#,
        ],
        &|bytes| read(bytes).into_iter().for_each(|value| patch(Patch::Json(value))),
    );
    fuzz(
        "merge-patch",
        &[br#"{"spec":{"list":null,"new":{"a":[1]}},"metadata":{"labels":{"a":"b"},"finalizers":["a/b"]}}"#],
        &|bytes| read(bytes).into_iter().for_each(|value| patch(Patch::Merge(value))),
    );
    fuzz(
        "apply",
        &[
            b"apiVersion: test.example.com/v1\nkind: Widget\nmetadata:\n  name: a\nspec:\n  list: [1]\n",
            br#"{"apiVersion":"test.example.com/v1","kind":"Widget","metadata":{"name":"a","finalizers":["a/b"],"ownerReferences":[{"uid":"1"}]},"spec":{"text":"u"}}"#,
        ],
        &|bytes| {
            let Ok(documents) = api_types::manifest::documents_within(&String::from_utf8_lossy(bytes), 10_000) else { return };
            let Some(document) = documents.into_iter().next() else { return };
            let body = Body::from(document.object);
            drop(tried.runtime.block_on(tried.store.apply(&target, Part::Whole, body, &Tried::options(), Force::Yes)));
        },
    );
    fuzz(
        "managed-fields",
        &[br#"{"f:spec":{"f:list":{"k:{\"name\":\"x\"}":{".":{}},"v:1":{},"i:0":{}},"f:text":{}}}"#],
        &|bytes| {
            let Some(value) = read(bytes) else { return };
            let entry = json!({"manager": "m", "operation": "Update", "apiVersion": "test.example.com/v1", "fieldsType": "FieldsV1", "fieldsV1": value});
            patch(Patch::Merge(json!({"metadata": {"managedFields": [entry]}, "spec": {"text": "changed"}})));
        },
    );
}

#[test]
fn fuzz_strategic_patches_and_continue_tokens() {
    let tried = Tried::new();
    let target = widgets::widget(&tried.store, "a");
    let schema: Schema = serde_json::from_value(json!({
        "type": "object", "properties": {
            "subjects": {"type": "array", "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name",
                "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
            "data": {"type": "object", "additionalProperties": {"type": "string"}}}})).unwrap();
    let object =
        json!({"data": {"a": "b"}, "subjects": [{"name": "x"}, {"name": "y"}], "metadata": {"finalizers": ["f"]}});
    fuzz(
        "strategic-patch",
        &[
            br#"{"data":{"$patch":"replace","k":"v"},"metadata":{"$deleteFromPrimitiveList/finalizers":["f"]}}"#,
            br#"{"subjects":[{"name":"x","$patch":"delete"},{"name":"z"}],"$setElementOrder/subjects":[{"name":"z"}]}"#,
            br#"{"$retainKeys":["data"],"data":null}"#,
        ],
        &|bytes| {
            let Some(value) = read(bytes) else { return };
            drop(store::patch::strategic_merge_patch(&object, &value, &schema));
        },
    );
    let list = |token: &str| {
        let at = ListAt::Continue(token.to_owned());
        let resource = target.resource.clone();
        let selector = store::selector::Selector::default();
        drop(tried.store.list(&ListRequest { resource, namespace: None, selector, limit: 1, at }));
    };
    fuzz(
        "continue-token",
        &[
            b"eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6Mywic3RhcnQiOiIvZGVmYXVsdC9hXHUwMDAwIn0",
            br#"{"v":"meta.k8s.io/v1","rv":3,"start":"/default/a\u0000"}"#,
        ],
        &|bytes| {
            use base64::Engine as _;
            list(&String::from_utf8_lossy(bytes));
            list(&base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes));
        },
    );
}

#[test]
fn fuzz_definitions_and_rules() {
    let tried = Tried::new();
    let definition = |schema: Value| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "fuzzes.fuzz.example.com"},
            "spec": {"group": "fuzz.example.com", "scope": "Cluster", "names": {"kind": "Fuzz", "plural": "fuzzes"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
        })
    };
    fuzz(
        "definition-schema",
        &[
            br#"{"type":"object","properties":{"spec":{"type":"object","required":["a"],"properties":{"a":{"type":"string","pattern":"^a+$","maxLength":5},"b":{"type":"array","items":{"type":"integer","minimum":1},"x-kubernetes-list-type":"set"}}}}}"#,
            br#"{"type":"object","x-kubernetes-preserve-unknown-fields":true,"anyOf":[{"required":["x"]},{"not":{"enum":[1]}}],"additionalProperties":{"type":"number","default":1.5}}"#,
            br#"{"type":"object","properties":{"l":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","properties":{"k":{"type":"string","default":"x"}}}}}}"#,
        ],
        &|bytes| {
            let Ok(decoded) = store::schema::decode_json(bytes) else { return };
            tried.create(DEFINITIONS, "fuzzes.fuzz.example.com", definition(decoded.value.clone()));
            let Ok(schema) = serde_json::from_value::<Schema>(decoded.value) else { return };
            let Ok(compiled) = store::schema::CompiledSchema::compile(schema) else { return };
            let mut object = json!({"spec": {"a": "aaaaaaaa", "b": [1, 1], "zork": null}, "l": [{}, {}], "x": 1});
            compiled.prune(&mut object);
            compiled.default(&mut object);
            black_box(compiled.validate(&object, None));
        },
    );
    let object = json!({"spec": {"a": "text", "n": 5, "l": [1, 2, 3], "m": {"k": "v"}}});
    fuzz(
        "cel",
        &[
            b"self.n < 10 && self.l.all(x, x > 0)",
            b"self.a.matches('^t.*t$') ? self.m['k'] == 'v' : false",
            b"size(self.l) > 2 || self.l.exists_one(i, i == self.n) || !has(self.m.z)",
            b"duration('1h') > duration('5m') && timestamp('2026-01-01T00:00:00Z').getFullYear() == 2026",
        ],
        &|bytes| {
            let rule = String::from_utf8_lossy(bytes);
            let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
                "x-kubernetes-validations": [{"rule": rule}],
                "properties": {"a": {"type": "string"}, "n": {"type": "integer"}, "l": {"type": "array", "items": {"type": "integer"}},
                    "m": {"type": "object", "additionalProperties": {"type": "string"}}}}}});
            let schema: Schema = serde_json::from_value(schema).unwrap();
            if let Ok(compiled) = store::schema::CompiledSchema::compile(schema) {
                black_box(compiled.validate(&object, None));
            }
        },
    );
}
