//! Generated secrets: made once by the recipe's rules, kept in the app's folder, never shown.
//!
//! The value is on the disk before the swarm has it, so that a ccd that ends in between makes no second one.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::error::Error;
use ports::files::{Area, FileName, FileRoot};
use ports::recipe::secret::{Rule, generate};
use serde::{Deserialize, Serialize};

use super::deployer::SecretValue;
use crate::runtime::outcome::Failure;

/// The file in the app's folder.
const FILE: &str = "secrets.json";
/// Most bytes of it.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Stands for the version of a value in a plan for an app that has no key yet.
pub(super) const VERSION_TO_COME: &str = "v-to-come";
/// Bytes of the key by which values are told apart without being shown.
const KEY_BYTES: usize = 32;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// In base64.
    key: String,
    /// In base64, by the secret's name in the swarm.
    values: BTreeMap<String, String>,
}

/// Returns the values of these secrets, and makes those that there are none of. What a person must give is left out.
///
/// # Errors
/// `Retryable` when the disk does not take them.
pub(super) fn make(
    files: &FileRoot,
    stack: &str,
    rules: &BTreeMap<String, Rule>,
    names: &[String],
) -> Result<BTreeMap<String, SecretValue>, Failure> {
    let mut kept = read(files, stack)?;
    let mut made = BTreeMap::new();
    let mut is_new = false;
    for name in names {
        if let Some(value) = kept.values.get(name).and_then(|value| STANDARD.decode(value).ok()) {
            made.insert(name.clone(), SecretValue(value));
            continue;
        }
        let Some(value) = rules.get(name).and_then(|rule| generate(*rule, &mut random)) else { continue };
        kept.values.insert(name.clone(), STANDARD.encode(&value));
        made.insert(name.clone(), SecretValue(value.into_bytes()));
        is_new = true;
    }
    if is_new {
        write(files, stack, &kept)?;
    }
    Ok(made)
}

/// Returns a version for a value that somebody gives: the same for the same value, and no help in guessing it.
///
/// # Errors
/// As [`make`].
pub(super) fn version_of(files: &FileRoot, stack: &str, value: &[u8]) -> Result<String, Failure> {
    let mut kept = read(files, stack)?;
    if kept.key.is_empty() {
        let mut key = [0; KEY_BYTES];
        random(&mut key);
        kept.key = STANDARD.encode(key);
        write(files, stack, &kept)?;
    }
    Ok(version(&kept, value))
}

fn version(kept: &Kept, value: &[u8]) -> String {
    let key = STANDARD.decode(&kept.key).unwrap_or_default();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), value);
    let digits: String = tag.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("v{digits}")
}

/// Returns the versions of values that somebody gives, as [`version_of`] does, without making a key: `None` as long as the
/// app has none.
///
/// # Errors
/// As [`make`].
pub(crate) fn known_versions<const COUNT: usize>(
    files: &FileRoot,
    stack: &str,
    values: &[Vec<u8>; COUNT],
) -> Result<Option<Vec<String>>, Failure> {
    let kept = read(files, stack)?;
    if kept.key.is_empty() {
        return Ok(None);
    }
    Ok(Some(values.iter().map(|value| version(&kept, value)).collect()))
}

/// Removes everything that is kept of an app.
///
/// # Errors
/// As [`make`].
pub(super) fn remove(files: &FileRoot, stack: &str) -> Result<(), Failure> {
    Ok(files.remove(Area::Apps, &folder(stack)?)?)
}

/// Returns whether something is kept of an app.
///
/// # Errors
/// As [`make`].
pub(super) fn is_kept(files: &FileRoot, stack: &str) -> Result<bool, Failure> {
    Ok(files.list(Area::Apps)?.iter().any(|name| name == stack))
}

/// Returns the name of an app's folder.
///
/// # Errors
/// `Terminal` when the stack's name cannot be one.
pub(super) fn folder(stack: &str) -> Result<FileName, Error> {
    FileName::new(stack)
}

fn read(files: &FileRoot, stack: &str) -> Result<Kept, Failure> {
    let content = files.read_file(Area::Apps, &folder(stack)?, &FileName::new(FILE)?, FILE_BYTES_MAX)?;
    let Some(content) = content else { return Ok(Kept::default()) };
    serde_json::from_slice(&content).map_err(|error| {
        Failure::terminal(
            "SecretsUnreadable",
            format!(
                "the file apps/{stack}/{FILE} of the data directory cannot be read ({error}): restore it from a backup"
            ),
        )
    })
}

fn write(files: &FileRoot, stack: &str, kept: &Kept) -> Result<(), Failure> {
    let content = serde_json::to_vec(kept).map_err(|error| Failure::bug(error.to_string()))?;
    Ok(files.write_file(Area::Apps, &folder(stack)?, &FileName::new(FILE)?, &content)?)
}

fn random(bytes: &mut [u8]) {
    // It fails only on a machine that has no randomness at all.
    aws_lc_rs::rand::fill(bytes).expect("the system gives random bytes");
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use ports::files::Faults;
    use ports::recipe::secret::Charset;

    use super::*;

    #[test]
    fn a_value_is_made_once_and_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileRoot::open(folder.path(), Faults::default()).unwrap();
        let rules = BTreeMap::from([
            ("x_pass_v1".to_owned(), Rule::Password { length: 20, charset: Charset::Plain }),
            ("x_hand_v1".to_owned(), Rule::ByHand),
        ]);
        let names = ["x_pass_v1".to_owned(), "x_hand_v1".to_owned()];
        let made = make(&files, "x", &rules, &names).unwrap();
        assert_eq!(made.keys().collect::<Vec<_>>(), ["x_pass_v1"]);
        assert_eq!(made["x_pass_v1"].0.len(), 20);
        assert_eq!(make(&files, "x", &rules, &names).unwrap(), made);
        assert_ne!(make(&files, "y", &rules, &names).unwrap(), made);
        let mode = folder.path().join("apps/x/secrets.json").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(is_kept(&files, "x").unwrap());
        remove(&files, "x").unwrap();
        assert!(!is_kept(&files, "x").unwrap());
        assert_ne!(make(&files, "x", &rules, &names).unwrap(), made);
    }

    #[test]
    fn the_version_of_a_value_changes_with_it_and_differs_from_app_to_app() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileRoot::open(folder.path(), Faults::default()).unwrap();
        let first = version_of(&files, "x", b"one").unwrap();
        assert_eq!(first.len(), 9);
        assert_eq!(version_of(&files, "x", b"one").unwrap(), first);
        assert_ne!(version_of(&files, "x", b"two").unwrap(), first);
        assert_ne!(version_of(&files, "y", b"one").unwrap(), first);
        let known = known_versions(&files, "x", &[b"two".to_vec(), b"one".to_vec()]).unwrap().unwrap();
        assert_eq!(known, [version_of(&files, "x", b"two").unwrap(), first]);
        assert_eq!(known_versions(&files, "z", &[b"one".to_vec()]).unwrap(), None);
        assert!(!is_kept(&files, "z").unwrap(), "who only asks makes nothing");
    }

    #[test]
    fn nothing_is_made_that_the_disk_does_not_take() {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let files = FileRoot::open(folder.path(), faults.clone()).unwrap();
        faults.set_full(true);
        let rules = BTreeMap::from([("x_pass_v1".to_owned(), Rule::Passphrase)]);
        let failure = make(&files, "x", &rules, &["x_pass_v1".to_owned()]).unwrap_err();
        assert_eq!(failure.reason, "DiskFull");
    }
}
