//! What a configuration may say, and what it is told when it may not.

use std::path::Path;

use super::{Config, ConfigError, reference};

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("ccd.toml"))
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(parse("").unwrap(), Config::default());
    Config::default().check().unwrap();
}

#[test]
fn every_section_can_be_set() {
    let config = parse(
        r#"
        [server]
        http = ""
        https = "0.0.0.0:443"
        [tls]
        names = ["ci.example.org", "192.0.2.1"]
        [anonymous]
        open_paths = ["/", "/badge/*", "/recipes/default/*", "/openapi/v3"]
        [limits]
        rate_per_second = 0
        [audit]
        file_bytes_max = 4096
        [[audit.rules]]
        level = "RequestResponse"
        resources = ["testruns"]
        [log]
        format = "json"
        level = "debug"
        [runs]
        zone = "ci.example.org"
        artifacts_max = 8
        file_urls = true
        [probe]
        ca_files = ["/etc/ci/ca.pem"]
        [probe.connect]
        "ci.example.org" = "127.0.0.1:26443"
        [git]
        protocols = ["https", "http"]
        file_roots = ["/srv/recipes"]
        [abra]
        program = ""
        [certificates]
        challenge_address = "192.0.2.1"
        challenge_ports = [8181]
        dns_hook_seconds = 60
        [certificates.dns_hooks]
        hetzner = ["/usr/local/bin/dns-hetzner", "example.org"]
        "#,
    )
    .unwrap();
    assert_eq!(config.tls.names.len(), 2);
    assert_eq!(config.audit.rules.len(), 1);
    let round = toml::to_string(&config).unwrap();
    assert_eq!(parse(&round).unwrap(), config);
}

#[test]
fn errors_name_the_line_or_the_field() {
    let cases = [
        "[server]\nhttp = \"127.0.0.1:1\"\nhtps = \"127.0.0.1:2\"\n",
        "[sever]\n",
        "[server]\ninsecure_http = \"yes\"\n",
        "[server]\nhttp = 8080\n",
        "[server\n",
        "[server]\nhttps = \"example.org\"\n",
        "[server]\ndrain_seconds = 0\n",
        "[server]\npublic_url = \"ci.example.org\"\n",
        "[server]\nconnections_max = -1\n",
        "[anonymous]\nopen_paths = [\"/api/*\"]\n",
        "[anonymous]\nopen_paths = [\"/*\"]\n",
        "[anonymous]\nopen_paths = [\"/badge/*\", \"/admin/*\"]\n",
        "[anonymous]\nopen_paths = [\"/debug/state\"]\n",
        "[anonymous]\nopen_paths = [\"/kinds/*\"]\n",
        "[anonymous]\nopen_paths = [\"/runs*\"]\n",
        "[anonymous]\nopen_paths = [\"badge\"]\n",
        "[limits]\nbody_bytes_max = 0\n",
        "[limits]\nbody_bytes_total = 1\n",
        "[limits]\nrequest_seconds = 0\n",
        "[limits]\nanswer_bytes_total = 0\n",
        "[limits]\nanswer_seconds = 0\n",
        "[limits]\nidle_seconds = 0\n",
        "[audit]\nfile_bytes_max = 1\n",
        "[[audit.rules]]\nlevel = \"Everything\"\n",
        "[log]\nformat = \"xml\"\n",
        "[runs]\nzone = \"-ci.example\"\n",
        "[runs]\nartifacts_max = 65\n",
        "[probe.connect]\n\"ci.test\" = \"localhost\"\n",
        "[git]\nprotocols = [\"https\", \"ext\"]\n",
        "[git]\nfile_roots = [\"recipes\"]\n",
        "[certificates]\nfile_roots = [\"ssl\"]\n",
        "[certificates]\nchallenge_address = \"localhost\"\n",
        "[certificates]\nchallenge_ports = [0]\n",
        "[certificates]\ndns_hook_seconds = 0\n",
        "[certificates.dns_hooks]\nhetzner = [\"hook\", \"example.org\"]\n",
        "[certificates.dns_hooks]\nHETZNER = [\"/hook\"]\n",
        "[certificates.dns_hooks]\nhetzner = []\n",
        "[secrets]\nsops_file_roots = [\"ssl\"]\n",
        "[secrets]\nage_identities = [\"key\"]\n",
    ];
    let messages: Vec<String> =
        cases.iter().map(|text| format!("{text}=> failed to {}\n", parse(text).unwrap_err())).collect();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let error = Config::read(Path::new("/nowhere/ccd.toml")).unwrap_err();
    assert!(error.to_string().starts_with("read configuration /nowhere/ccd.toml: "), "{error}");
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.md");
    let page = reference::markdown();
    if std::fs::read_to_string(&path).unwrap_or_default() != page {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
        panic!("docs/config.md was out of date and has been written anew: look at it and commit it");
    }
}
