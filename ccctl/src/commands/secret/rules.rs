//! What secrets look like: keys and tokens with a form of their own, and random values next to telling names.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Text in a line, or in the line above, that says that what is there is meant to be there. The latter two are what
/// other scanners read.
const ALLOWED: [&str; 3] = ["ccctl:allow-secret", "gitleaks:allow", "pragma: allowlist secret"];
/// Shortest value next to a telling name that may be random, in bytes.
const VALUE_BYTES_MIN: usize = 12;
/// Bits that each character of a random value tells at least; hexadecimal digits tell four at most.
const BITS_PER_CHARACTER_MIN: f64 = 2.9;
/// Digits of base64 that follow the frame of a key at least: without them it is talk about keys.
const KEY_DIGITS_MIN: usize = 40;
/// How far after the frame they are looked for, in bytes.
const KEY_BYTES_MAX: usize = 2_000;

/// Something that looks like a secret. It knows where the secret is, and prints nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// The rule that found it.
    pub rule: &'static str,
    /// What it seems to be.
    pub what: String,
    /// Where in the text the secret is.
    pub range: Range<usize>,
}

/// A kind of secret.
struct Rule {
    name: &'static str,
    what: &'static str,
    /// The secret is the group `secret`, or all of the match.
    pattern: &'static str,
    /// What the pattern cannot say.
    holds: fn(&Captures<'_>, &str) -> bool,
}

/// The rules, the more telling ones first: of several that find the same, the first counts.
const RULES: [Rule; 17] = [
    Rule {
        name: "private-key",
        what: "a private key in PEM",
        pattern: r"(?s)-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?<digits>.*?)(?:-----END|\z)",
        holds: |found, _| is_key(&found["digits"]),
    },
    Rule {
        name: "age-identity",
        what: "an identity of age",
        pattern: r"(?i)\bAGE-SECRET-KEY-(?:PQ-)?1[02-9AC-HJ-NP-Z]{58,}",
        holds: always,
    },
    Rule {
        name: "nix-signing-key",
        what: "a key that signs for a Nix cache",
        pattern: r"\b[A-Za-z0-9._-]+:(?<secret>[A-Za-z0-9+/]{86}==)",
        holds: always,
    },
    Rule {
        name: "ccd-token",
        what: "a token of ccd",
        pattern: r"\bccd_[A-Za-z0-9]{4,}_(?<secret>[A-Za-z0-9_-]{32,})",
        holds: always,
    },
    Rule {
        name: "github-token",
        what: "a token of GitHub",
        pattern: r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})",
        holds: always,
    },
    Rule {
        name: "gitlab-token",
        what: "a token of GitLab",
        pattern: r"\bgl(?:pat|dt|rt|soat|cbt|ptt|ft|imt|agent)-[A-Za-z0-9_.-]{20,}",
        holds: always,
    },
    Rule {
        name: "docker-token",
        what: "a token of Docker Hub",
        pattern: r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}",
        holds: always,
    },
    Rule {
        name: "swarm-token",
        what: "a key with which nodes join or unlock a swarm",
        pattern: r"\b(?:SWMTKN-1-[0-9a-z]{40,}-[0-9a-z]{20,}|SWMKEY-1-[A-Za-z0-9+/]{40,})",
        holds: always,
    },
    Rule {
        name: "registry-login",
        what: "a registry login as `docker login` keeps it",
        pattern: r#""auth"\s*:\s*"(?<secret>[A-Za-z0-9+/]{12,}={0,2})""#,
        holds: always,
    },
    Rule {
        name: "package-token",
        what: "a token of a package registry",
        pattern: r"\b(?:npm_[A-Za-z0-9]{36}|pypi-AgEI[A-Za-z0-9_-]{50,}|rubygems_[0-9a-f]{48})",
        holds: always,
    },
    Rule {
        name: "aws-key",
        what: "an access key of AWS or of something like it",
        pattern: r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        holds: |found, _| !found[0].contains("EXAMPLE"),
    },
    Rule {
        name: "slack-token",
        what: "a token or web hook of Slack",
        pattern: r"\bxox[abeoprs]-[A-Za-z0-9-]{20,}|hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,}",
        holds: always,
    },
    Rule {
        name: "json-web-token",
        what: "a signed JSON web token, as caches such as Cachix and Attic use",
        pattern: r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
        holds: always,
    },
    Rule {
        name: "putty-key",
        what: "a private key of PuTTY",
        pattern: r"PuTTY-User-Key-File-[23]: ",
        holds: |_, text| text.contains("Private-Lines: "),
    },
    Rule {
        name: "authorization",
        what: "what proves who somebody is in a request",
        pattern: r#"(?i)\bauthorization["']?\s*[:=]\s*["']?(?:bearer|token|basic)\s+(?<secret>[A-Za-z0-9._~+/=-]{16,})"#,
        holds: |found, _| is_random(&found["secret"]),
    },
    Rule {
        name: "password-in-url",
        what: "a password inside an address",
        pattern: r#"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@"'<>]{0,100}:(?<secret>[^\s/:@"'<>]{6,200})@[A-Za-z0-9\[]"#,
        holds: |found, _| !is_placeholder(&found["secret"]) && is_varied(&found["secret"]),
    },
    Rule {
        name: "named-value",
        what: "a random value",
        pattern: concat!(
            r#"(?i)(?<name>[a-z0-9_.-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|"#,
            r#"signing[_-]?key|encryption[_-]?key|credential)[a-z0-9_.-]*)["']?\s*(?::=|=>|[:=])\s*"#,
            r#"(?:"(?<double>[^"\n]{12,512})"|'(?<single>[^'\n]{12,512})'|(?<bare>[^\s"',;\#(){}\[\]<>]{12,512}))"#,
        ),
        holds: |found, _| !is_reference(&found["name"]) && named(found).is_some_and(|value| is_random(value.as_str())),
    },
];

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    RULES
        .iter()
        .map(|rule| Regex::new(rule.pattern).expect("the patterns are constants, and a test uses each"))
        .collect()
});

