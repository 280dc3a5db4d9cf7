//! What happens in a repository besides comments: tags, pushes and times. Pure: from the triggers, from what was known,
//! and from what the forge shows, to what is started.
//!
//! Whatever is seen for the first time is only remembered: a tag that was there before its trigger starts nothing. Of
//! several pushes between two polls the last one counts, and of the times that were missed the last one, too.

use std::collections::{BTreeMap, BTreeSet};

use api_types::kinds::repository::{Cursor, RepositorySpec, Trigger, TriggerEvent};
use jiff::Timestamp;
use ports::forge::TagList;
use wildmatch::WildMatch;

use crate::runtime::events::seconds;
use crate::schedule::Cron;

/// Most tags that are remembered; as many as a forge is asked for.
const TAGS_MAX: usize = 2000;
/// Longest name of a tag that is looked at, in bytes.
const TAG_BYTES_MAX: usize = 255;

/// What the forge shows besides comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Its tags; none when nobody wants to know.
    pub tags: TagList,
    /// The tip of each watched branch; `None` for one that is not there.
    pub branches: BTreeMap<String, Option<String>>,
}

/// Something that starts one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// What kind of event it is.
    pub on: TriggerEvent,
    /// When it was seen; of a time, that time.
    pub at: Timestamp,
    /// The tag, the branch, or the schedule.
    pub subject: String,
    /// The commit; `None` for a time.
    pub commit: Option<String>,
    /// Name of the Recipe that is tested.
    pub recipe: String,
}

/// What is remembered of tags, branches and times: the part of the cursor that is not about comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    repository: String,
    branches: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    tag_patterns: BTreeSet<String>,
    schedules: BTreeMap<String, String>,
}

impl Marks {
    /// Reads what is known. Of another repository, that is nothing: its tags are not this one's.
    fn of(spec: &RepositorySpec, cursor: &Cursor) -> Self {
        let repository = place(spec);
        if cursor.repository.as_ref().is_some_and(|known| *known != repository) {
            return Self { repository, ..Self::default() };
        }
        Self {
            repository,
            branches: cursor.branches.clone(),
            tags: cursor.tags.clone(),
            tag_patterns: cursor.tag_patterns.iter().cloned().collect(),
            schedules: cursor.schedules.clone(),
        }
    }

    /// Writes them into the cursor.
    pub fn put(&self, cursor: &mut Cursor) {
        cursor.repository = Some(self.repository.clone());
        cursor.branches.clone_from(&self.branches);
        cursor.tags.clone_from(&self.tags);
        cursor.tag_patterns = self.tag_patterns.iter().cloned().collect();
        cursor.schedules.clone_from(&self.schedules);
    }
}

fn place(spec: &RepositorySpec) -> String {
    format!("{}/{}/{}", spec.forge_ref, spec.owner, spec.name).to_ascii_lowercase()
}

/// Returns the triggers on an event that start a test.
fn triggers(spec: &RepositorySpec, on: TriggerEvent) -> impl Iterator<Item = (&Trigger, &String)> {
    let of = spec.triggers.iter().filter(move |trigger| trigger.on == on);
    of.filter_map(|trigger| Some((trigger, trigger.run.recipe_ref.as_ref()?)))
}

/// Returns whether the tags have to be read.
#[must_use]
pub fn wants_tags(spec: &RepositorySpec) -> bool {
    triggers(spec, TriggerEvent::Tag).next().is_some()
}

/// Returns the branches whose tips have to be read.
#[must_use]
pub fn branches(spec: &RepositorySpec) -> BTreeSet<&String> {
    triggers(spec, TriggerEvent::Push).filter_map(|(trigger, _)| trigger.branch.as_ref()).collect()
}

/// Returns the name of a trigger's schedule, by which it is remembered.
fn schedule(trigger: &Trigger) -> String {
    let cron = trigger.cron.as_deref().unwrap_or_default();
    trigger.time_zone.as_ref().map_or_else(|| cron.to_owned(), |zone| format!("{cron} {zone}"))
}

