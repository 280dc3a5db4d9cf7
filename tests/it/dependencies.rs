//! What may come in as a dependency is what `deny.toml` says: licences, banned crates and where crates come from.
//!
//! The file is that of `cargo deny check bans licenses sources`, which reads it as well. The check is a test because
//! cargo-deny takes minutes to compile on a new machine. Advisories need a database of today and stay with cargo-deny.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use crate::tidy::{read, root};

/// `deny.toml`; a key that nothing here enforces is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "that keys with one value have it is checked by reading them")]
struct Deny {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
    advisories: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Graph {
    /// Platforms for which a dependency counts.
    targets: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "that keys with one value have it is checked by reading them")]
struct Bans {
    /// Two versions of a crate are shown by cargo-deny, and refused by nobody.
    multiple_versions: Warn,
    wildcards: Refuse,
    allow_wildcard_paths: bool,
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ban {
    name: String,
    reason: String,
    /// Crates that may depend on it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "that keys with one value have it is checked by reading them")]
struct Sources {
    unknown_registry: Refuse,
    unknown_git: Refuse,
}

/// The one value that these checks have.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Refuse {
    Deny,
}

/// The one value of what is only shown.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Warn {
    Warn,
}

/// The registry that nobody needs to allow.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A crate that is compiled for some target.
#[derive(Clone, Debug)]
struct Package {
    name: String,
    /// An SPDX expression, or what older crates write.
    license: Option<String>,
    /// Where it comes from; nothing for a folder.
    source: Option<String>,
    is_member: bool,
    /// Who depends on it.
    dependents: Vec<String>,
    /// Dependencies that it takes in any version from a registry.
    wildcards: Vec<String>,
}

/// Returns what `deny` refuses, and what it allows although nothing needs it.
fn findings(deny: &Deny, packages: &[Package]) -> Vec<String> {
    let allowed: Vec<Licensee> = deny.licenses.allow.iter().map(|name| Licensee::parse(name).unwrap()).collect();
    let mut unused_licenses: BTreeSet<usize> = (0..allowed.len()).collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = &package.name;
        match package.license.as_deref().map(|license| (license, Expression::parse_mode(license, ParseMode::LAX))) {
            None => findings.push(format!("{name} names no licence")),
            Some((license, Err(error))) => {
                findings.push(format!("{name}: {license} is no SPDX expression: {}", error.reason));
            }
            Some((license, Ok(expression))) => {
                for requirement in expression.requirements() {
                    unused_licenses.retain(|index| !allowed[*index].satisfies(&requirement.req));
                }
                if !expression.evaluate(|required| allowed.iter().any(|licensee| licensee.satisfies(required))) {
                    findings.push(format!("{name} has licence {license}"));
                }
            }
        }
        if let Some(ban) = deny.bans.deny.iter().find(|ban| ban.name == *name) {
            let others = package.dependents.iter().filter(|dependent| !ban.wrappers.contains(dependent));
            findings.extend(others.map(|dependent| format!("{dependent} brings {name}: {}", ban.reason)));
        }
        match package.source.as_deref() {
            Some(CRATES_IO) => {}
            None if package.is_member => {}
            other => findings.push(format!("{name} comes from {}", other.unwrap_or("a folder outside the workspace"))),
        }
        findings.extend(package.wildcards.iter().map(|wildcard| format!("{name} takes any version of {wildcard}")));
    }
    findings.extend(unused_licenses.into_iter().map(|index| format!("nothing has licence {}", allowed[index])));
    for ban in &deny.bans.deny {
        let package = packages.iter().find(|package| package.name == ban.name);
        let dependents = package.map(|package| package.dependents.as_slice()).unwrap_or_default();
        let unused = ban.wrappers.iter().filter(|wrapper| !dependents.contains(wrapper));
        findings.extend(unused.map(|wrapper| format!("{wrapper} does not bring {}", ban.name)));
    }
    findings
}

/// Returns what cargo prints; what it lacks, it downloads.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?} fails: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// Names and versions of what is compiled for `target`. `cargo metadata` alone says more: it knows nothing of features
/// such as `ring?/alloc`, which want a crate only if something else brings it.
fn compiled(target: &str) -> BTreeSet<(String, String)> {
    let tree = ["tree", "--locked", "--workspace", "--target", target, "--edges=normal,build,dev", "--prefix=none"];
    let lines = cargo(&[&tree[..], &["--no-dedupe", "--format={p}"]].concat());
    let words = lines.lines().filter_map(|line| line.split_once(" v"));
    words.map(|(name, rest)| (name.to_owned(), rest.split(' ').next().unwrap().to_owned())).collect()
}

