//! Logs and artifacts are kept, bounded, redacted and followed; no path leads out of the root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::junit::{Case, Outcome, Suite, document};
use super::run_logs::{LogFilter, LogReader};
use super::runs::RunLimits;
use super::{Area, Faults, FileName, FileRoot, RunFiles, RunKey, plain};
use crate::clock::FakeClock;
use crate::error::ErrorKind;
use crate::redact::Redactor;

struct World {
    folder: tempfile::TempDir,
    clock: Arc<FakeClock>,
    faults: Faults,
    redactor: Redactor,
    limits: RunLimits,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(FakeClock::at(moment(0)));
        let (folder, faults) = (tempfile::tempdir().unwrap(), Faults::default());
        Self { folder, clock, faults, redactor: Redactor::default(), limits: RunLimits::default() }
    }

    fn root(&self) -> FileRoot {
        FileRoot::open(self.folder.path(), self.faults.clone()).unwrap()
    }

    /// As ccd does at each start.
    fn open(&self) -> RunFiles {
        RunFiles::new(self.root(), self.redactor.clone(), self.clock.clone(), self.limits)
    }
}

fn moment(seconds: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn name(text: &str) -> FileName {
    FileName::new(text).unwrap()
}

fn key() -> RunKey {
    RunKey::new("default", "demo-pr7", "0b9c").unwrap()
}

fn texts(reader: &mut LogReader) -> Vec<String> {
    let lines = reader.read(usize::MAX).unwrap();
    lines.into_iter().map(|line| format!("{}: {}", line.stage, line.text)).collect()
}

fn all(files: &RunFiles) -> Vec<String> {
    texts(&mut files.read_log(&key(), LogFilter::default()).unwrap())
}

#[test]
fn lines_of_all_stages_come_in_the_order_of_their_moments() {
    let world = World::new();
    let files = world.open();
    let mut prepare = files.log(&key(), &name("prepare")).unwrap();
    let mut install = files.log(&key(), &name("install")).unwrap();
    prepare.write(b"one\ntw").unwrap();
    world.clock.set(moment(1));
    install.line("deploying").unwrap();
    world.clock.set(moment(2));
    prepare.write(b"o\nunfinished").unwrap();
    assert_eq!(all(&files), ["prepare: one", "install: deploying", "prepare: two"]);
    world.clock.set(moment(3));
    prepare.line("a sentence\nof two lines").unwrap();
    drop((prepare, install));
    let since = LogFilter { since: Some(moment(2)), ..LogFilter::default() };
    let expected = ["prepare: two", "prepare: unfinished", "prepare: a sentence", "prepare: of two lines"];
    assert_eq!(texts(&mut files.read_log(&key(), since).unwrap()), expected);
    let tail = LogFilter { tail: Some(1), ..LogFilter::default() };
    assert_eq!(texts(&mut files.read_log(&key(), tail).unwrap()), expected[3..]);
    let stage = LogFilter { stage: Some(name("install")), ..LogFilter::default() };
    let lines = files.read_log(&key(), stage).unwrap().read(usize::MAX).unwrap();
    assert_eq!((lines.len(), lines[0].at, &*lines[0].text), (1, moment(1), "deploying"));
    let stages: Vec<String> = files.logs(&key()).unwrap().iter().map(|info| info.stage.to_string()).collect();
    assert_eq!(stages, ["prepare", "install"], "in the order in which they began");
}

#[test]
fn a_log_goes_on_after_a_crash_in_the_middle_of_a_line() {
    let world = World::new();
    world.open().log(&key(), &name("install")).unwrap().line("before").unwrap();
    let segment = world.folder.path().join("runs/default/demo-pr7/0b9c/logs/install/000000");
    let torn = fs::read_to_string(&segment).unwrap() + "2026-01-01T00:00:00.0000";
    fs::write(&segment, torn).unwrap();
    let files = world.open();
    assert_eq!(all(&files), ["install: before"], "a torn line is none yet");
    files.log(&key(), &name("install")).unwrap().line("after").unwrap();
    assert_eq!(all(&files), ["install: before", "install: 2026-01-01T00:00:00.0000", "install: after"]);
}

#[test]
fn of_a_log_that_is_too_long_the_middle_goes() {
    let mut world = World::new();
    world.limits.stage_log_bytes = 3_000;
    let files = world.open();
    let mut log = files.log(&key(), &name("install")).unwrap();
    let mut early_reader = files.read_log(&key(), LogFilter::default()).unwrap();
    for index in 0..1000 {
        log.line(&format!("line {index:04} {}", "x".repeat(40))).unwrap();
    }
    let lines = all(&files);
    assert!(lines[0].starts_with("install: line 0000") && lines.last().unwrap().contains("line 0999"));
    assert_eq!(lines.iter().filter(|line| line.contains("[the log was too long: ")).count(), 1);
    let info = &files.logs(&key()).unwrap()[0];
    assert!(info.is_truncated && info.bytes <= 3_000 + 100, "{info:?}");
    assert_eq!(texts(&mut early_reader).len(), lines.len(), "whoever came early and slept sees the same");
}

#[test]
fn secrets_do_not_get_into_a_log_or_an_artifact() {
    let world = World::new();
    world.redactor.insert("test", b"correct-horse-battery");
    let files = world.open();
    let mut log = files.log(&key(), &name("install")).unwrap();
    log.write(b"token=correct-").unwrap();
    log.write(b"horse-battery\n").unwrap();
    log.write(b"correct-\x1b[1mhorse\x1b[0m-battery\n").unwrap();
    log.line("we say correct-horse-battery").unwrap();
    let expected = ["install: token=[redacted]", "install: [redacted]", "install: we say [redacted]"];
    assert_eq!(all(&files), expected);
    files.put_artifact(&key(), &name("results.json"), b"{\"a\":\"correct-horse-battery\"}").unwrap();
    let (info, content) = files.artifact(&key(), &name("results.json")).unwrap().unwrap();
    assert_eq!((info.media_type, &*content), ("application/json", &b"{\"a\":\"[redacted]\"}"[..]));
}

#[tokio::test]
async fn a_follower_sees_what_comes_and_the_end() {
    let world = World::new();
    let files = world.open();
    let mut log = files.log(&key(), &name("install")).unwrap();
    log.line("one").unwrap();
    let mut reader = files.read_log(&key(), LogFilter::default()).unwrap();
    let follower = tokio::spawn(async move {
        let mut seen = Vec::new();
        loop {
            let is_complete = reader.is_complete().unwrap();
            let lines = texts(&mut reader);
            if lines.is_empty() && is_complete {
                return seen;
            }
            let nothing = lines.is_empty();
            seen.extend(lines);
            if nothing {
                reader.changed().await;
            }
        }
    });
    for index in 0..50 {
        log.line(&index.to_string()).unwrap();
        tokio::task::yield_now().await;
    }
    files.log(&key(), &name("cleanup")).unwrap().line("bye").unwrap();
    files.complete(&key()).unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(20), follower).await.unwrap().unwrap();
    assert_eq!((seen.len(), seen[0].as_str(), seen[51].as_str()), (52, "install: one", "cleanup: bye"));
}

