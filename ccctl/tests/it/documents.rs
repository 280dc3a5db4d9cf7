//! `docs/cli/` is made from the program; this fails when it is not what the program says. `UPDATE_DOCS=1` rewrites it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Returns the pages that are ours: that of the daemon is made where the daemon is known.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().is_some_and(|name| name != ccctl::documents::DAEMON_PAGE)).collect()
}

#[test]
fn the_command_line_reference_is_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli");
    let wanted: BTreeMap<String, String> = ccctl::documents::pages().into_iter().collect();
    #[expect(clippy::disallowed_methods, reason = "a switch for developers, read by the test alone")]
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::create_dir_all(&folder).unwrap();
        for path in pages(&folder) {
            std::fs::remove_file(path).unwrap();
        }
        for (name, text) in &wanted {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let mut found = BTreeMap::new();
    for path in pages(&folder) {
        found.insert(path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap());
    }
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    let advice = "docs/cli is stale: UPDATE_DOCS=1 cargo nextest run -p ccctl";
    assert_eq!(names(&found), names(&wanted), "{advice}");
    for (name, text) in &wanted {
        assert!(found[name] == *text, "{name}: {advice}");
    }
}
