//! What commands come to: objects to create, change and delete, and answers. Pure, but for the forge's own facts that
//! it is given.

use api_types::kind::{Kind as _, Object};
use api_types::kinds::approval::Approval;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::repository::Repository;
use api_types::kinds::test_run::{Lane, RungName, TestRun};
use api_types::reason;
use ports::forge::{Comment, PullRequest};
use serde_json::{Value, json};

use super::decide::Fate;
use super::grammar::{Command, Rerun, TestOptions};
use super::names;
use crate::kinds::report::render;
use crate::runtime::objects::ObjectKey;

/// The reaction that says that a command was taken.
pub const TAKEN: &str = "eyes";

/// Something to do because of a comment.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// The comment.
    pub comment: Comment,
    /// What to do.
    pub deed: Deed,
    /// What to say about it in the inbox once it is done.
    pub fate: Fate,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Create these TestRuns, and end those.
    Start {
        /// The TestRuns.
        runs: Vec<Value>,
        /// Runs that the new ones make pointless.
        superseded: Vec<ObjectKey>,
    },
    /// End these runs.
    Cancel(Vec<ObjectKey>),
    /// Create this Approval.
    Approve(Box<Value>),
    /// Delete these Approvals, and end these runs.
    Deny {
        /// Key and uid of each Approval.
        approvals: Vec<(ObjectKey, String)>,
        /// The runs.
        runs: Vec<ObjectKey>,
    },
    /// Answer.
    Answer {
        /// By what the answer is found again.
        marker: String,
        /// What to say.
        text: String,
    },
}

/// Everything that a command is carried out on.
pub struct Scene<'a> {
    /// The Repository.
    pub repository: &'a Object<Repository>,
    /// The comment.
    pub comment: &'a Comment,
    /// The pull request as it is now.
    pub pull: &'a PullRequest,
    /// The recipes whose triggers its author may use, and whether older heads are ended.
    pub recipes: Vec<(&'a Object<Recipe>, bool)>,
    /// Recipes that triggers name and that do not exist.
    pub missing: Vec<String>,
    /// The runs of the pull request and these recipes, newest first.
    pub runs: Vec<Object<TestRun>>,
    /// The Approvals of the pull request.
    pub approvals: Vec<Object<Approval>>,
    /// Why its author may.
    pub why: String,
}

/// What a command comes to: something to do, or nothing.
pub type Plan = Result<Work, Fate>;