/// Returns what has happened, oldest first as far as that can be told, and what is to be remembered once it has been
/// dealt with.
#[must_use]
pub fn news(spec: &RepositorySpec, cursor: &Cursor, sight: &Sight, now: Timestamp) -> (Vec<Happening>, Marks) {
    let known = Marks::of(spec, cursor);
    let mut marks = Marks { repository: known.repository.clone(), ..Marks::default() };
    let mut happenings = Vec::new();
    tags(spec, &known, sight, now, &mut marks, &mut happenings);
    pushes(spec, &known, sight, now, &mut marks, &mut happenings);
    times(spec, &known, now, &mut marks, &mut happenings);
    // Two triggers may say the same.
    let mut seen = Vec::new();
    happenings.retain(|happening| {
        let is_first = !seen.contains(happening);
        seen.push(happening.clone());
        is_first
    });
    (happenings, marks)
}

fn tags(
    spec: &RepositorySpec,
    known: &Marks,
    sight: &Sight,
    now: Timestamp,
    marks: &mut Marks,
    happenings: &mut Vec<Happening>,
) {
    let matching = |name: &str| {
        let of = triggers(spec, TriggerEvent::Tag);
        of.filter_map(|(trigger, recipe)| Some((trigger.pattern.as_ref()?, recipe)))
            .filter(|(pattern, _)| WildMatch::new(pattern).matches(name))
            .collect::<Vec<_>>()
    };
    marks.tag_patterns = triggers(spec, TriggerEvent::Tag).filter_map(|(trigger, _)| trigger.pattern.clone()).collect();
    let listed = &sight.tags.tags;
    // When there are more tags than a forge is asked for, an old one comes into sight at the end as a newer one goes.
    let last_known = listed.iter().rposition(|tag| known.tags.contains_key(&tag.name));
    let is_in_front = |index: usize| {
        sight.tags.is_complete || index < listed.len() / 2 || last_known.is_some_and(|last| index <= last)
    };
    for (index, tag) in listed.iter().enumerate().rev() {
        let patterns = matching(&tag.name);
        if patterns.is_empty() || tag.name.len() > TAG_BYTES_MAX || !is_commit(&tag.commit) {
            continue;
        }
        marks.tags.insert(tag.name.clone(), tag.commit.clone());
        let is_new = known.tags.get(&tag.name) != Some(&tag.commit);
        if is_new && is_in_front(index) {
            // For a pattern that was not there before, everything was.
            let known_patterns = patterns.into_iter().filter(|(pattern, _)| known.tag_patterns.contains(*pattern));
            happenings.extend(known_patterns.map(|(_, recipe)| Happening {
                on: TriggerEvent::Tag,
                at: now,
                subject: tag.name.clone(),
                commit: Some(tag.commit.clone()),
                recipe: recipe.clone(),
            }));
        }
    }
    // What is not shown any more stays known: a tag that comes back with its commit is not new.
    for (name, commit) in &known.tags {
        if marks.tags.len() < TAGS_MAX && !marks.tags.contains_key(name) && !matching(name).is_empty() {
            marks.tags.insert(name.clone(), commit.clone());
        }
    }
}

fn pushes(
    spec: &RepositorySpec,
    known: &Marks,
    sight: &Sight,
    now: Timestamp,
    marks: &mut Marks,
    happenings: &mut Vec<Happening>,
) {
    for (trigger, recipe) in triggers(spec, TriggerEvent::Push) {
        let Some(branch) = &trigger.branch else { continue };
        let before = known.branches.get(branch);
        let tip = sight.branches.get(branch).cloned().flatten().filter(|tip| is_commit(tip));
        // A branch that is not there is remembered as nothing, so that it is new when it comes.
        let after = tip.clone().or_else(|| before.cloned()).unwrap_or_default();
        marks.branches.insert(branch.clone(), after);
        if let Some(tip) = tip
            && before.is_some_and(|before| *before != tip)
        {
            happenings.push(Happening {
                on: TriggerEvent::Push,
                at: now,
                subject: branch.clone(),
                commit: Some(tip),
                recipe: recipe.clone(),
            });
        }
    }
}

