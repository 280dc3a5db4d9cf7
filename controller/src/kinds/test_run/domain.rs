//! Under which domain a run's app answers, and how long names may be there. Pure.
//!
//! `<first 4 letters of the recipe>-<6 hexadecimal digits>.<zone>`: short, because the names of swarm secrets and
//! configs begin with the stack, which is the domain with its dots as underscores, and end at 64 characters (which is
//! checked before anything is deployed). The digits
//! follow from what is tested, so that two runs of the same thing have the same domain and take turns.

#[cfg(test)]
mod tests;

use api_types::kinds::test_run::TestSource;

/// Returns the domain of a run.
#[must_use]
pub fn domain(namespace: &str, recipe: &str, source: &TestSource, zone: &str) -> String {
    let letters: String = recipe.chars().filter(char::is_ascii_alphanumeric).take(4).collect();
    let letters = if letters.is_empty() { "app".to_owned() } else { letters.to_ascii_lowercase() };
    format!("{letters}-{:06x}.{zone}", identity(namespace, recipe, source) & 0x00ff_ffff)
}

/// Returns the domain of a dependency of a run.
#[must_use]
pub fn dependency_domain(run_domain: &str, dependency: &str) -> String {
    let (label, zone) = run_domain.split_once('.').unwrap_or((run_domain, ""));
    let letters: String = dependency.chars().filter(char::is_ascii_alphanumeric).take(4).collect();
    let letters = if letters.is_empty() { "app".to_owned() } else { letters.to_ascii_lowercase() };
    let mixed = fnv(&format!("{label}\n{dependency}"));
    format!("{letters}-{:06x}.{zone}", mixed & 0x00ff_ffff)
}

fn identity(namespace: &str, recipe: &str, source: &TestSource) -> u64 {
    let number = source.pull_request.as_ref().map_or(0, |pull_request| pull_request.number);
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    fnv(&format!(
        "{namespace}\n{recipe}\n{number}\n{}\n{}\n{}",
        part(&source.commit),
        part(&source.reference),
        part(&source.version)
    ))
}

/// FNV-1a, mixed once more so that the low bits depend on everything. Stored nowhere and no secret: it may only never
/// change while a run goes on.
fn fnv(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}
