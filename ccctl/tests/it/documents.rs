//! `docs/cli/` is made from the program; this fails when it is not what the program says. `UPDATE_DOCS=1` rewrites it.

use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn the_command_line_reference_is_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli");
    let wanted: BTreeMap<String, String> = ccctl::documents::pages().into_iter().collect();
    #[expect(clippy::disallowed_methods, reason = "a switch for developers, read by the test alone")]
    if std::env::var("UPDATE_DOCS").is_ok() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in &wanted {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        found.insert(path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap());
    }
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    let advice = "docs/cli is stale: UPDATE_DOCS=1 cargo nextest run -p ccctl";
    assert_eq!(names(&found), names(&wanted), "{advice}");
    for (name, text) in &wanted {
        assert!(found[name] == *text, "{name}: {advice}");
    }
}
