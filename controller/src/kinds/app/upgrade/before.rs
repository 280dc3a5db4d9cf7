//! The gate before an upgrade: which version is taken, whether its files can be deployed, what release notes say, and
//! whether the volumes can be copied.

use std::collections::BTreeMap;

use api_types::kinds::app::{UpdateWindow, Weekday};
use api_types::kinds::app_upgrade::{HeldVersion, VOLUMES_MAX};
use api_types::reason;
use ports::error::Error;
use ports::git::{CommitId, FileKind, Git, RemoteUrl};
use ports::recipe::release::{Notes, asks_for_hands, between};
use ports::recipe::version::RecipeVersion;
use ports::swarm::{Engine, Filter, Volume};

use super::words::{self, About};
use super::{Gate, SNAPSHOT_LABEL, copy_name, own_volumes};
use crate::commit_files::CommitFiles;
use crate::kinds::app::deployer::Refusal;
use crate::kinds::app::prepare::{self, Inputs, Target};
use crate::kinds::app::version::{self, Wish};
use crate::outside::Outside;

/// Release notes larger than this are not read.
const NOTES_BYTES_MAX: u64 = 64 << 10;
/// Most files of release notes that are read.
const NOTES_FILES_MAX: usize = 64;

/// Most versions that are read in one go in search of one that can be deployed.
const REFUSED_MAX: usize = 8;

/// The published versions of a recipe, with their commits, by tag.
pub(in super::super) type Published = BTreeMap<String, (RecipeVersion, CommitId)>;

/// What came out.
#[derive(Clone, Debug)]
pub(in super::super) struct Chosen {
    /// The version; `None` when there is none.
    pub(in super::super) version: Option<RecipeVersion>,
    /// A newer one.
    pub(in super::super) available: Option<RecipeVersion>,
    /// What a version waits for.
    pub(in super::super) held: Option<HeldVersion>,
    /// Whether that is the one that the spec names.
    pub(in super::super) is_named_held: bool,
}

/// Chooses a version of a recipe for an App.
///
/// # Errors
/// Those of the engine and of git.
pub(in super::super) async fn choose(
    inputs: &Inputs,
    outside: &Outside,
    url: &RemoteUrl,
    published: &Published,
) -> Result<Chosen, Error> {
    let Target::Version(named) = &inputs.target else {
        return Ok(Chosen { version: None, available: None, held: None, is_named_held: false });
    };
    let versions: Vec<RecipeVersion> = published.values().map(|(version, _)| version.clone()).collect();
    let named = named.as_deref().and_then(RecipeVersion::parse);
    let current = inputs.current_version.as_deref().and_then(RecipeVersion::parse);
    let mut wish = Wish {
        named: named.as_ref(),
        current: current.as_ref(),
        auto: inputs.auto,
        is_open: version::is_open(inputs.window.as_ref(), outside.clock.now()),
        failed: inputs.gate.as_ref().and_then(|gate| gate.failed.as_ref()),
        ..Wish::default()
    };
    let mut choice = version::choose(&versions, &wish);
    let Some(gate) = &inputs.gate else {
        return Ok(Chosen { version: choice.version, available: choice.available, held: None, is_named_held: false });
    };
    let from = current.clone().or_else(|| choice.version.clone());
    let ends: Vec<RecipeVersion> = choice.version.iter().chain(&choice.available).chain(&named).cloned().collect();
    let notes = match &from {
        Some(from) => notes(&*outside.git, url, published, from, &ends).await?,
        None => Vec::new(),
    };
    let asking = notes.iter().filter(|notes| asks_for_hands(&notes.text).is_some());
    let by_hand: Vec<RecipeVersion> = asking.map(|notes| notes.version.clone()).collect();
    // What goes on already has passed.
    if !gate.is_under_way {
        wish.by_hand = &by_hand;
    }
    let mut refusals = BTreeMap::new();
    if gate.deployed.is_some() {
        // Volumes are stopped and copied for it: if it cannot be deployed any more, there is no use in going on.
        if let (Some(leaves), Some(current)) = (&gate.leaves, &current)
            && let Some(refusal) = refusal_of(inputs, outside, url, published, current).await?
        {
            refusals.insert(current.clone(), refusal);
            wish.current = Some(leaves);
        }
        look_ahead(inputs, outside, (url, published, &versions), wish, &mut refusals).await?;
    }
    let refused: Vec<RecipeVersion> = refusals.keys().cloned().collect();
    wish.refused = &refused;
    choice = version::choose(&versions, &wish);
    let mut in_the_way = None;
    let is_step = gate.deployed.is_some() && choice.version != gate.deployed;
    if is_step && !gate.is_under_way && gate.takes_snapshot {
        in_the_way = obstacle(gate, outside, &inputs.owner.stack).await?;
        wish.is_obstructed = in_the_way.is_some();
        choice = version::choose(&versions, &wish);
    }
    let held = choice.held.as_ref().map(|held| {
        let on_the_way = |notes: &&Notes| notes.version > held.from && notes.version <= held.version;
        let notes: Vec<Notes> = notes.iter().filter(on_the_way).cloned().collect();
        let about = About {
            app: &inputs.owner.app,
            auto: inputs.auto,
            window: inputs.window.as_ref().map(window).unwrap_or_default(),
            notes: &notes,
            obstacle: in_the_way.as_ref(),
            refusal: refusals.get(&held.version),
        };
        redacted(words::held(held, &about), outside)
    });
    let is_named_held = choice.held.is_some_and(|held| held.is_named);
    Ok(Chosen { version: choice.version, available: choice.available, held, is_named_held })
}

