//! JUnit's XML, as continuous integration servers read it.

use std::fmt::Write as _;

use jiff::Timestamp;

/// One group of cases: a rung.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// One test.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// How long it took.
    pub milliseconds: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Pass,
    /// It failed; why.
    Fail(String),
    /// It does not apply; why.
    Skip(String),
    /// It was not checked; why.
    Error(String),
}

const NEVER: &str = "writing to a String cannot fail";

/// Returns the document.
#[must_use]
pub fn document(name: &str, suites: &[Suite]) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let cases = || suites.iter().flat_map(|suite| &suite.cases);
    writeln!(xml, "<testsuites name=\"{}\" {}>", escape(name), counts(cases())).expect(NEVER);
    for suite in suites {
        let moment = suite.started_at.map(|moment| format!(" timestamp=\"{moment:.0}\"")).unwrap_or_default();
        writeln!(xml, "  <testsuite name=\"{}\"{moment} {}>", escape(&suite.name), counts(suite.cases.iter()))
            .expect(NEVER);
        for case in &suite.cases {
            push_case(&mut xml, &suite.name, case);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn push_case(xml: &mut String, suite: &str, case: &Case) {
    let (name, seconds) = (escape(&case.name), seconds(case.milliseconds));
    write!(xml, "    <testcase classname=\"{}\" name=\"{name}\" time=\"{seconds}\"", escape(suite)).expect(NEVER);
    let (element, message) = match &case.outcome {
        Outcome::Pass => {
            xml.push_str("/>\n");
            return;
        }
        Outcome::Fail(message) => ("failure", message),
        Outcome::Skip(message) => ("skipped", message),
        Outcome::Error(message) => ("error", message),
    };
    let first = message.lines().next().unwrap_or_default();
    writeln!(xml, ">\n      <{element} message=\"{}\">{}</{element}>", escape(first), escape(message)).expect(NEVER);
    xml.push_str("    </testcase>\n");
}

fn counts<'a>(cases: impl Iterator<Item = &'a Case>) -> String {
    let (mut all, mut failures, mut skipped, mut errors, mut milliseconds) = (0, 0, 0, 0, 0_u64);
    for case in cases {
        all += 1;
        milliseconds = milliseconds.saturating_add(case.milliseconds);
        match case.outcome {
            Outcome::Pass => {}
            Outcome::Fail(_) => failures += 1,
            Outcome::Skip(_) => skipped += 1,
            Outcome::Error(_) => errors += 1,
        }
    }
    let seconds = seconds(milliseconds);
    format!("tests=\"{all}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{seconds}\"")
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// Escapes text for elements and attributes; characters that XML 1.0 does not have become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => write!(escaped, "&#{};", u32::from(character)).expect(NEVER),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