#[tokio::test]
async fn who_follows_a_stage_or_a_removed_run_comes_to_an_end() {
    let world = World::new();
    let files = world.open();
    files.log(&key(), &name("install")).unwrap().line("one").unwrap();
    let stage = LogFilter { stage: Some(name("install")), ..LogFilter::default() };
    let reader = files.read_log(&key(), stage).unwrap();
    assert!(!reader.is_complete().unwrap());
    files.complete_stage(&key(), &name("install")).unwrap();
    assert!(reader.is_complete().unwrap());
    let mut whole = files.read_log(&key(), LogFilter::default()).unwrap();
    assert!(!whole.is_complete().unwrap());
    assert_eq!(texts(&mut whole), ["install: one"]);
    files.remove(&key()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), whole.changed()).await.unwrap();
    assert!(whole.is_complete().unwrap());
    assert!(files.runs().unwrap().is_empty() && files.root.list(Area::Runs).unwrap().is_empty());
    files.remove(&key()).unwrap();
}

#[test]
fn artifacts_are_counted_measured_and_hashed() {
    let mut world = World::new();
    (world.limits.artifacts, world.limits.artifact_bytes) = (2, 10);
    let files = world.open();
    let info = files.put_artifact(&key(), &name("a.txt"), b"abc").unwrap();
    assert_eq!(info.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    files.put_artifact(&key(), &name("b.png"), b"abc").unwrap();
    let error = files.put_artifact(&key(), &name("c.txt"), b"abc").unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "TooManyArtifacts"));
    files.put_artifact(&key(), &name("a.txt"), b"replaced").unwrap();
    let error = files.put_artifact(&key(), &name("a.txt"), b"far too long").unwrap_err();
    assert_eq!(error.reason, "ArtifactTooLarge");
    let artifacts = files.artifacts(&key()).unwrap();
    let seen: Vec<_> = artifacts.iter().map(|info| (info.name.as_str(), info.media_type, info.bytes)).collect();
    assert_eq!(seen, [("a.txt", "text/plain; charset=utf-8", 8), ("b.png", "image/png", 3)]);
    assert!(files.artifact(&key(), &name("absent")).unwrap().is_none());
    assert_eq!(files.runs().unwrap(), [key()]);
}

