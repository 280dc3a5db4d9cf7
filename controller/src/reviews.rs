//! What a commit changes that waits for trust, for the web pages: fetched when somebody looks, and kept for the next.
//!
//! Nothing of it is run and nothing is written but the mirror that a run would fetch, too. What others wrote is bounded
//! and without secrets when it leaves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::identity::Identity;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::TestRun;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ports::compose::stack::{Finding, Place, Severity};
use ports::error::{Error, chain};
use ports::git::{CommitId, Fetch, Git, RefName, RemoteUrl, Revision};
use ports::redact::Redactor;
use store::object::object_key;
use store::store::Store;
use tokio::sync::Semaphore;
use webui::review::{Review, ReviewFile, ReviewFinding, Reviews};

use crate::commit_files::CommitFiles;
use crate::kinds::app::prepare;
use crate::kinds::test_run::hands::source::inputs_of;
use crate::kinds::test_run::{domain, work::Side};
use crate::runtime::outcome::sentence;
use crate::trust::tier;

/// Reviews that are kept.
const KEPT_MAX: usize = 32;
/// Commits that are looked at at the same time.
const AT_ONCE_MAX: usize = 2;
/// How long one look may take, waiting for others included.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Most bytes of a difference.
const DIFFERENCE_BYTES_MAX: usize = 192 * 1024;
/// Most files of a difference.
const FILES_MAX: usize = 60;
/// Most lines of one file's difference.
const LINES_MAX: usize = 400;
/// Most characters of a line.
const LINE_CHARACTERS_MAX: usize = 500;
/// Most findings.
const FINDINGS_MAX: usize = 50;

/// Looks at commits of the runs in a store.
pub struct StoredReviews {
    store: Store,
    git: Arc<dyn Git>,
    redactor: Redactor,
    /// The zone of run domains for Recipes without one of their own.
    zone: Option<String>,
    kept: Mutex<VecDeque<(Key, Arc<Review>)>>,
    places: Semaphore,
}

/// What a review is of: another commit, or another Recipe, makes another one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    run: String,
    recipe: String,
    generation: i64,
    commit: String,
}

/// A run, and what it is of.
struct Asked {
    run: Object<TestRun>,
    recipe: Object<Recipe>,
    key: Key,
}

impl StoredReviews {
    /// Returns what looks at the runs of `store` through `git`.
    #[must_use]
    pub fn new(store: Store, git: Arc<dyn Git>, redactor: Redactor, zone: Option<String>) -> Self {
        Self { store, git, redactor, zone, kept: Mutex::default(), places: Semaphore::new(AT_ONCE_MAX) }
    }

    fn asked(&self, namespace: &str, name: &str) -> Option<Asked> {
        let state = self.store.state();
        let stored = |resource: &str, name: &str| state.get(resource, &object_key(namespace, name)).cloned();
        let run = Object::<TestRun>::from_value(&stored(&TestRun::resource(), name)?.value()).ok()?;
        let recipe = stored(&Recipe::resource(), &run.spec.recipe_ref)?;
        let recipe = Object::<Recipe>::from_value(&recipe.value()).ok()?;
        let pull_request = run.spec.source.pull_request.as_ref();
        let commit = run.spec.source.commit.clone().or_else(|| pull_request.map(|pull| pull.head_sha.clone()))?;
        let key = Key {
            run: run.metadata.uid.clone(),
            recipe: recipe.metadata.uid.clone(),
            generation: recipe.metadata.generation,
            commit,
        };
        Some(Asked { run, recipe, key })
    }

    fn kept(&self, key: &Key) -> Option<Arc<Review>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(of, _)| of == key).map(|(_, review)| review.clone())
    }

    fn keep(&self, key: Key, review: &Arc<Review>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(of, _)| of.run != key.run);
        kept.push_front((key, review.clone()));
        kept.truncate(KEPT_MAX);
    }

    async fn make(&self, asked: &Asked) -> Result<Review, String> {
        let told = |error: Error| sentence(&self.redactor.text(&chain(&error)));
        let Asked { run, recipe, key } = asked;
        let url = RemoteUrl::new(recipe.spec.source.url.clone()).map_err(told)?;
        let commit = CommitId::new(key.commit.clone()).map_err(told)?;
        let mut fetch = Fetch::all(url.clone());
        fetch.commits.push(commit.clone());
        if let Some(pull_request) = &run.spec.source.pull_request {
            fetch.pull_requests.extend(u64::try_from(pull_request.number));
        }
        self.git.fetch(&fetch).await.map_err(told)?;
        let branch = RefName::new(recipe.spec.source.branch.clone()).map_err(told)?;
        let tip = self.git.resolve(&url, &Revision::Branch(branch)).await.map_err(told)?;
        let tip = tip.ok_or_else(|| format!("The recipe has no branch {}.", recipe.spec.source.branch))?;
        // Two histories without a common commit are compared as they are.
        let base = self.git.merge_base(&url, &tip, &commit).await.map_err(told)?.unwrap_or(tip);
        let difference = self.git.diff(&url, &base, &commit, DIFFERENCE_BYTES_MAX).await.map_err(told)?;
        let content = CommitFiles::read(&*self.git, &url, &commit).await.map_err(told)?;
        let found = self.findings(run, recipe, &commit, content).await;
        let patch = self.redactor.text(&String::from_utf8_lossy(&difference.patch));
        let (files, files_left_out) = files(&patch);
        Ok(Review {
            commit: commit.to_string(),
            base: base.to_string(),
            branch: recipe.spec.source.branch.clone(),
            files,
            files_left_out,
            is_cut_off: difference.is_cut_off,
            findings: found.into_iter().take(FINDINGS_MAX).map(|finding| self.finding(&finding)).collect(),
        })
    }

    /// Judges the files exactly as the run will.
    async fn findings(
        &self,
        run: &Object<TestRun>,
        recipe: &Object<Recipe>,
        commit: &CommitId,
        content: CommitFiles,
    ) -> Vec<Finding> {
        let mut run = run.clone();
        if run.status.domain.is_none() {
            let zone = recipe.spec.zone.clone().or_else(|| self.zone.clone()).unwrap_or_default();
            let name = domain::domain(&run.metadata.namespace, &run.spec.recipe_ref, &run.spec.source, &zone);
            run.status.domain = Some(name);
        }
        let identity = Identity { commit: Some(commit.to_string()), ..Identity::default() };
        let inputs = inputs_of(&run, &recipe.spec, tier(&run.spec, &recipe.spec), "", Side::Head, &identity);
        let commit = commit.clone();
        let judged = tokio::task::spawn_blocking(move || prepare::findings(&inputs, &commit, &content)).await;
        judged.unwrap_or_else(|_| {
            let message = "looking at the files hit a bug in the server; its log tells more, please report it";
            vec![Finding {
                severity: Severity::Error,
                rule: "InternalError".to_owned(),
                place: Place::default(),
                message: message.to_owned(),
            }]
        })
    }

    fn finding(&self, finding: &Finding) -> ReviewFinding {
        ReviewFinding {
            is_refused: finding.severity == Severity::Error,
            text: cut(&self.redactor.text(&finding.to_string())),
        }
    }
}

