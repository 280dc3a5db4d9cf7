//! Takes secrets out of a run before anything is made of its texts: what is cut, joined or escaped first would no longer
//! be found. Pure.

use api_types::kind::Object;
use api_types::kinds::identity::Identity;
use api_types::kinds::test_run::TestRun;
use ports::redact::Redactor;

/// Returns a run whose texts for people hold no secret that is known.
#[must_use]
pub fn redacted(run: &Object<TestRun>, redactor: &Redactor) -> Object<TestRun> {
    let mut run = run.clone();
    let mask = |text: &mut String| *text = redactor.text(text);
    run.metadata.annotations.values_mut().for_each(mask);
    let status = &mut run.status;
    status.level_cap.iter_mut().for_each(mask);
    status.queue.iter_mut().for_each(|queue| mask(&mut queue.reason));
    status.conditions.iter_mut().for_each(|condition| mask(&mut condition.message));
    for rung in &mut status.rungs {
        rung.reason.iter_mut().chain(&mut rung.message).for_each(mask);
    }
    for test in &mut status.tests {
        mask(&mut test.name);
        test.message.iter_mut().for_each(mask);
    }
    if let Some(cleanup) = &mut status.cleanup {
        cleanup.removed.iter_mut().chain(&mut cleanup.remaining).for_each(mask);
    }
    let identity = |identity: &mut Identity| {
        identity.version.iter_mut().for_each(mask);
        identity.images.iter_mut().for_each(|image| mask(&mut image.image));
    };
    status.head.iter_mut().chain(&mut status.base).for_each(identity);
    run
}
