//! Which test feeds each parser with nonsense. A parser that nobody thought of is found by its name.

use std::collections::BTreeMap;

use super::target_names;
use crate::tidy::{beside_tests, read, root, tracked};

/// What a function is called that makes something of text or bytes.
const PARSER: &str = r"(?m)^ *(?:pub(?:\([a-z]+\))? )?(?:const )?fn ((?:try_)?(?:parse|decode|unescape|read_line|from_(?:str|der|pem|text|json|yaml|bytes|line|slice))[a-z_0-9]*)[<(]";

/// Who sees to it that nonsense does no harm.
enum By {
    /// A target here, or of `apiserver::fuzz` or `webui::fuzz`.
    Target(&'static str),
    /// Tests beside the parser, with generated or spoilt input.
    Suite(&'static str),
    /// Nobody: what it reads is not from outside, but this.
    Trust(&'static str),
}

/// File, function, and who feeds it.
#[rustfmt::skip]
const PARSERS: [(&str, &str, By); 72] = [
    ("api-types/src/jsonpath/mod.rs", "parse", By::Target("jsonpath")),
    ("api-types/src/manifest/mod.rs", "parse", By::Target("yaml-body")),
    ("api-types/src/selector/field.rs", "parse", By::Target("field-selector")),
    ("api-types/src/selector/field.rs", "unescape", By::Target("field-selector")),
    ("api-types/src/selector/mod.rs", "parse", By::Target("label-selector")),
    ("api-types/src/selector/parse.rs", "parse", By::Target("label-selector")),
    ("api-types/src/units/mod.rs", "parse", By::Suite("api-types/src/units/tests.rs")),
    ("apiserver/src/authentication/certificate.rs", "from_der", By::Target("client-certificate")),
    ("apiserver/src/authentication/token_file.rs", "parse", By::Target("token-file")),
    ("apiserver/src/body.rs", "decode_json", By::Target("json-body")),
    ("apiserver/src/body.rs", "decode_object", By::Target("json-body")),
    ("apiserver/src/body.rs", "decode_patch", By::Target("patch-shape")),
    ("apiserver/src/body.rs", "decode_yaml", By::Target("yaml-body")),
    ("apiserver/src/config/mod.rs", "parse", By::Target("config")),
    ("apiserver/src/data_dir/store_key.rs", "parse", By::Trust("the operator's key file")),
    ("apiserver/src/discovery/documents.rs", "from_bytes", By::Trust("documents that this server made")),
    ("apiserver/src/discovery/mod.rs", "parse", By::Trust("versions of definitions, whose names the store has checked")),
    ("apiserver/src/protobuf/mod.rs", "decode", By::Target("protobuf-body")),
    ("apiserver/src/query.rs", "parse", By::Target("query")),
    ("apiserver/src/request/mod.rs", "parse", By::Target("path")),
    ("apiserver/src/serve/mod.rs", "parse", By::Trust("an address in the operator's configuration")),
    ("apiserver/src/table/mod.rs", "parse", By::Target("query")),
    ("apiserver/src/tls/authority.rs", "parse", By::Trust("files in the data directory that this server wrote")),
    ("apiserver/src/tls/authority.rs", "parse_certificate", By::Trust("files in the data directory that this server wrote")),
    ("apiserver/src/verbs/versions.rs", "parse_version", By::Target("query")),
    ("ccctl/src/arguments.rs", "from_str", By::Trust("the command line of whoever runs it")),
    ("ccctl/src/arguments.rs", "parse_duration", By::Trust("the command line of whoever runs it")),
    ("ccctl/src/commands/wait.rs", "parse", By::Trust("the command line of whoever runs it")),
    ("ccctl/src/config/model.rs", "parse", By::Target("kubeconfig")),
    ("ccctl/src/manifests.rs", "parse", By::Target("yaml-body")),
    ("ccctl/src/output/columns.rs", "parse", By::Trust("the command line of whoever runs it")),
    ("ccctl/src/output/columns.rs", "parse_file", By::Trust("the command line of whoever runs it")),
    ("ccctl/src/output/mod.rs", "parse", By::Trust("the command line of whoever runs it")),
    ("controller/src/commands/token.rs", "from_str", By::Trust("the command line of whoever runs it")),
    ("controller/src/kinds/repository/grammar.rs", "read_line", By::Target("comment")),
    ("controller/src/kinds/test_run/advance.rs", "parse", By::Trust("the report of a step of our own")),
    ("controller/src/kinds/test_run/steps.rs", "parse", By::Trust("a name that this program gave a job")),
    ("controller/src/runtime/job_keeper/mod.rs", "parse", By::Trust("a name that this program gave a job")),
    ("controller/src/schedule.rs", "parse", By::Target("cron")),
    ("ports/src/acme/key.rs", "from_pem", By::Trust("a key that this program made")),
    ("ports/src/certificate/read.rs", "parse", By::Target("certificate")),
    ("ports/src/compose/durations.rs", "parse", By::Suite("ports/src/compose/tests/loader.rs")),
    ("ports/src/compose/mounts.rs", "parse", By::Suite("ports/src/compose/tests/loader.rs")),
    ("ports/src/compose/ports.rs", "parse", By::Suite("ports/src/compose/tests/loader.rs")),
    ("ports/src/compose/yaml.rs", "parse", By::Suite("ports/src/compose/tests/loader.rs")),
    ("ports/src/files/run_logs.rs", "parse", By::Suite("ports/src/files/tests.rs")),
    ("ports/src/files/run_logs.rs", "read_line", By::Suite("ports/src/files/tests.rs")),
    ("ports/src/forge/fake/server.rs", "parsed", By::Trust("requests of tests")),
    ("ports/src/host/system.rs", "parse", By::Trust("what the kernel says of memory")),
    ("ports/src/recipe/env.rs", "parse", By::Suite("ports/src/recipe/tests.rs")),
    ("ports/src/recipe/env.rs", "unescaped", By::Suite("ports/src/recipe/tests.rs")),
    ("ports/src/recipe/secret.rs", "parse", By::Suite("ports/src/recipe/tests.rs")),
    ("ports/src/recipe/version.rs", "parse", By::Suite("ports/src/recipe/tests.rs")),
    ("ports/src/sops/age.rs", "parse", By::Target("sops")),
    ("ports/src/sops/document.rs", "parse", By::Target("sops")),
    ("ports/src/swarm/docker/address.rs", "parse", By::Trust("an address in the operator's environment")),
    ("ports/src/swarm/docker/client.rs", "parse", By::Trust("what the engine says of itself")),
    ("ports/src/swarm/mod.rs", "parse", By::Trust("what the engine says of itself")),
    ("store/src/engine/layout.rs", "parse", By::Suite("store/src/tests/damage.rs")),
    ("store/src/engine/layout.rs", "parse_name", By::Suite("store/src/tests/damage.rs")),
    ("store/src/fields/managed.rs", "decode", By::Target("managed-fields")),
    ("store/src/fields/managed.rs", "decode_entry", By::Target("managed-fields")),
    ("store/src/fields/path.rs", "parse", By::Target("managed-fields")),
    ("store/src/list.rs", "decode", By::Target("continue-token")),
    ("store/src/rows.rs", "decode", By::Suite("store/src/tests/damage.rs")),
    ("store/src/rows.rs", "parse_record_key", By::Suite("store/src/tests/damage.rs")),
    ("store/src/schema/decode.rs", "decode_json", By::Target("json-body")),
    ("store/src/selector.rs", "parse", By::Target("label-selector")),
    ("store/src/strategy/definition.rs", "parse", By::Target("definition-schema")),
    ("store/src/write/admit.rs", "decode", By::Target("apply")),
    ("webui/src/actions.rs", "parse", By::Target("web-path")),
    ("webui/src/route.rs", "parse", By::Target("web-path")),
];

#[test]
fn fuzz_every_parser_is_fed_by_something() {
    let parser = regex::Regex::new(PARSER).unwrap();
    let mut found = Vec::new();
    for path in tracked("*/src/*.rs").into_iter().map(|path| path.strip_prefix(root()).unwrap().to_owned()) {
        if path.starts_with("tests") {
            continue;
        }
        let text = beside_tests(&path);
        found.extend(parser.captures_iter(&text).map(|name| (path.display().to_string(), name[1].to_owned())));
    }
    found.sort();
    found.dedup();
    let listed: BTreeMap<_, _> =
        PARSERS.iter().map(|(file, function, by)| (((*file).to_owned(), (*function).to_owned()), by)).collect();
    let unlisted: Vec<_> = found.iter().filter(|parser| !listed.contains_key(parser)).collect();
    assert!(unlisted.is_empty(), "write a target for these, or say in PARSERS who feeds them: {unlisted:#?}");
    let gone: Vec<_> = listed.keys().filter(|parser| !found.contains(parser)).collect();
    assert!(gone.is_empty(), "these are no functions any more: {gone:#?}");
    let targets = target_names();
    for ((file, function), by) in listed {
        match by {
            By::Target(name) => assert!(targets.contains(&(*name).to_owned()), "{file} {function}: no target {name}"),
            By::Suite(suite) => {
                let is_there = read(&root().join(suite)).contains("test]");
                assert!(is_there, "{file} {function}: no test in {suite}");
            }
            By::Trust(what) => assert!(!what.is_empty()),
        }
    }
}
