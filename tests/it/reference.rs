//! `docs/cli/ccd.md` is made from the program; this fails when it is not what the program says. `UPDATE_DOCS=1` rewrites
//! it.

use std::path::Path;

const NOTICE: &str =
    "<!-- Made by the tests from ccd's definitions: UPDATE_DOCS=1 cargo nextest run -p tests reference -->\n\n";

#[test]
fn the_reference_of_the_daemons_commands_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli").join(ccctl::documents::DAEMON_PAGE);
    let wanted = ccctl::documents::page_of(controller::commands::command_line(), NOTICE);
    for command in ["serve", "check", "backup", "restore", "export", "token create", "version"] {
        assert!(wanted.contains(&format!("# ccd {command}\n")), "{command} is missing in\n{wanted}");
    }
    #[expect(clippy::disallowed_methods, reason = "a switch for developers, read by the test alone")]
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == wanted, "docs/cli/ccd.md is stale: UPDATE_DOCS=1 cargo nextest run -p tests reference");
}
