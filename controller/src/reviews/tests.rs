//! What a commit changes, as it is told to whoever decides about it.

use std::sync::Arc;

use ports::error::ErrorKind;
use ports::git::fake::{FakeFiles, FakeGit};
use ports::git::{FileKind, TreePath};
use serde_json::{Value, json};
use store::request::{Target, WriteOptions};
use store::store::OpenOptions;

use super::*;

const COMPOSE: &str = "version: \"3.8\"\nservices:\n  app:\n    image: nginx:1\n";

struct Bench {
    reviews: StoredReviews,
    git: Arc<FakeGit>,
    url: RemoteUrl,
    store: Store,
    redactor: Redactor,
    _folder: tempfile::TempDir,
}

fn tree(files: &[(&str, &str)]) -> FakeFiles {
    let file = |(path, text): &(&str, &str)| {
        (TreePath::new((*path).to_owned()).unwrap(), (FileKind::Regular, text.as_bytes().to_vec()))
    };
    files.iter().map(file).collect()
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(OpenOptions::new(folder.path(), apiserver::built_in::registry())).unwrap();
        apiserver::bootstrap::prepare(&store, &apiserver::built_in::own_definitions()).await.unwrap();
        let url = RemoteUrl::new("https://git.example.org/wiki.git".to_owned()).unwrap();
        let git = Arc::new(FakeGit::default());
        let redactor = Redactor::default();
        let reviews = StoredReviews::new(store.clone(), git.clone(), redactor.clone(), Some("ci.test".to_owned()));
        let bench = Self { reviews, git, url, store, redactor, _folder: folder };
        bench
            .put("Recipe", "wiki", json!({"source": {"url": bench.url.as_str()}, "trust": {"forks": "Approve"}}))
            .await;
        bench
    }

    async fn put(&self, kind: &str, name: &str, spec: Value) {
        let resource = self.store.registry().find_kind("ci.coopcloud.tech", kind).cloned().unwrap();
        let object = json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": "default"}, "spec": spec});
        let target = Target::new(&resource, "default", name);
        self.store.create(&target, object.into(), &WriteOptions::by("test")).await.unwrap();
    }

    /// A pull request of somebody else that leaves `main` at its first commit; `main` has gone on.
    async fn pull_request(&self, files: &[(&str, &str)]) -> CommitId {
        let main = RefName::new("main".to_owned()).unwrap();
        let branch = RefName::new("theirs".to_owned()).unwrap();
        let base = [("compose.yml", COMPOSE), ("README.md", "A wiki.\n")];
        self.git.commit(&self.url, &main, tree(&base));
        let head = self.git.commit(&self.url, &branch, tree(files));
        self.git.pull_request(&self.url, 4, &head);
        let pull = json!({"number": 4, "headSHA": head.as_str(), "author": "mallory", "fork": true});
        let source = json!({"commit": head.as_str(), "pullRequest": pull});
        self.put("TestRun", "wiki-pr4", json!({"recipeRef": "wiki", "source": source})).await;
        head
    }

    async fn look(&self) -> Result<Arc<Review>, String> {
        self.reviews.look("default", "wiki-pr4").await
    }
}

#[tokio::test]
async fn files_that_decide_come_first_and_policy_says_what_it_refuses() {
    let bench = Bench::new().await;
    let hostile = format!("{COMPOSE}    volumes:\n      - /var/run/docker.sock:/var/run/docker.sock\n");
    let files = [("README.md", "A better wiki, token hunter2-canary.\n"), ("compose.yml", hostile.as_str())];
    let head = bench.pull_request(&files).await;
    bench.redactor.insert("secret", b"hunter2-canary");
    assert_eq!(bench.reviews.known("default", "wiki-pr4"), None);
    let review = bench.look().await.unwrap();
    assert_eq!(review.commit, head.to_string());
    let whys: Vec<(&str, bool)> = review.files.iter().map(|file| (file.path.as_str(), file.why.is_some())).collect();
    assert_eq!(whys, [("compose.yml", true), ("README.md", false)]);
    assert!(review.files[0].lines.iter().any(|line| line.starts_with('+') && line.contains("docker.sock")));
    let refused: Vec<&str> =
        review.findings.iter().filter(|finding| finding.is_refused).map(|finding| finding.text.as_str()).collect();
    assert!(refused.iter().any(|text| text.contains("compose.yml") && text.contains("docker.sock")), "{refused:?}");
    assert!(!format!("{review:?}").contains("hunter2"), "secrets do not leave");
    let fetches = bench.git.fetches(&bench.url);
    assert_eq!(bench.look().await.unwrap(), review);
    assert_eq!((bench.reviews.known("default", "wiki-pr4"), bench.git.fetches(&bench.url)), (Some(review), fetches));
}

#[tokio::test]
async fn a_forge_that_is_away_is_said_and_asked_again() {
    let bench = Bench::new().await;
    bench.pull_request(&[("compose.yml", COMPOSE)]).await;
    bench.git.set_fault(&bench.url, Some((ErrorKind::Retryable, "Unreachable", "the forge cannot be reached")));
    assert!(bench.look().await.unwrap_err().contains("cannot be reached"));
    bench.git.set_fault(&bench.url, None);
    assert_eq!(bench.look().await.unwrap().findings, []);
    assert!(bench.reviews.look("default", "not-there").await.is_err());
}

#[test]
fn a_difference_is_bounded_and_its_names_are_read_with_care() {
    let mut patch =
        String::from("diff --git a/docs/a b.md b/docs/a b.md\n--- a/docs/a b.md\n+++ b/docs/a b.md\n@@ -1 +1 @@\n");
    patch.push_str("--- not a name but a line\n+++ nor this\n");
    patch.push_str("diff --git a/old.sh b/entry point.sh\nsimilarity index 90%\n");
    patch.push_str("diff --git \"a/\\303\\251.yml\" \"b/\\303\\251.yml\"\n@@ -0,0 +1 @@\n");
    patch.push_str(&format!("+{}\n", "x".repeat(600)));
    patch.push_str(&"+y\n".repeat(500));
    patch.push_str("diff --git a/compose.yml b/compose.yml\n@@ -1 +1 @@\n-a\n+b\n");
    let (found, left_out) = files(&patch);
    let names: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names.len(), 4);
    assert_eq!((names[0], names[3], left_out), ("old.sh → entry point.sh", "docs/a b.md", 0));
    let odd = found.iter().find(|file| file.path.contains("303")).unwrap();
    assert_eq!((odd.lines.len(), odd.is_cut_off), (LINES_MAX, true));
    assert_eq!(odd.lines[1].chars().count(), LINE_CHARACTERS_MAX + 1);
    let docs = &found[3];
    assert_eq!(docs.lines, ["@@ -1 +1 @@", "--- not a name but a line", "+++ nor this"]);
    let many: String = (0..80).map(|at| format!("diff --git a/f{at}.yml b/f{at}.yml\n+x\n")).collect();
    assert_eq!(files(&many).1, 20);
}
