//! Played looks at commits: one that asks for too much, and a forge that is away for all others.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use webui::review::{Review, ReviewFile, ReviewFinding, Reviews};

use super::HOSTILE;

/// The run whose commit is known.
const KNOWN: &str = "mumble-pr4";

/// Knows one commit.
pub(crate) struct PlayedReviews;

impl Reviews for PlayedReviews {
    fn known(&self, _namespace: &str, run: &str) -> Option<Arc<Review>> {
        (run == KNOWN).then(|| Arc::new(review()))
    }

    fn look<'a>(&'a self, namespace: &'a str, run: &'a str) -> BoxFuture<'a, Result<Arc<Review>, String>> {
        async move { self.known(namespace, run).ok_or_else(|| "The forge cannot be reached.".to_owned()) }.boxed()
    }
}

fn review() -> Review {
    let lines = ["@@ -3,3 +3,5 @@", " services:", "-    image: mumble:1.5", "+    image: mumble:1.6"];
    let mut lines: Vec<String> = lines.map(str::to_owned).to_vec();
    lines.push(format!("+      - /var/run/docker.sock:/sock {HOSTILE}"));
    let compose =
        ReviewFile { path: "compose.yml".to_owned(), why: Some("what is deployed"), lines, is_cut_off: false };
    let docs =
        ReviewFile { path: format!("docs/{HOSTILE}.md"), why: None, lines: vec!["+more".to_owned()], is_cut_off: true };
    Review {
        commit: "c0ffee12".repeat(5),
        base: "91aa0e2b".repeat(5),
        branch: "main".to_owned(),
        files: vec![compose, docs],
        files_left_out: 3,
        is_cut_off: true,
        findings: vec![
            ReviewFinding {
                is_refused: true,
                text: format!("compose.yml:6: the host's /var/run/docker.sock may not be mounted {HOSTILE}"),
            },
            ReviewFinding { is_refused: false, text: "compose.yml:2: `version` says nothing any more".to_owned() },
        ],
    }
}
