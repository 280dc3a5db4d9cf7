//! What went into a run that did not go into the last green one: where to look first when it failed. Pure.

use std::collections::BTreeMap;

use api_types::kind::Object;
use api_types::kinds::identity::{Identity, ServiceImage};
use api_types::kinds::test_run::TestRun;
use jiff::Timestamp;

use super::text::{code, short};

/// Images that are named.
const IMAGES_MAX: usize = 8;
/// Characters of a version that are shown.
const VERSION_CHARACTERS_MAX: usize = 64;
/// Characters of an image's name that are shown.
const IMAGE_CHARACTERS_MAX: usize = 200;
/// Characters of a digest that are shown: `sha256:` and twelve digits.
const DIGEST_CHARACTERS: usize = 19;

/// Returns one paragraph about what changed since the last green run, as the inputs of both say; `None` before it is known
/// what is tested.
#[must_use]
pub fn paragraph(run: &Object<TestRun>, green: &Object<TestRun>) -> Option<String> {
    let (head, before) = (run.status.head.as_ref()?, green.status.head.as_ref()?);
    let changes = changes(before, head);
    let what = if changes.is_empty() { "the very same went in".to_owned() } else { changes.join(", ") };
    Some(format!("Since the last green run {}{}: {what}.", code(&green.metadata.name, 253), distance(run, green)))
}

fn changes(before: &Identity, head: &Identity) -> Vec<String> {
    let mut changes = Vec::new();
    if let (Some(old), Some(new)) = (&before.commit, &head.commit)
        && old != new
    {
        changes.push(format!("commit {} → {}", code(short(old), 16), code(short(new), 16)));
    }
    if let (Some(old), Some(new)) = (&before.version, &head.version)
        && old != new
    {
        changes.push(format!("version {} → {}", code(old, VERSION_CHARACTERS_MAX), code(new, VERSION_CHARACTERS_MAX)));
    }
    // A run that ended before it was rendered does not say that all images are gone.
    if !before.images.is_empty() && !head.images.is_empty() {
        let mut images = images(before, head);
        let more = images.len().saturating_sub(IMAGES_MAX);
        images.truncate(IMAGES_MAX);
        changes.extend(images);
        if more > 0 {
            changes.push(format!("and {more} more images"));
        }
    }
    changes
}

fn images(before: &Identity, head: &Identity) -> Vec<String> {
    let of = |identity: &Identity| -> BTreeMap<String, ServiceImage> {
        identity.images.iter().map(|image| (image.service.clone(), image.clone())).collect()
    };
    let (old, new) = (of(before), of(head));
    let name = |image: &ServiceImage| code(&image.image, IMAGE_CHARACTERS_MAX);
    let service = |name: &str| code(name, 128);
    let mut said: Vec<String> = new
        .iter()
        .filter_map(|(of, image)| {
            let Some(old) = old.get(of) else { return Some(format!("new service {} ({})", service(of), name(image))) };
            if old.image != image.image {
                return Some(format!("image of {} {} → {}", service(of), name(old), name(image)));
            }
            // The same name may have got another content.
            match (&old.digest, &image.digest) {
                (Some(old), Some(new)) if old != new => Some(format!(
                    "image of {} {} has another content ({} → {})",
                    service(of),
                    name(image),
                    code(digest(old), DIGEST_CHARACTERS),
                    code(digest(new), DIGEST_CHARACTERS)
                )),
                _ => None,
            }
        })
        .collect();
    let gone = old.keys().filter(|of| !new.contains_key(*of));
    said.extend(gone.map(|of| format!("service {} is gone", service(of))));
    said
}

fn digest(text: &str) -> &str {
    text.get(..DIGEST_CHARACTERS).unwrap_or(text)
}

/// Returns how long before this run the green one ended: a text that stays the same, however late it is read.
fn distance(run: &Object<TestRun>, green: &Object<TestRun>) -> String {
    let moment = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let began = moment(&run.status.started_at).or_else(|| moment(&run.metadata.creation_timestamp));
    let (Some(began), Some(ended)) = (began, moment(&green.status.finished_at)) else { return String::new() };
    let minutes = began.duration_since(ended).as_mins();
    let count = |number: i64, word: &str| match number {
        1 => format!(" (1 {word} earlier)"),
        _ => format!(" ({number} {word}s earlier)"),
    };
    match minutes {
        ..60 => count(minutes.max(0), "minute"),
        60..2880 => count(minutes / 60, "hour"),
        _ => count(minutes / 1440, "day"),
    }
}
