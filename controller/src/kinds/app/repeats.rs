//! [`Repeats`]: updates of services that already carry our mark, and the end of them when they change nothing.
//!
//! An engine may keep a field otherwise than it was given: it fills it in, or spells it in another way. Whoever compares
//! and updates until both are equal then updates for ever, as fast as the engine answers. So the second update of one
//! and the same spec waits, and after a few the App says which field it is instead.
//!
//! ```text
//!   the mark is not ours          ─► update at once, the count begins
//!   the mark is ours, it differs  ─► wait PAUSE ─► update ─► … UPDATES_MAX times ─► say so for REST ─► from the beginning
//!   it does not differ            ─► the count is forgotten: somebody changed it, and it was put right
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use api_types::reason;
use jiff::Timestamp;

use super::converge::SPEC_LABEL;
use super::deployer::compare::differences;
use super::deployer::{Effect, Live, Refusal};

/// The least time between two updates of a service to one and the same spec.
const PAUSE: Duration = Duration::from_secs(5);
/// How many updates to one and the same spec are tried in a row.
const UPDATES_MAX: u32 = 3;
/// How long it is left alone then.
const REST: Duration = Duration::from_mins(10);

/// What is remembered of updates of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Repeat {
    /// The mark of the spec that it was updated to.
    mark: String,
    /// How often, since it was last seen to be as it should be.
    count: u32,
    /// When last.
    last: Timestamp,
}

/// What is remembered of the updates of an App's services, by their names in the swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Repeats(BTreeMap<String, Repeat>);

/// What may be done now.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Allowed {
    /// This.
    pub effects: Vec<Effect>,
    /// And what was left out of it may be done after this time; `None` when nothing was.
    pub held_for: Option<Duration>,
}

impl Repeats {
    /// Notes that an effect was carried out.
    pub(super) fn note(&mut self, effect: &Effect, now: Timestamp) {
        let Effect::UpdateService { spec, .. } = effect else { return };
        let Some(mark) = spec.labels.get(SPEC_LABEL) else { return };
        let known = self.0.get(&spec.name).filter(|known| known.mark == *mark && since(known.last, now) < REST);
        let count = known.map_or(0, |known| known.count) + 1;
        self.0.insert(spec.name.clone(), Repeat { mark: mark.clone(), count, last: now });
    }

    /// Notes that a service is as it should be.
    pub(super) fn settled(&mut self, service: &str) {
        self.0.remove(service);
    }

    /// Leaves out what was tried a moment ago.
    ///
    /// # Errors
    /// When a service was updated to the same spec again and again: which of its fields do not stay as they were given.
    pub(super) fn allow(&self, effects: Vec<Effect>, live: &Live, now: Timestamp) -> Result<Allowed, Refusal> {
        let mut allowed = Allowed::default();
        for effect in effects {
            match self.repeated(&effect, live) {
                Some(repeat) if repeat.count >= UPDATES_MAX && since(repeat.last, now) < REST => {
                    return Err(refusal(&effect, repeat, live));
                }
                Some(repeat) if since(repeat.last, now) < PAUSE => {
                    let left = PAUSE.saturating_sub(since(repeat.last, now));
                    allowed.held_for = Some(allowed.held_for.map_or(left, |held| held.min(left)));
                }
                _ => allowed.effects.push(effect),
            }
        }
        Ok(allowed)
    }

    /// Returns what is known of an update to a spec whose mark the service carries already.
    fn repeated(&self, effect: &Effect, live: &Live) -> Option<&Repeat> {
        let Effect::UpdateService { spec, .. } = effect else { return None };
        let mark = spec.labels.get(SPEC_LABEL)?;
        let present = live.service(&spec.name)?;
        self.0.get(&spec.name).filter(|known| known.mark == *mark && present.spec.labels.get(SPEC_LABEL) == Some(mark))
    }
}

fn since(earlier: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(earlier)).unwrap_or_default()
}