fn packages(target: &str) -> Vec<Package> {
    let compiled = compiled(target);
    let metadata = cargo(&["metadata", "--format-version=1", "--locked", "--filter-platform", target]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("cargo metadata prints JSON");
    let array = |value: &serde_json::Value| value.as_array().expect("an array").clone();
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let all = array(&metadata["packages"]).into_iter();
    let compiled = all.filter(|package| compiled.contains(&(text(&package["name"]), text(&package["version"]))));
    let by_id: BTreeMap<String, serde_json::Value> = compiled.map(|package| (text(&package["id"]), package)).collect();
    let mut dependents: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in array(&metadata["resolve"]["nodes"]) {
        let Some(package) = by_id.get(&text(&node["id"])) else { continue };
        for dependency in array(&node["dependencies"]) {
            dependents.entry(text(&dependency)).or_default().push(text(&package["name"]));
        }
    }
    let members = array(&metadata["workspace_members"]);
    let describe = |(id, package): (&String, &serde_json::Value)| Package {
        name: text(&package["name"]),
        license: package["license"].as_str().map(str::to_owned),
        source: package["source"].as_str().map(str::to_owned),
        is_member: members.iter().any(|member| member == id),
        dependents: dependents.get(id).cloned().unwrap_or_default(),
        wildcards: array(&package["dependencies"])
            .iter()
            .filter(|dependency| dependency["req"] == "*" && dependency["path"].is_null())
            .map(|dependency| text(&dependency["name"]))
            .collect(),
    };
    by_id.iter().map(describe).collect()
}

fn deny() -> Deny {
    toml::from_str(&read(&root().join("deny.toml"))).expect("deny.toml says only what is enforced here")
}

#[test]
fn dependencies_are_what_deny_toml_allows() {
    let deny = deny();
    for target in &deny.graph.targets {
        let packages = packages(target);
        assert!(packages.iter().any(|package| package.name == "sled"), "cargo names too few crates: {packages:?}");
        assert_eq!(findings(&deny, &packages), [""; 0], "for {target}; see deny.toml");
    }
}

#[test]
fn dependencies_that_deny_toml_does_not_allow_are_named() {
    let deny: Deny = toml::from_str(
        r#"
        graph.targets = []
        licenses.allow = ["MIT", "Apache-2.0 WITH LLVM-exception", "Zlib"]
        bans = { multiple-versions = "warn", wildcards = "deny", allow-wildcard-paths = true, deny = [
            { name = "ring", reason = "one TLS provider" },
            { name = "chrono", wrappers = ["cel", "gone"], reason = "one time crate" },
        ] }
        sources = { unknown-registry = "deny", unknown-git = "deny" }
        advisories = {}
        "#,
    )
    .unwrap();
    let package = |name: &str| Package {
        name: name.to_owned(),
        license: Some("MIT".to_owned()),
        source: Some(CRATES_IO.to_owned()),
        is_member: false,
        dependents: vec!["store".to_owned()],
        wildcards: Vec::new(),
    };
    let licensed = |name: &str, license: &str| Package { license: Some(license.to_owned()), ..package(name) };
    let from = |name: &str, source: Option<&str>| Package { source: source.map(str::to_owned), ..package(name) };
    let packages = [
        package("fine"),
        licensed("choice", "GPL-3.0-only OR MIT"),
        licensed("older", "MIT/GPL-2.0"),
        licensed("excepted", "Apache-2.0 WITH LLVM-exception AND MIT"),
        licensed("viral", "GPL-3.0-only AND MIT"),
        licensed("unexcepted", "Apache-2.0"),
        licensed("mumbling", "see the file"),
        Package { license: None, ..package("silent") },
        package("ring"),
        Package { dependents: vec!["cel".to_owned(), "jiff".to_owned()], ..package("chrono") },
        from("forked", Some("git+https://example.org/forked#0123")),
        from("other", Some("registry+https://example.org/index")),
        from("folder", None),
        Package { is_member: true, ..from("member", None) },
        Package { wildcards: vec!["serde".to_owned()], ..package("careless") },
    ];
    let expected = [
        "viral has licence GPL-3.0-only AND MIT",
        "unexcepted has licence Apache-2.0",
        "mumbling: see the file is no SPDX expression: unknown term",
        "silent names no licence",
        "store brings ring: one TLS provider",
        "jiff brings chrono: one time crate",
        "forked comes from git+https://example.org/forked#0123",
        "other comes from registry+https://example.org/index",
        "folder comes from a folder outside the workspace",
        "careless takes any version of serde",
        "nothing has licence Zlib",
        "gone does not bring chrono",
    ];
    assert_eq!(findings(&deny, &packages), expected);
}