impl Reviews for StoredReviews {
    fn known(&self, namespace: &str, run: &str) -> Option<Arc<Review>> {
        self.kept(&self.asked(namespace, run)?.key)
    }

    fn look<'a>(&'a self, namespace: &'a str, run: &'a str) -> BoxFuture<'a, Result<Arc<Review>, String>> {
        async move {
            let asked = self.asked(namespace, run).ok_or("The run tests no commit that could be looked at.")?;
            let work = async {
                let _place = self.places.acquire().await.expect("the places are never closed");
                if let Some(review) = self.kept(&asked.key) {
                    return Ok(review);
                }
                let review = Arc::new(self.make(&asked).await?);
                self.keep(asked.key.clone(), &review);
                Ok(review)
            };
            if let Some(review) = self.kept(&asked.key) {
                return Ok(review);
            }
            match tokio::time::timeout(TIME_MAX, work).await {
                Ok(result) => result,
                Err(_) => Err(format!("The commit was not fetched within {} seconds.", TIME_MAX.as_secs())),
            }
        }
        .boxed()
    }
}

/// Cuts a unified diff into its files: those that decide what runs first. Returns how many are left out, too.
fn files(patch: &str) -> (Vec<ReviewFile>, usize) {
    let mut files: Vec<ReviewFile> = Vec::new();
    for line in patch.lines() {
        if let Some(names) = line.strip_prefix("diff --git ") {
            files.push(ReviewFile { path: path_of(names), ..ReviewFile::default() });
            continue;
        }
        let Some(file) = files.last_mut() else { continue };
        if line.starts_with("index ") || is_name(line, file) {
            continue;
        }
        if file.lines.len() >= LINES_MAX {
            file.is_cut_off = true;
            continue;
        }
        file.lines.push(cut(line));
    }
    for file in &mut files {
        file.why = why(&file.path);
    }
    files.sort_by_key(|file| file.why.is_none());
    let left_out = files.len().saturating_sub(FILES_MAX);
    files.truncate(FILES_MAX);
    (files, left_out)
}

/// The lines that name the two sides say nothing that the path does not; within a hunk such lines are content.
fn is_name(line: &str, file: &ReviewFile) -> bool {
    let in_hunk = file.lines.iter().any(|line| line.starts_with("@@"));
    !in_hunk && (line.starts_with("--- ") || line.starts_with("+++ "))
}

/// Reads `a/OLD b/NEW`; a name with odd characters stays as git quotes it.
fn path_of(names: &str) -> String {
    let halves = names.strip_prefix("a/").and_then(|rest| rest.split_once(" b/"));
    match halves {
        Some((old, new)) if old == new => cut(new),
        Some((old, new)) => cut(&format!("{old} → {new}")),
        None => cut(names),
    }
}

fn cut(line: &str) -> String {
    let mut characters = line.chars();
    let mut text: String = characters.by_ref().take(LINE_CHARACTERS_MAX).collect();
    if characters.next().is_some() {
        text.push('…');
    }
    text
}

/// Returns why a file decides what runs; `None` for texts and pictures.
fn why(path: &str) -> Option<&'static str> {
    // Of a file that was moved, its new place counts.
    let path = path.rsplit(" → ").next().unwrap_or(path).trim_matches('"').to_ascii_lowercase();
    let name = path.rsplit('/').next().unwrap_or(&path);
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let is_text = ends(&[".md", ".txt", ".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp"])
        || name.starts_with("license")
        || name.starts_with("readme");
    if name.starts_with("compose") && ends(&[".yml", ".yaml"]) {
        return Some("what is deployed");
    }
    if name == "abra.sh" {
        return Some("versions of secrets and configs, and commands in containers");
    }
    if name.starts_with(".env") {
        return Some("what is deployed by default");
    }
    if path.starts_with(".gitea/") || path.starts_with(".forgejo/") || name.starts_with(".drone") {
        return Some("what other builders run");
    }
    if ends(&[".sh", ".py", ".pl", ".rb", ".js"]) || name.contains("entrypoint") {
        return Some("runs in containers");
    }
    (!is_text).then_some("may be read by what runs")
}

#[cfg(test)]
mod tests;