fn times(spec: &RepositorySpec, known: &Marks, now: Timestamp, marks: &mut Marks, happenings: &mut Vec<Happening>) {
    for (trigger, recipe) in triggers(spec, TriggerEvent::Schedule) {
        let Ok(cron) = read(trigger) else { continue };
        let name = schedule(trigger);
        let last = known.schedules.get(&name).and_then(|text| text.parse::<Timestamp>().ok());
        let fired = last.and_then(|last| cron.last_between(last, now));
        // It begins now: what would have been before is nobody's wish.
        marks.schedules.insert(name.clone(), seconds(fired.or(last).unwrap_or(now)));
        if let Some(fired) = fired {
            let on = TriggerEvent::Schedule;
            happenings.push(Happening { on, at: fired, subject: name, commit: None, recipe: recipe.clone() });
        }
    }
}

fn read(trigger: &Trigger) -> Result<Cron, String> {
    let cron = trigger.cron.as_deref().unwrap_or_default();
    Cron::parse(cron, trigger.time_zone.as_deref()).map_err(|error| error.to_string())
}

/// Returns when the forge has to be asked whatever the interval is: at the next time of a schedule, and at once for what
/// has never been looked at.
#[must_use]
pub fn due(spec: &RepositorySpec, cursor: &Cursor, now: Timestamp) -> Option<Timestamp> {
    let known = Marks::of(spec, cursor);
    let is_unseen = triggers(spec, TriggerEvent::Tag)
        .any(|(trigger, _)| trigger.pattern.as_ref().is_some_and(|pattern| !known.tag_patterns.contains(pattern)))
        || branches(spec).into_iter().any(|branch| !known.branches.contains_key(branch));
    let times = triggers(spec, TriggerEvent::Schedule).filter_map(|(trigger, _)| {
        let cron = read(trigger).ok()?;
        let last = known.schedules.get(&schedule(trigger)).and_then(|text| text.parse::<Timestamp>().ok());
        match last {
            None => Some(now),
            Some(last) => cron.next_after(last),
        }
    });
    times.chain(is_unseen.then_some(now)).min()
}

/// Returns what is wrong with triggers, in sentences without their full stops.
#[must_use]
pub fn problems(spec: &RepositorySpec, cursor: &Cursor, has_recipe: impl Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    for trigger in &spec.triggers {
        let on = match trigger.on {
            TriggerEvent::Comment => format!("Comment {}", trigger.phrase.as_deref().unwrap_or_default()),
            TriggerEvent::Tag => format!("Tag {}", trigger.pattern.as_deref().unwrap_or_default()),
            TriggerEvent::Push => format!("Push to {}", trigger.branch.as_deref().unwrap_or_default()),
            TriggerEvent::Schedule => format!("Schedule {}", schedule(trigger)),
        };
        let later = [("releaseRef", &trigger.run.release_ref), ("flakeBuildRef", &trigger.run.flake_build_ref)];
        for (member, name) in later {
            if let Some(name) = name {
                problems.push(format!(
                    "the trigger on {on} names {member} {name}, which this version of ccd cannot start: only recipeRef \
                     starts anything"
                ));
            }
        }
        if let Some(recipe) = trigger.run.recipe_ref.as_ref().filter(|recipe| !has_recipe(recipe)) {
            problems.push(format!("the Recipe {recipe} that the trigger on {on} names does not exist: apply it"));
        }
        if let (TriggerEvent::Schedule, Err(error)) = (trigger.on, read(trigger)) {
            problems.push(error);
        }
    }
    let known = Marks::of(spec, cursor);
    let absent = branches(spec).into_iter().filter(|branch| known.branches.get(*branch).is_some_and(String::is_empty));
    problems.extend(absent.map(|branch| format!("{}/{} has no branch {branch}: push it", spec.owner, spec.name)));
    problems
}

/// Returns whether a text is a whole commit hash.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
