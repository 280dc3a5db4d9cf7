//! Stores that older programs left behind: this program opens them with everything, and brings them to its format.

use std::path::Path;
use std::process::Command;

use tests::daemon::Daemon;

/// Unpacks a store as an older program left it, as the data directory of a new ccd.
fn data_directory(parent: &Path, fixture: &str) -> std::path::PathBuf {
    let directory = parent.join("data");
    std::fs::create_dir(&directory).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&directory, private).unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(fixture);
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&directory).status().unwrap();
    assert!(unpacked.success());
    directory
}

#[test]
fn a_store_of_format_2_opens_with_everything() {
    let parent = tempfile::tempdir().unwrap();
    let directory = data_directory(parent.path(), "store-format-2.tar.gz");
    for round in ["the first start", "the next start"] {
        let mut daemon = Daemon::start(&directory).unwrap();
        let found = |arguments: &str| {
            let output = daemon.kubectl(&arguments.split(' ').collect::<Vec<_>>()).unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let names = "get configmaps,secrets,tools --namespace team --output name";
        let expected = "configmap/changed\nconfigmap/large\nsecret/s\ntool.old.example.com/t\n";
        assert_eq!(found(names), expected, "{round}");
        for (object, path, expected) in [
            ("configmap changed", "{.data.v}", "2"),
            ("configmap large", "{.data.big}", &"x".repeat(9000)),
            ("secret s", "{.data.key}", "a2VwdC1pbi1mb3JtYXQtMg=="),
            (
                "tool t",
                "{.metadata.resourceVersion} {.metadata.uid} {.metadata.finalizers} {.metadata.labels.a} {.spec.size}",
                r#"32 6b037721-e6b0-4f70-964c-66913e641363 ["example.com/hold"] b 7"#,
            ),
        ] {
            let (kind, name) = object.split_once(' ').unwrap();
            let output = format!("jsonpath={path}");
            let arguments = ["get", kind, name, "--namespace", "team", "--output", &output];
            let shown = daemon.kubectl(&arguments).unwrap().stdout;
            assert_eq!(String::from_utf8(shown).unwrap(), expected, "{round}: {object}");
        }
        let current = std::fs::read_to_string(directory.join("store/CURRENT")).unwrap();
        assert_eq!(current, "format 3\ngeneration gen-000001\n");
        assert!(daemon.stop().unwrap().success());
    }
}
