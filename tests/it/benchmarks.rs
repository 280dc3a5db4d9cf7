//! What `make bench` keeps: its figures stand below the mark on their page, and nothing above it is touched.

use std::path::Path;
use std::process::{Command, Output};

const MARK: &str = "<!-- `make bench` writes what follows. -->";

fn keep(page: &Path, results: &[&Path]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/keep");
    let mut command = Command::new(script);
    command.arg(page).args(results).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.output().unwrap()
}

#[test]
fn benchmarks_are_kept_with_their_date_below_the_mark() {
    let dir = tempfile::tempdir().unwrap();
    let (page, result) = (dir.path().join("page.md"), dir.path().join("ratios.txt"));
    std::fs::write(&page, format!("# Benchmarks\n\n{MARK}\n\n## 2001-01-01\n\nold\n")).unwrap();
    let dated = regex::Regex::new(r"^\n\n## \d{4}-\d\d-\d\d\n\n\d+ cores of ").unwrap();
    for figure in ["a & b \\ 1", "2"] {
        std::fs::write(&result, format!("{figure}  \n")).unwrap();
        let output = keep(&page, &[&result]);
        assert!(output.status.success(), "{output:?}");
        let text = std::fs::read_to_string(&page).unwrap();
        let (above, below) = text.split_once(MARK).unwrap();
        assert_eq!(above, "# Benchmarks\n\n");
        assert!(below.ends_with(&format!("\n### ratios\n\n```text\n{figure}\n```\n")), "{below}");
        assert!(!below.contains("old"), "{below}");
        assert!(dated.is_match(below), "{below}");
    }
    std::fs::write(&page, "# Benchmarks\n").unwrap();
    let output = keep(&page, &[&result]);
    assert!(!output.status.success());
    assert_eq!(std::fs::read_to_string(&page).unwrap(), "# Benchmarks\n", "a page without the mark stays as it is");
}

#[test]
fn benchmarks_have_a_page_with_the_mark() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    assert!(std::fs::read_to_string(page).unwrap().lines().any(|line| line == MARK));
}
