//! Recipes as git repositories: the bundled ones, and copies of them that are broken on purpose.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// The files of one state of a recipe, by their path.
pub type Tree = BTreeMap<String, String>;

/// A compose file of one service that does nothing and is healthy; `IMAGE` stands for the engine's image.
pub const SLEEPER: &str = "\
version: \"3.8\"
services:
  app:
    image: IMAGE
    command: [\"sleep\", \"86400\"]
    init: true
    healthcheck: {test: [\"CMD\", \"true\"], interval: 10s, start_period: 1s}
    deploy: {endpoint_mode: dnsrr}
";

/// A git repository of a recipe in a directory of its own.
pub struct RecipeRepository {
    path: PathBuf,
    commits: u32,
}

/// Returns where the bundled recipes lie.
#[must_use]
pub fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").join("deploy/recipes")
}

/// Returns the files of a published version of a bundled recipe.
///
/// # Errors
/// When there is no such version.
pub fn version(recipe: &str, version: &str) -> anyhow::Result<Tree> {
    let root = bundled().join(recipe).join("versions").join(version);
    let mut tree = Tree::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root)?.to_string_lossy().into_owned();
                tree.insert(name, std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(tree)
}

/// Replaces a text in a file of a recipe.
///
/// # Panics
/// When the file or the text is not there: the recipe has changed and the test with it has to.
pub fn replace(tree: &mut Tree, file: &str, from: &str, to: &str) {
    let text = tree.get_mut(file).expect("the recipe has the file");
    assert!(text.contains(from), "{file} has no {from:?}");
    *text = text.replace(from, to);
}

impl RecipeRepository {
    /// Makes an empty repository with the branch `main`.
    ///
    /// # Errors
    /// When git does not run.
    pub fn new(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path)?;
        let repository = Self { path: path.to_owned(), commits: 0 };
        repository.git(&["init", "--quiet", "--initial-branch=main"])?;
        Ok(repository)
    }

    /// Returns the URL that git fetches it from.
    #[must_use]
    pub fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }

    /// Commits a state of the recipe and returns the commit's hash.
    ///
    /// # Errors
    /// When files cannot be written or git does not run.
    pub fn commit(&mut self, tree: &Tree, message: &str) -> anyhow::Result<String> {
        self.commits += 1;
        if self.commits > 1 {
            self.git(&["rm", "-r", "--quiet", "."])?;
        }
        for (name, text) in tree {
            let path = self.path.join(name);
            std::fs::create_dir_all(path.parent().expect("the file lies in the repository"))?;
            std::fs::write(&path, text)?;
        }
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message])?;
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Gives the newest commit an annotated version tag.
    ///
    /// # Errors
    /// When git does not run.
    pub fn publish(&self, version: &str) -> anyhow::Result<()> {
        self.git(&["tag", "--annotate", version, "--message", version]).map(drop)
    }

    /// Gives the newest commit a tag without annotation, as people do by mistake.
    ///
    /// # Errors
    /// When git does not run.
    pub fn tag_lightly(&self, version: &str) -> anyhow::Result<()> {
        self.git(&["tag", version]).map(drop)
    }

    /// Makes a commit the head of a pull request, where forges put it.
    ///
    /// # Errors
    /// When git does not run.
    pub fn propose(&self, number: u32, commit: &str) -> anyhow::Result<()> {
        self.git(&["update-ref", &format!("refs/pull/{number}/head"), commit]).map(drop)
    }

    /// Pushes these references to another repository.
    ///
    /// # Errors
    /// When git does not run, or the other side refuses.
    pub fn push(&self, url: &str, references: &[&str]) -> anyhow::Result<()> {
        self.git(&[&["push", "--quiet", url], references].concat()).map(drop)
    }

    /// Commits and publishes all versions of a bundled recipe, oldest first, and returns the newest commit.
    ///
    /// # Errors
    /// When files cannot be read or written or git does not run.
    pub fn publish_bundled(&mut self, recipe: &str, versions: &[&str]) -> anyhow::Result<String> {
        let mut head = String::new();
        for name in versions {
            head = self.commit(&version(recipe, name)?, &format!("chore: publish {name} release"))?;
            self.publish(name)?;
        }
        Ok(head)
    }

    fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let moment = format!("2026-01-01T12:00:{:02}Z", self.commits % 60);
        let output = Command::new("git")
            .args(arguments)
            .current_dir(&self.path)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .envs([("GIT_AUTHOR_NAME", "A maintainer"), ("GIT_COMMITTER_NAME", "A maintainer")])
            .envs([("GIT_AUTHOR_EMAIL", "m@example.com"), ("GIT_COMMITTER_EMAIL", "m@example.com")])
            .envs([("GIT_AUTHOR_DATE", &moment), ("GIT_COMMITTER_DATE", &moment)])
            .output()
            .context("run git")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "git {} failed: {errors}", arguments.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }
}
