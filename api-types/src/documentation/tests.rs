//! The pages under `docs/kinds/` are what the definitions say. `UPDATE_DOCS=1 cargo nextest run -p api-types` writes them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;
use crate::registry::definitions;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn example(kind: &str) -> String {
    let path = root().join(format!("deploy/examples/kinds/{}.yaml", kind.to_lowercase()));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page by its file name, the list of all included.
fn pages() -> Vec<(String, String)> {
    let mut list = "# Kinds\n\nMade from the schemas; what is wrong here is wrong in `api-types/src/kinds/`.\n\n| kind | API group | what it is |\n|---|---|---|\n".to_owned();
    let mut pages = Vec::new();
    for definition in definitions() {
        let kind = &definition.spec.names.kind;
        let file = format!("{}.md", kind.to_lowercase());
        let schema = definition.storage_version().schema.as_ref().unwrap();
        let group = if definition.spec.group.is_empty() { "core" } else { &definition.spec.group };
        list.push_str(&format!("| [{kind}]({file}) | {group} | {} |\n", schema.open_api_v3_schema.description));
        pages.push((file, page(&definition, &example(kind))));
    }
    pages.push(("README.md".to_owned(), list));
    pages
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the one switch that writes the pages instead of comparing them")]
fn the_pages_of_the_kinds_are_current() {
    let folder = root().join("docs/kinds");
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let mut stale = Vec::new();
    let mut known = BTreeSet::new();
    for (file, wanted) in pages() {
        let path = folder.join(&file);
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &wanted).unwrap();
        }
        if std::fs::read_to_string(&path).ok().as_ref() != Some(&wanted) {
            stale.push(file.clone());
        }
        known.insert(file);
    }
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if !known.contains(&file) {
            stale.push(format!("{file} (belongs to no kind)"));
        }
    }
    assert!(
        stale.is_empty(),
        "stale in docs/kinds: {}; run: UPDATE_DOCS=1 cargo nextest run -p api-types",
        stale.join(", ")
    );
}

#[test]
fn a_page_tells_what_is_required_what_is_the_default_and_which_rules_hold() {
    let definition = definitions().into_iter().find(|definition| definition.spec.names.kind == "TestRun").unwrap();
    let page = page(&definition, "example: 1\n");
    for wanted in [
        "# TestRun\n",
        "| short | `tr` |",
        "```yaml\nexample: 1\n```",
        "  - `recipeRef` (string, **required**, at most 253 characters",
        "  - `lane` (string, one of `Cold`, `Quick`, default `Cold`)",
        "    - *rule:* source has exactly one of commit, ref and version",
        "| Domain | Where the app answers. | `-o wide` |",
    ] {
        assert!(page.contains(wanted), "{wanted:?} is missing in:\n{page}");
    }
}