impl Scene<'_> {
    /// Returns what a command comes to.
    pub fn plan(&self, command: &Command) -> Plan {
        match command {
            Command::Test(_, options) => self.start(|_| Some(options.clone())),
            Command::Rerun(what) => self.rerun(*what),
            Command::Cancel => self.cancel(),
            Command::Approve(commit) => self.approve(commit.as_deref()),
            Command::Deny => self.deny(),
            Command::Status => self.answer("Status", self.status()),
            Command::Why => self.answer("Why", self.reasons()),
            Command::Help => self.answer("Help", HELP.to_owned()),
        }
    }

    /// Returns the answer to what was meant as a command and is none.
    pub fn correct(&self, message: &str, is_our_word: bool) -> Plan {
        // Of words that are nobody's, one answer a pull request is enough.
        let marker = if is_our_word { self.marker() } else { "<!-- cc-ci:answer unknown -->".to_owned() };
        let text = format!("{message}\n\n{HELP}");
        let fate = Fate::Ignored(reason::BAD_COMMAND, message.to_owned());
        Ok(Work { comment: self.comment.clone(), deed: Deed::Answer { marker, text }, fate })
    }

    fn marker(&self) -> String {
        format!("<!-- cc-ci:answer {} -->", self.comment.id)
    }

    fn work(&self, deed: Deed, reason: &'static str, message: &str) -> Plan {
        let fate = Fate::Handled(reason, format!("{message} {}", self.why));
        Ok(Work { comment: self.comment.clone(), deed, fate })
    }

    fn answer(&self, what: &str, text: String) -> Plan {
        self.work(Deed::Answer { marker: self.marker(), text }, reason::SUCCEEDED, &format!("{what} was answered."))
    }

    fn of<'s>(&'s self, recipe: &'s Object<Recipe>) -> impl Iterator<Item = &'s Object<TestRun>> {
        self.runs.iter().filter(|run| run.spec.recipe_ref == recipe.metadata.name)
    }

    /// Starts a run of every recipe for which there are options.
    fn start(&self, options: impl Fn(&Object<Recipe>) -> Option<TestOptions>) -> Plan {
        if self.recipes.is_empty() {
            let missing = self.missing.join(", ");
            return Err(Fate::Ignored(
                reason::NOT_ENROLLED,
                format!("The Recipe {missing} that the trigger names does not exist: apply it."),
            ));
        }
        let (mut runs, mut names, mut superseded) = (Vec::new(), Vec::new(), Vec::new());
        for (recipe, cancels) in &self.recipes {
            let Some(options) = options(recipe) else { continue };
            // Whatever the head was then: one comment starts one run.
            let already = self.of(recipe).find(|run| names::comment_of(run) == Some(self.comment.id));
            let name = match already {
                Some(run) => run.metadata.name.clone(),
                None => {
                    let run = self.run(recipe, &options);
                    let name = run["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                    runs.push(run);
                    name
                }
            };
            names.push(name);
            if *cancels {
                let older = self.of(recipe).filter(|run| {
                    is_unfinished(run)
                        && run.spec.source.pull_request.as_ref().is_some_and(|of| of.head_sha != self.pull.head_sha)
                });
                superseded.extend(older.map(key_of));
            }
        }
        if names.is_empty() {
            return self.answer("Rerun", "There is nothing to test again. `!testme` starts a run.".to_owned());
        }
        let message = format!("{} tests {}.", names.join(", "), self.short());
        if runs.is_empty() && superseded.is_empty() {
            return Err(Fate::Handled(reason::ACCEPTED, format!("{message} {}", self.why)));
        }
        self.work(Deed::Start { runs, superseded }, reason::ACCEPTED, &message)
    }

    fn short(&self) -> &str {
        self.pull.head_sha.get(..7).unwrap_or_default()
    }

    fn run(&self, recipe: &Object<Recipe>, options: &TestOptions) -> Value {
        let (pull, comment) = (self.pull, self.comment);
        let mut spec = json!({
            "recipeRef": recipe.metadata.name,
            "source": {
                "commit": pull.head_sha,
                "pullRequest": {
                    "number": pull.number, "headSHA": pull.head_sha, "author": pull.author.login,
                    "fork": pull.is_fork,
                },
            },
            "lane": if options.lane == Lane::Quick { "Quick" } else { "Cold" },
        });
        if !options.stages.is_empty() {
            spec["stages"] = json!(options.stages);
        }
        if let Some(version) = &options.from {
            spec["baseVersion"] = json!(version);
        }
        if let Some(hold) = &options.hold {
            spec["holdOnFailure"] = json!(hold);
        }
        json!({
            "apiVersion": TestRun::api_version(),
            "kind": TestRun::KIND,
            "metadata": {
                "name": names::run_name(&recipe.metadata.name, pull.number, &pull.head_sha, comment.id),
                "namespace": self.repository.metadata.namespace,
                "labels": {
                    (names::COMMENT_LABEL): comment.id.to_string(),
                    (names::PULL_REQUEST_LABEL): pull.number.to_string(),
                },
                "annotations": {
                    (names::REPOSITORY_ANNOTATION): self.repository.metadata.name,
                    (names::REQUESTED_BY_ANNOTATION): comment.author.login,
                },
                "ownerReferences": [{
                    "apiVersion": Recipe::api_version(), "kind": Recipe::KIND, "name": recipe.metadata.name,
                    "uid": recipe.metadata.uid, "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": spec,
        })
    }

    fn rerun(&self, what: Rerun) -> Plan {
        self.start(|recipe| {
            // Not what this very comment started before a restart.
            let last = self.of(recipe).find(|run| names::comment_of(run) != Some(self.comment.id))?;
            let same = TestOptions {
                lane: last.spec.lane,
                stages: last.spec.stages.clone(),
                from: last.spec.base_version.clone(),
                hold: last.spec.hold_on_failure.clone(),
            };
            match what {
                Rerun::Same => Some(same),
                Rerun::Rung(rung) => Some(TestOptions { stages: vec![rung], ..same }),
                Rerun::Failed => {
                    let stages: Vec<RungName> = render::not_passed(last)
                        .into_iter()
                        .filter(|rung| last.spec.stages.is_empty() || last.spec.stages.contains(rung))
                        .collect();
                    (!stages.is_empty()).then_some(TestOptions { stages, ..same })
                }
            }
        })
    }

    fn cancel(&self) -> Plan {
        let runs: Vec<ObjectKey> = self.runs.iter().filter(|run| is_unfinished(run)).map(key_of).collect();
        if runs.is_empty() {
            return Err(Fate::Ignored(reason::NOT_FOUND, "No run of the pull request goes on.".to_owned()));
        }
        let message = format!("{} runs end.", runs.len());
        self.work(Deed::Cancel(runs), reason::CANCELLED, &message)
    }

    /// Approves the head that was shown before the comment was written, or that the comment names.
    fn approve(&self, commit: Option<&str>) -> Plan {
        let head = &self.pull.head_sha;
        if !self.pull.is_fork {
            let message = "The pull request comes from the repository itself and needs no approval.".to_owned();
            return Err(Fate::Ignored(reason::APPROVED, message));
        }
        let was_shown = self.runs.iter().any(|run| {
            let of = run.spec.source.pull_request.as_ref();
            of.is_some_and(|of| of.head_sha == *head)
                && names::comment_of(run).is_none_or(|earlier| earlier < self.comment.id)
        });
        let is_meant = commit.map_or(was_shown, |commit| head.to_ascii_lowercase().starts_with(commit));
        if !is_meant {
            let text = format!(
                "Nothing was approved: the head is `{}` by now, which is not what you looked at, or no run of it waits. \
                 Look at this commit and comment `!ok {}`.",
                self.short(),
                self.short()
            );
            let fate = Fate::Ignored(reason::HEAD_MOVED, format!("The head is {} by now.", self.short()));
            let deed = Deed::Answer { marker: self.marker(), text };
            return Ok(Work { comment: self.comment.clone(), deed, fate });
        }
        let message = format!("Commit {} is approved.", self.short());
        if self.approvals.iter().any(|approval| approval.spec.head_sha == *head && !approval.is_being_deleted()) {
            return Err(Fate::Handled(reason::APPROVED, format!("{message} {}", self.why)));
        }
        let repository = &self.repository.metadata.name;
        let approval = json!({
            "apiVersion": Approval::api_version(),
            "kind": Approval::KIND,
            "metadata": {
                "name": names::approval_name(repository, self.pull.number, head),
                "namespace": self.repository.metadata.namespace,
                "labels": {
                    (names::COMMENT_LABEL): self.comment.id.to_string(),
                    (names::PULL_REQUEST_LABEL): self.pull.number.to_string(),
                },
            },
            "spec": {
                "repositoryRef": repository, "pullRequest": self.pull.number, "headSHA": head,
                "approvedBy": self.comment.author.login, "scope": "Once",
            },
        });
        self.work(Deed::Approve(Box::new(approval)), reason::APPROVED, &message)
    }

    fn deny(&self) -> Plan {
        let approvals: Vec<(ObjectKey, String)> = self
            .approvals
            .iter()
            .map(|approval| {
                let metadata = &approval.metadata;
                (ObjectKey::new(&Approval::resource(), &metadata.namespace, &metadata.name), metadata.uid.clone())
            })
            .collect();
        let runs: Vec<ObjectKey> = self.runs.iter().filter(|run| is_unfinished(run)).map(key_of).collect();
        let message = format!("{} approvals are taken back, {} runs end.", approvals.len(), runs.len());
        self.work(Deed::Deny { approvals, runs }, reason::DENIED, &message)
    }

    fn status(&self) -> String {
        render::status_lines(&self.runs)
    }

    fn reasons(&self) -> String {
        match self.runs.first() {
            Some(run) => render::why(run),
            None => render::status_lines(&[]),
        }
    }
}

fn is_unfinished(run: &Object<TestRun>) -> bool {
    !run.spec.cancel && !run.status.phase.is_some_and(api_types::kinds::test_run::Phase::is_finished)
}

fn key_of(run: &Object<TestRun>) -> ObjectKey {
    ObjectKey::new(&TestRun::resource(), &run.metadata.namespace, &run.metadata.name)
}

/// What there is to say.
pub const HELP: &str = "\
Commands stand on a line of their own, in a new comment:

- `!testme` tests the head: `--quick` for a hint, `--only install,upgrade` for some rungs, `--from 1.2.0+3.4.5` to \
upgrade from another version, `--from all` to upgrade from every older one, `--hold-on-fail 30m` to keep what failed for a look
- `!rerun`, `!rerun failed`, `!rerun lint` test again
- `!cancel` ends what runs
- `!ok`, `!ok COMMIT` let the commit of a fork run; `!deny` takes it back
- `!status` and `!why` say how it is";
