//! Opening: from the rows on disk to the state in memory, believing nothing that does not add up.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::engine::{Engine, EngineError};
use crate::error::OpenError;
use crate::guards::Guards;
use crate::keyring::{Keyring, SealError};
use crate::object::{Object, RecordError};
use crate::registry::{DEFINITIONS, Registry};
use crate::rows::{Assembler, Meta, RowError};
use crate::state::{ResourceState, State};
use crate::strategy;

/// What an engine held.
pub(crate) struct Loaded {
    pub state: State,
    pub meta: Meta,
    /// Whether a record should be sealed anew.
    pub is_stale: bool,
}

/// An object with its key.
type Keyed = (Arc<str>, Arc<Object>);

/// Reads everything that `engine` holds.
///
/// # Errors
/// `Damaged` with the first thing that does not add up; `Newer` for a store of a newer program; `KeyMissing` for one
/// whose secrets are sealed under a key that `keyring` does not hold.
pub(crate) fn load(
    engine: &dyn Engine,
    built_in: Registry,
    guards: Guards,
    keyring: &Arc<Keyring>,
) -> Result<Loaded, OpenError> {
    let mut assembler = Assembler::new(guards, keyring.clone());
    let mut objects = Vec::new();
    let mut wrong: Option<RowError> = None;
    let scan = engine.scan(&mut |key, value| match assembler.row(key, value) {
        Ok(object) => {
            objects.extend(object);
            Ok(())
        }
        Err(error) => {
            let text = error.to_string();
            wrong = Some(error);
            Err(EngineError::Corrupt(text))
        }
    });
    if let Some(error) = wrong {
        return Err(damaged(&error));
    }
    scan.map_err(|error| open_error(&error))?;
    let (last, meta, is_stale) = assembler.finish().map_err(|error| damaged(&error))?;
    objects.extend(last);
    let mut state = build(objects, meta, built_in)?;
    register_definitions(&mut state)?;
    Ok(Loaded { state, meta, is_stale })
}

/// Builds the state: old records are what is there, each once; recent ones are also what happened.
fn build(objects: Vec<Object>, meta: Meta, built_in: Registry) -> Result<State, OpenError> {
    let mut state = State::empty(built_in);
    let mut names: HashMap<String, Arc<str>> = HashMap::new();
    let mut settled: HashMap<Arc<str>, Vec<Keyed>> = HashMap::new();
    let mut recent = Vec::new();
    for object in objects {
        if object.revision > meta.compacted {
            recent.push(Arc::new(object));
            continue;
        }
        let resource = match names.get(object.resource()) {
            Some(known) => known.clone(),
            None => names.entry(object.resource().to_owned()).or_insert(Arc::from(object.resource())).clone(),
        };
        state.live_bytes += object.size_bytes() as u64;
        let key: Arc<str> = Arc::from(object.key());
        settled.entry(resource).or_default().push((key, Arc::new(object)));
    }
    for (resource, mut objects) in settled {
        objects.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        if let Some(twice) = objects.windows(2).find(|two| two[0].0 == two[1].0) {
            let (key, revisions) = (&twice[0].0, [twice[0].1.revision, twice[1].1.revision]);
            return Err(OpenError::Damaged(format!("{resource} {key} is there twice, at revisions {revisions:?}")));
        }
        let revision = objects.iter().map(|(_, object)| object.revision).max().unwrap_or_default();
        let objects = objects.into_iter().collect();
        let resource_state = ResourceState { objects, revision, ..ResourceState::default() };
        state.resources.insert(resource, Arc::new(resource_state));
    }
    for object in recent {
        let resource: Arc<str> = Arc::from(object.resource());
        let key: Arc<str> = Arc::from(object.key());
        state.record(&resource, &key, &object);
    }
    state.compacted = meta.compacted;
    for resource in state.resources.values_mut() {
        Arc::make_mut(resource).compacted = meta.compacted;
    }
    state.revision = meta.revision;
    Ok(state)
}

fn register_definitions(state: &mut State) -> Result<(), OpenError> {
    let mut registry = Registry::clone(&state.registry);
    for object in state.objects_from(DEFINITIONS, "") {
        let definition = strategy::definition_of(&object.value()).map_err(|causes| {
            OpenError::Damaged(format!("definition {} cannot be served: {causes:?}", object.name()))
        })?;
        registry = registry.with(definition);
    }
    state.registry = Arc::new(registry);
    Ok(())
}

fn damaged(error: &RowError) -> OpenError {
    match error {
        RowError::Newer(_) | RowError::Record { source: RecordError::Format(_), .. } => {
            OpenError::Newer(error.to_string())
        }
        RowError::Sealed { source: SealError::KeyMissing(_), .. } => OpenError::KeyMissing(error.to_string()),
        other => OpenError::Damaged(other.to_string()),
    }
}

/// Says in words of a person why the engine did not open.
pub(crate) fn open_error(error: &EngineError) -> OpenError {
    match error {
        EngineError::Locked { .. } => OpenError::Locked(error.to_string()),
        EngineError::Format { .. } => OpenError::Newer(error.to_string()),
        EngineError::Corrupt(_) | EngineError::Panic(_) => OpenError::Damaged(error.to_string()),
        EngineError::Full(_) | EngineError::Io(_) | EngineError::Invalid(_) => OpenError::Io(error.to_string()),
    }
}

/// Reads the store in `dir` and returns what it adds up to.
///
/// # Errors
/// As [`load`], and `Missing` when there is none.
pub(crate) fn verify(dir: &Path, built_in: Registry, keyring: &Arc<Keyring>) -> Result<Loaded, OpenError> {
    if !crate::engine::exists(dir) {
        return Err(OpenError::Missing(dir.display().to_string()));
    }
    let engine =
        crate::engine::open(dir, &crate::engine::EngineOptions::default()).map_err(|error| open_error(&error))?;
    load(&engine, built_in, Guards::all(), keyring)
}
