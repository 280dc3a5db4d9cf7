//! What a test's own JUnit file says. A program that ends with 0 and ran no test has not passed.

use api_types::kinds::test_run::RungStatus;

/// What a file counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Cases in all.
    pub(super) cases: usize,
    /// Of these, those that failed or broke.
    pub(super) failed: usize,
    /// Of these, those that were skipped.
    pub(super) skipped: usize,
}

/// Counts the cases of a JUnit file. It reads tags alone: entities, comments and sections of characters do not matter to
/// a count, and are skipped.
pub(super) fn count(xml: &str) -> Counts {
    let mut counts = Counts::default();
    let (mut failed, mut skipped, mut is_open) = (false, false, false);
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        if let Some(end) = section_end(rest) {
            rest = &rest[end..];
            continue;
        }
        let Some(end) = rest.find('>') else { break };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let name: &str =
            tag.split(|character: char| character.is_whitespace() || character == '/').next().unwrap_or("");
        match (tag.starts_with('/'), name) {
            (false, "testcase") => {
                (failed, skipped, is_open) = (false, false, !tag.ends_with('/'));
                counts.cases += 1;
            }
            (false, "failure" | "error") if is_open => failed = true,
            (false, "skipped") if is_open => skipped = true,
            (true, _) if tag == "/testcase" => {
                counts.failed += usize::from(failed);
                counts.skipped += usize::from(skipped && !failed);
                is_open = false;
            }
            _ => {}
        }
    }
    counts
}

/// Returns where a comment or section of characters ends that begins here.
fn section_end(text: &str) -> Option<usize> {
    [("<!--", "-->"), ("<![CDATA[", "]]>")].into_iter().find_map(|(begins, ends)| {
        let inner = text.strip_prefix(begins)?;
        Some(inner.find(ends).map_or(text.len(), |at| begins.len() + at + ends.len()))
    })
}

/// Returns what the counts mean for the test as a whole.
pub(super) fn verdict(counts: Counts) -> (RungStatus, String) {
    let Counts { cases, failed, skipped } = counts;
    if failed > 0 {
        return (RungStatus::Fail, format!("{failed} of {cases} cases failed"));
    }
    if cases == skipped {
        let message = if cases == 0 { "no case ran".to_owned() } else { format!("all {cases} cases were skipped") };
        return (RungStatus::Unverified, format!("{message}, which is no pass"));
    }
    (RungStatus::Pass, format!("{} cases passed, {skipped} were skipped", cases - skipped))
}