/// Reads the versions that would be taken, best first, until one can be deployed or what runs stays.
async fn look_ahead(
    inputs: &Inputs,
    outside: &Outside,
    (url, published, versions): (&RemoteUrl, &Published, &[RecipeVersion]),
    wish: Wish<'_>,
    refusals: &mut BTreeMap<RecipeVersion, Refusal>,
) -> Result<(), Error> {
    loop {
        let refused: Vec<RecipeVersion> = refusals.keys().cloned().collect();
        // As though its window were open: what is wrong with a version is told as soon as it is published.
        let ahead = Wish { is_open: true, is_obstructed: false, refused: &refused, ..wish };
        let choice = version::choose(versions, &ahead);
        let Some(next) = choice.version.filter(|next| wish.current != Some(next) && !refused.contains(next)) else {
            return Ok(());
        };
        let Some(refusal) = refusal_of(inputs, outside, url, published, &next).await? else { return Ok(()) };
        if refusals.len() >= REFUSED_MAX {
            // So many in a row: what runs stays until one of those that were read is put right.
            let others = versions.iter().filter(|version| wish.current != Some(version));
            for version in others {
                refusals.entry(version.clone()).or_insert_with(|| refusal.clone());
            }
        }
        refusals.insert(next, refusal);
    }
}

/// Returns why a version cannot be deployed; `None` when it can, and when nobody has published it.
async fn refusal_of(
    inputs: &Inputs,
    outside: &Outside,
    url: &RemoteUrl,
    published: &Published,
    version: &RecipeVersion,
) -> Result<Option<Refusal>, Error> {
    match published.get(&version.to_string()) {
        Some((_, commit)) => prepare::refusal_of(inputs, outside, url, (version, commit)).await,
        None => Ok(None),
    }
}

/// Returns what is said of a version, without any secret that is in use: people write notes, and anything into them.
fn redacted(mut held: HeldVersion, outside: &Outside) -> HeldVersion {
    held.message = outside.redactor.text(&held.message);
    for notes in &mut held.notes {
        notes.text = outside.redactor.text(&notes.text);
    }
    held
}

/// Returns the notes of all versions after `from`, as the newest of `ends` that has them says.
async fn notes(
    git: &dyn Git,
    url: &RemoteUrl,
    published: &Published,
    from: &RecipeVersion,
    ends: &[RecipeVersion],
) -> Result<Vec<Notes>, Error> {
    let mut found: BTreeMap<RecipeVersion, Notes> = BTreeMap::new();
    let mut ends: Vec<&RecipeVersion> = ends.iter().filter(|end| *end > from).collect();
    ends.sort();
    ends.dedup();
    for end in ends {
        let Some((_, commit)) = published.get(&end.to_string()) else { continue };
        let files = release_files(git, url, commit).await?;
        found.extend(between(&files, from, end).into_iter().map(|notes| (notes.version.clone(), notes)));
    }
    Ok(found.into_values().collect())
}