/// Returns what looks like a secret in a text, in the order of the text, without what is said to be meant.
pub(super) fn matches(text: &str) -> Vec<Match> {
    let mut all: Vec<Match> = Vec::new();
    for (rule, pattern) in RULES.iter().zip(PATTERNS.iter()) {
        for found in pattern.captures_iter(text).filter(|found| (rule.holds)(found, text)) {
            let Some(secret) = found.name("secret").or_else(|| named(&found)).or_else(|| found.get(0)) else {
                continue;
            };
            let range = secret.range();
            let is_known = all.iter().any(|one| one.range.start < range.end && range.start < one.range.end);
            if is_known || is_allowed(text, range.start) {
                continue;
            }
            let what = match found.name("name") {
                Some(name) => format!("{} under the name {}", rule.what, name.as_str()),
                None => rule.what.to_owned(),
            };
            all.push(Match { rule: rule.name, what, range });
        }
    }
    all.sort_by_key(|one| (one.range.start, one.range.end));
    all
}

/// Whether the line at `at`, or the one above it, says that this is meant.
pub(super) fn is_allowed(text: &str, at: usize) -> bool {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let above = text[..start.saturating_sub(1)].rfind('\n').map_or(0, |newline| newline + 1);
    let is_marked = |line: &str| ALLOWED.iter().any(|mark| line.contains(mark));
    is_marked(&text[start..end]) || is_marked(&text[above..start])
}

fn always(_: &Captures<'_>, _: &str) -> bool {
    true
}

fn named<'text>(found: &Captures<'text>) -> Option<regex::Match<'text>> {
    ["double", "single", "bare"].into_iter().find_map(|group| found.name(group))
}

/// Whether a key is in its frame: in lines, or in one line with `\n` written out.
fn is_key(inside: &str) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let beginning = &inside.as_bytes()[..inside.len().min(KEY_BYTES_MAX)];
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'\\';
    beginning.first().is_some_and(is_between)
        && beginning
            .split(is_between)
            .map(|run| run.iter().filter(|byte| is_digit(byte)).count())
            .any(|digits| digits >= KEY_DIGITS_MIN)
}

/// Whether a name says that the value is not the secret itself but says where or what it is.
fn is_reference(name: &str) -> bool {
    const ENDS: [&str; 21] = [
        "ref",
        "file",
        "path",
        "name",
        "names",
        "version",
        "id",
        "url",
        "uri",
        "length",
        "type",
        "kind",
        "dir",
        "folder",
        "hash",
        "digest",
        "sha256",
        "fingerprint",
        "expiry",
        "public",
        "recipient",
    ];
    let lower = name.trim_end_matches(['.', '-', '_']).to_lowercase();
    ENDS.iter().any(|end| lower.ends_with(end)) || lower.contains("public")
}

/// Whether a value stands for one that comes from elsewhere.
fn is_placeholder(value: &str) -> bool {
    const PARTS: [&str; 15] = [
        "${",
        "{{",
        "$(",
        "...",
        "…",
        "::",
        "example",
        "changeme",
        "change-me",
        "placeholder",
        "redacted",
        "dummy",
        "xxxx",
        "****",
        "your-",
    ];
    let lower = value.to_lowercase();
    value.starts_with(['$', '/', '.', '~', '<', '>', '%', '!', '&', '*', '@', ':', '='])
        || value.starts_with("ENC[")
        || lower.starts_with("age1")
        || lower.starts_with("vault:")
        || lower.starts_with("sha256-")
        || lower.contains("://")
        || PARTS.iter().any(|part| lower.contains(part))
}

/// Whether a value looks drawn at random rather than chosen or composed of words.
fn is_random(value: &str) -> bool {
    value.len() >= VALUE_BYTES_MIN
        && !is_placeholder(value)
        && value.bytes().all(|byte| byte.is_ascii_graphic())
        && bits_per_character(value) >= BITS_PER_CHARACTER_MIN
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
        && changes_of_sort(value) * 4 >= value.len()
}

fn is_varied(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_punctuation())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Counts how often the sort of character (small, capital, digit) changes: names made of words change seldom.
fn changes_of_sort(value: &str) -> usize {
    let sort = |byte: u8| match byte {
        b'a'..=b'z' => Some(0),
        b'A'..=b'Z' => Some(1),
        b'0'..=b'9' => Some(2),
        _ => None,
    };
    let sorts: Vec<u8> = value.bytes().filter_map(sort).collect();
    sorts.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// Shannon's measure over the characters of the value itself.
fn bits_per_character(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let total = value.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|share| -share * share.log2())
        .sum()
}