fn refusal(effect: &Effect, repeat: &Repeat, live: &Live) -> Refusal {
    let mut fields = Vec::new();
    let mut name = "";
    if let Effect::UpdateService { spec, .. } = effect {
        name = &spec.name;
        if let Some(present) = live.service(name) {
            fields = differences(spec, &present.spec, &live.network_names());
            if fields.is_empty() && spec.labels != present.spec.labels {
                fields.push("Labels differ".to_owned());
            }
        }
    }
    Refusal {
        reason: reason::SPEC_NOT_KEPT,
        message: format!(
            "The service {name} was updated {} times, and each time the engine had it otherwise afterwards: {}. Either the \
             engine writes this in another way, and ccd should know it: please report it with the lines of `docker service \
             inspect {name}` that are about it; or another program changes it back: find out which. It is tried again in \
             {} minutes.",
            repeat.count,
            fields.join(", "),
            REST.as_secs() / 60
        ),
    }
}

#[cfg(test)]
mod tests {
    use ports::swarm::Service;
    use ports::swarm::spec::ServiceSpec;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn spec(mark: &str, dns: &str) -> ServiceSpec {
        let mut spec = ServiceSpec { name: "x_web".to_owned(), ..ServiceSpec::default() };
        spec.labels.insert(SPEC_LABEL.to_owned(), mark.to_owned());
        spec.task_template.container_spec.hostname = dns.to_owned();
        spec
    }

    fn update(mark: &str) -> Effect {
        Effect::UpdateService { id: "s".to_owned(), version: 1, spec: Box::new(spec(mark, "wanted")) }
    }

    fn live(mark: &str) -> Live {
        let service = Service { id: "s".to_owned(), spec: spec(mark, "normalised"), ..Service::default() };
        Live { services: vec![service], ..Live::default() }
    }

    /// Returns whether an update goes, or for how many seconds it is held, or what is said instead.
    fn ask(repeats: &Repeats, mark: &str, present: &str, second: i64) -> Result<u64, String> {
        let other = Effect::CreateNetwork("default".to_owned());
        let allowed = repeats.allow(vec![other.clone(), update(mark)], &live(present), at(second));
        let allowed = allowed.map_err(|refusal| refusal.message)?;
        assert_eq!(allowed.effects[0], other, "what is no update is never held");
        assert_eq!(allowed.effects.len() == 1, allowed.held_for.is_some());
        Ok(allowed.held_for.map_or(0, |held| held.as_secs()))
    }

    #[test]
    fn the_first_update_goes_at_once_and_the_next_ones_wait() {
        let mut repeats = Repeats::default();
        assert_eq!(ask(&repeats, "a", "old", 0), Ok(0));
        repeats.note(&update("a"), at(0));
        assert_eq!(ask(&repeats, "a", "a", 1), Ok(4));
        assert_eq!(ask(&repeats, "a", "a", 5), Ok(0));
        // Another spec is another matter, and so is a service that somebody else took over.
        assert_eq!(ask(&repeats, "b", "a", 1), Ok(0));
        assert_eq!(ask(&repeats, "a", "theirs", 1), Ok(0));
    }

    #[test]
    fn after_three_updates_the_field_is_named_and_the_service_left_alone_for_a_while() {
        let mut repeats = Repeats::default();
        for second in [0, 5, 10] {
            repeats.note(&update("a"), at(second));
        }
        for second in [10, 300, 609] {
            let message = ask(&repeats, "a", "a", second).unwrap_err();
            assert!(message.contains("x_web was updated 3 times"), "{message}");
            assert!(message.contains("TaskTemplate.ContainerSpec.Hostname differs"), "{message}");
        }
        assert_eq!(ask(&repeats, "a", "a", 610), Ok(0));
        repeats.note(&update("a"), at(610));
        assert_eq!(ask(&repeats, "a", "a", 611), Ok(4), "it begins from the beginning");
    }

    #[test]
    fn what_was_put_right_and_changed_again_is_put_right_again() {
        let mut repeats = Repeats::default();
        for round in 0..20 {
            assert_eq!(ask(&repeats, "a", "a", round), Ok(0), "in round {round}");
            repeats.note(&update("a"), at(round));
            repeats.settled("x_web");
        }
    }
}
