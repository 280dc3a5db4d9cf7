//! The tutorial, followed to the letter: its files are saved, its `sh` blocks are run in order in one shell against a
//! real ccd, and what each prints is compared with the `text` block after it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::daemon::Daemon;

/// Printed after each block, so that the shell's one output can be taken apart again.
const END_OF_BLOCK: &str = "=== end of block ===";

/// Longest time in seconds that all commands of the tutorial together may take.
const SECONDS_MAX: &str = "120";

/// The shell in which the blocks run: it stops at the first failure and leaves nothing running.
const PROLOGUE: &str = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\nexec 2>&1\n";

/// A fenced block of a page.
struct Block {
    /// What stands after the fence, as `yaml kind.yaml`.
    info: String,
    text: String,
    /// Line of the page at which the block begins, from 1.
    line: usize,
}

/// A block of commands and what the page says they print.
struct Step {
    line: usize,
    commands: String,
    output: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn tutorial() -> Vec<Block> {
    blocks(&std::fs::read_to_string(root().join("docs/tutorial.md")).unwrap())
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(info), None) => open = Some(Block { info: info.to_owned(), text: String::new(), line: index + 1 }),
            (Some(_), Some(block)) => found.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the last block of the page is not closed");
    found
}

fn steps(blocks: &[Block]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        match block.info.as_str() {
            "sh" => steps.push(Step { line: block.line, commands: block.text.clone(), output: None }),
            "text" => {
                let follows = index > 0 && blocks[index - 1].info == "sh";
                assert!(follows, "line {}: a text block must follow the sh block that prints it", block.line);
                steps.last_mut().unwrap().output = Some(block.text.clone());
            }
            _ => {}
        }
    }
    steps
}

/// Returns the files that the page asks to save: name and content.
fn files(blocks: &[Block]) -> Vec<(&str, &str)> {
    blocks.iter().filter_map(|block| Some((block.info.split_once(' ')?.1, block.text.as_str()))).collect()
}

/// Returns whether `actual` is `pattern`, in which each `…` stands for any text, also none and also of several lines.
fn fits(pattern: &str, actual: &str) -> bool {
    let mut parts = pattern.trim_end().split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = actual.trim_end().strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn tutorial_commands_print_what_the_page_shows() {
    let page = tutorial();
    let steps = steps(&page);
    assert!(steps.len() >= 8, "the tutorial has only {} blocks of commands", steps.len());
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files(&page) {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let daemon = Daemon::start(&dir.path().join("tutorial")).unwrap();

    let mut script = PROLOGUE.to_owned();
    for step in &steps {
        script.push_str(&step.commands);
        script.push_str(&format!("echo '{END_OF_BLOCK}'\n"));
    }
    let output = Command::new("timeout")
        .args(["--kill-after=5", SECONDS_MAX, "bash", "-c", &script])
        .current_dir(dir.path())
        .env("HOME", dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();

    let separator = format!("{END_OF_BLOCK}\n");
    let mut actual = printed.split(&separator);
    let done = printed.matches(END_OF_BLOCK).count();
    for (index, step) in steps.iter().enumerate() {
        let text = actual.next().unwrap_or_default();
        let line = step.line;
        let log = || std::fs::read_to_string(dir.path().join("operator.log")).unwrap_or_default();
        assert!(index < done, "docs/tutorial.md:{line} fails:\n{text}\noperator: {}\nccd: {}", log(), daemon.log());
        let Some(expected) = &step.output else { continue };
        assert!(fits(expected, text), "docs/tutorial.md:{line} shows\n{expected}\nbut it prints\n{text}");
    }
    assert!(output.status.success(), "the tutorial's shell ends with {}:\n{printed}", output.status);
}

#[test]
fn tutorial_files_are_those_of_the_demo() {
    let page = tutorial();
    let files = files(&page);
    assert_eq!(files.len(), 4, "the tutorial asks to save {} files", files.len());
    for (name, content) in files {
        let of_demo = std::fs::read_to_string(root().join("deploy/demo").join(name)).unwrap();
        assert!(of_demo == content, "docs/tutorial.md and deploy/demo/{name} differ");
    }
}

#[test]
fn tutorial_outputs_are_compared_with_care() {
    for (name, pattern, actual, expected) in [
        ("equal text fits", "a\nb\n", "a\nb\n", true),
        ("other text does not fit", "a\n", "b\n", false),
        ("more text than shown does not fit", "a\n", "a\nb\n", false),
        ("less text than shown does not fit", "a\nb\n", "a\n", false),
        ("an ellipsis stands for part of a line", "AGE … END\n", "AGE 3s END\n", true),
        ("an ellipsis stands for several lines", "a\n…\nd\n", "a\nb\nc\nd\n", true),
        ("an ellipsis stands for nothing", "a…\n", "a\n", true),
        ("an ellipsis at the end does not excuse the beginning", "a…\n", "b\n", false),
        ("what follows an ellipsis must come", "a…z\n", "a b c\n", false),
        ("what stands between two ellipses must come in order", "…a…b…\n", "b a\n", false),
        ("the end is not used twice", "…ab…b\n", "ab\n", false),
    ] {
        assert_eq!(fits(pattern, actual), expected, "{name}");
    }
}