/// Reads the folder of release notes.
async fn release_files(git: &dyn Git, url: &RemoteUrl, commit: &CommitId) -> Result<CommitFiles, Error> {
    let mut files = CommitFiles::default();
    for file in git.files(url, commit).await? {
        let path = file.path.to_string();
        let is_read = path.starts_with("release/")
            && matches!(file.kind, FileKind::Regular | FileKind::Executable)
            && file.bytes <= NOTES_BYTES_MAX
            && files.content.len() < NOTES_FILES_MAX;
        if is_read && let Some(content) = git.show(url, commit, &file.path).await? {
            files.content.insert(path, content);
        }
    }
    Ok(files)
}

/// Returns why the volumes of a stack cannot be copied now; `None` when they can, and when it has none.
async fn obstacle(gate: &Gate, outside: &Outside, stack: &str) -> Result<Option<Refusal>, Error> {
    let engine = outside.engines.connect(&gate.engine)?;
    let services = engine.services(&Filter::stack(stack)).await?;
    let volumes = engine.volumes(&Filter::name_prefix(&format!("{stack}_"))).await?;
    let own = own_volumes(stack, &services, &volumes);
    let mounted = services
        .iter()
        .any(|service| super::mounts(service, |source| crate::kinds::app::labels::has_prefix(source, stack)));
    if !mounted {
        return Ok(None);
    }
    if engine.nodes().await?.len() > 1 {
        let text = "The swarm has several nodes, and a volume is on one of them.";
        return Ok(Some(Refusal { reason: reason::SNAPSHOT_IMPOSSIBLE, message: text.to_owned() }));
    }
    if let Some(refusal) = unfit(&own, &volumes) {
        return Ok(Some(refusal));
    }
    let Some(bytes_free) = gate.bytes_free else { return Ok(None) };
    room(&*engine, &own, bytes_free).await
}

/// Returns why some of the volumes cannot be copied at all.
fn unfit(own: &[&Volume], all: &[Volume]) -> Option<Refusal> {
    let refuse = |message: String| Some(Refusal { reason: reason::SNAPSHOT_IMPOSSIBLE, message });
    if own.len() > VOLUMES_MAX {
        return refuse(format!("The stack has {} volumes, and at most {VOLUMES_MAX} are copied.", own.len()));
    }
    if let Some(volume) = own.iter().find(|volume| volume.driver != "local" || !volume.options.is_empty()) {
        return refuse(format!(
            "What the volume {} holds lies elsewhere, as the options of its driver say.",
            volume.name
        ));
    }
    own.iter().find_map(|volume| {
        let copy = copy_name(&volume.name);
        let taken = all.iter().find(|found| found.name == copy && !found.labels.contains_key(SNAPSHOT_LABEL))?;
        refuse(format!("The copy of {} would be the volume {}, which is somebody's already.", volume.name, taken.name))
    })
}

/// Returns that there is no room for copies.
async fn room(engine: &dyn Engine, own: &[&Volume], bytes_free: u64) -> Result<Option<Refusal>, Error> {
    let sizes = engine.volume_bytes().await?;
    let size = |name: &str| sizes.get(name).copied().unwrap_or_default();
    let needed: u64 = own.iter().map(|volume| size(&volume.name)).sum();
    // Copies of an earlier upgrade are replaced.
    let replaced: u64 = own.iter().map(|volume| size(&copy_name(&volume.name))).sum();
    Ok((needed > bytes_free.saturating_add(replaced)).then(|| Refusal {
        reason: reason::NO_ROOM,
        message: format!(
            "They hold {}, and {} are free above the floor of the Host: free some, or lower spec.floors of the Host.",
            mebibytes(needed),
            mebibytes(bytes_free)
        ),
    }))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Returns a window in words.
fn window(window: &UpdateWindow) -> String {
    let zone = window.time_zone.as_deref().unwrap_or("UTC");
    let days: Vec<String> = window.days.iter().map(|day: &Weekday| format!("{day:?}")).collect();
    let days = if days.is_empty() { String::new() } else { format!(" on {}", days.join(", ")) };
    format!("from {} to {} {zone}{days}", window.start, window.end)
}