#[test]
fn a_full_disk_is_said_and_got_over() {
    let world = World::new();
    let files = world.open();
    let mut log = files.log(&key(), &name("install")).unwrap();
    log.line("one").unwrap();
    world.faults.set_full(true);
    for error in [
        log.line("lost").unwrap_err(),
        files.put_artifact(&key(), &name("a"), b"").unwrap_err(),
        files.complete(&key()).unwrap_err(),
        world.root().make(Area::Apps, &name("blog")).unwrap_err(),
    ] {
        assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "DiskFull"));
        assert!(error.message.contains("free some space"), "{error}");
    }
    world.faults.set_full(false);
    log.line("two").unwrap();
    assert_eq!(all(&files), ["install: one", "install: two"]);
}

#[test]
fn links_are_not_followed() {
    let (world, outside) = (World::new(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("passwd"), "root").unwrap();
    let files = world.open();
    files.put_artifact(&key(), &name("a"), b"a").unwrap();
    let run = world.folder.path().join("runs/default/demo-pr7/0b9c");
    symlink(outside.path().join("passwd"), run.join("artifacts/link")).unwrap();
    let error = files.artifact(&key(), &name("link")).unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "SymbolicLink"));
    fs::create_dir_all(run.join("logs")).unwrap();
    symlink(outside.path(), run.join("logs/install")).unwrap();
    assert_eq!(files.log(&key(), &name("install")).err().map(|error| error.reason), Some("SymbolicLink"));
    let replaced = files.put_artifact(&key(), &name("link"), b"mine").unwrap();
    assert_eq!(replaced.bytes, 4, "a link is replaced, not what it leads to");
    files.remove(&key()).unwrap();
    assert_eq!(fs::read_to_string(outside.path().join("passwd")).unwrap(), "root");
    let root = world.root();
    symlink(outside.path(), root.path(Area::Trees, &name("tree"))).unwrap();
    assert_eq!(root.make(Area::Trees, &name("tree")).unwrap_err().reason, "SymbolicLink");
    root.remove(Area::Trees, &name("tree")).unwrap();
    for _ in 0..2 {
        assert!(root.make(Area::Trees, &name("tree")).unwrap().is_dir());
    }
    root.remove(Area::Trees, &name("tree")).unwrap();
    assert!(outside.path().join("passwd").exists() && root.list(Area::Trees).unwrap().is_empty());
    assert!(root.read(Path::new("../../etc/passwd"), 100).is_err());
}

#[test]
fn names_have_a_grammar() {
    for good in ["a", "results.json", "0b9c-1", "1.0.0+2.3", "A_b@c=d"] {
        FileName::new(good).unwrap();
    }
    for bad in ["", ".", "..", ".hidden", "-x", "a/b", "a b", "a\0", "ä", &"a".repeat(256)] {
        FileName::new(bad).unwrap_err();
    }
}

#[test]
fn text_becomes_plain() {
    let cases = [
        (&b"\x1b[31mred\x1b[0m and \x1b[1;38;5;200mbold\x1b[m"[..], "red and bold"),
        (b"\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link", "textlink"),
        (b"10%\r50%\r100%\r\n", "100%"),
        (b"a\tb\x08\x00c\x7f", "a\tbc"),
        (b"bad \xff byte", "bad \u{fffd} byte"),
        (b"\x1b(Bx\x1b=y\x1b", "xy"),
        (b"\x1b[", ""),
    ];
    for (bytes, expected) in cases {
        assert_eq!(plain::line(bytes), expected, "{}", bytes.escape_ascii());
    }
    assert_eq!(plain::text(b"a\x1b[0m\nb\r\n\nc"), "a\nb\n\nc");
}

#[test]
fn junit_is_well_formed() {
    let case = |name: &str, outcome| Case { name: name.to_owned(), milliseconds: 1500, outcome };
    let suite = Suite {
        name: "install".to_owned(),
        started_at: Some(moment(0)),
        cases: vec![
            case("healthy", Outcome::Pass),
            case("a<b>&\"c\"", Outcome::Fail("first\nsecond\u{1}".to_owned())),
            case("later", Outcome::Skip("stateless".to_owned())),
            case("broken", Outcome::Error("no tool".to_owned())),
        ],
    };
    let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"demo-pr7\" tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\" time=\"6.000\">
  <testsuite name=\"install\" timestamp=\"2026-01-01T00:00:00Z\" tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\" time=\"6.000\">
    <testcase classname=\"install\" name=\"healthy\" time=\"1.500\"/>
    <testcase classname=\"install\" name=\"a&lt;b&gt;&amp;&quot;c&quot;\" time=\"1.500\">
      <failure message=\"first\">first&#10;second\u{fffd}</failure>
    </testcase>
    <testcase classname=\"install\" name=\"later\" time=\"1.500\">
      <skipped message=\"stateless\">stateless</skipped>
    </testcase>
    <testcase classname=\"install\" name=\"broken\" time=\"1.500\">
      <error message=\"no tool\">no tool</error>
    </testcase>
  </testsuite>
</testsuites>
";
    assert_eq!(document("demo-pr7", &[suite]), expected);
}
