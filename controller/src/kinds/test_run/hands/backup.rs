//! Backups after Co-op Cloud's specification, with the engine alone: hooks are run in the containers of the services,
//! and what is backed up is taken out of them, and put back, as archives.
//!
//! Into each volume that is backed up as a whole a small file is put before the backup, overwritten after it, and looked
//! for after the restore: so that a restore is proven even for a recipe without tests of its own. An app that abra deployed
//! is backed up by the server's bot where there is one ([`abra_backup`]).

use std::time::Duration;

use api_types::kinds::check::ExecAction;
use api_types::kinds::recipe::RecipeTest;
use api_types::kinds::test_run::{RungName, RungStatus, TestResult};
use api_types::reason;
use bytes::Bytes;
use ports::compose::stack::{Stack, StackService, StackVolume};
use ports::files::{Area, FileName};
use ports::recipe::backup::{BackupPlan, plan};
use ports::swarm::{Engine, ExecSpec, Filter, Service};
use serde::{Deserialize, Serialize};

use super::super::expectation::complaint;
use super::super::work::{BackupTaken, Deed, Outcome, bad};
use super::exec::{in_service, running_container};
use super::{Job, abra_backup, exec, tar_files};
use crate::runtime::blocking::blocking;
use crate::runtime::outcome::Failure;

/// How often a backup is taken until its check says yes.
const CAPTURES_MAX: u32 = 3;
/// Most bytes of one archive.
const ARCHIVE_BYTES_MAX: usize = 256 << 20;
/// How long a hook may take.
const HOOK_MAX: Duration = Duration::from_mins(15);
/// How long a backup's check may take.
const VERIFY_MAX: Duration = Duration::from_mins(2);
/// The file that is put into volumes.
const MARKER: &str = ".cc-ci-marker";
/// The list of what a backup holds.
const INDEX: &str = "index.json";
/// The id of the snapshot, when the server's bot took the backup.
const SNAPSHOT: &str = "snapshot";
/// Most bytes of it.
const SNAPSHOT_BYTES_MAX: usize = 64;

const NOTHING_NAMED: &str = "The backup labels name nothing: no volume, and no path.";

/// One archive of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Piece {
    /// The service in whose container it was taken.
    service: String,
    /// The folder in the container in which it is unpacked again.
    parent: String,
    /// Its file.
    file: String,
}

/// A place that is backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    service: String,
    path: String,
    /// Whether it is a volume as a whole.
    is_whole_volume: bool,
}

/// What the labels of the services that run now say: what can be backed up is a property of what is deployed.
async fn live_plan(job: &Job, engine: &dyn Engine) -> Result<(BackupPlan, Vec<Source>), Failure> {
    let services = engine.services(&Filter::stack(&job.stack)).await?;
    let stack = stack_of(&job.stack, &services);
    let plan = plan(&stack);
    let sources = sources(&stack, &plan);
    Ok((plan, sources))
}

fn stack_of(name: &str, services: &[Service]) -> Stack {
    let prefix = format!("{name}_");
    let mut stack = Stack { name: name.to_owned(), ..Stack::default() };
    for service in services {
        for mount in service.spec.task_template.container_spec.mounts.iter().filter(|mount| mount.type_ == "volume") {
            let key = mount.source.strip_prefix(&prefix).unwrap_or(&mount.source).to_owned();
            if !mount.source.is_empty() && !stack.volumes.iter().any(|volume| volume.name == mount.source) {
                stack.volumes.push(StackVolume { key, name: mount.source.clone(), ..StackVolume::default() });
            }
        }
        stack.services.push(StackService {
            short_name: service.spec.name.strip_prefix(&prefix).unwrap_or(&service.spec.name).to_owned(),
            spec: service.spec.clone(),
            ..StackService::default()
        });
    }
    stack
}

/// Returns where in which containers everything of a plan is.
fn sources(stack: &Stack, plan: &BackupPlan) -> Vec<Source> {
    let mut sources = Vec::new();
    for volume in &plan.volumes {
        // Any service that mounts it for writing will do; those that take part come first.
        let takes_part = |name: &str| plan.services.iter().any(|service| service.service == name);
        let mut mounted: Vec<(&StackService, String)> = Vec::new();
        for service in &stack.services {
            let mounts = service.spec.task_template.container_spec.mounts.iter();
            let here = mounts.filter(|mount| mount.source == volume.name && !mount.read_only);
            mounted.extend(here.map(|mount| (service, mount.target.clone())));
        }
        mounted.sort_by_key(|(service, _)| !takes_part(&service.short_name));
        let Some((service, target)) = mounted.into_iter().next() else { continue };
        let target = target.trim_end_matches('/').to_owned();
        let is_whole_volume = volume.paths.is_empty();
        let paths = if is_whole_volume { vec![String::new()] } else { volume.paths.clone() };
        for path in paths {
            let path = format!("{target}/{}", path.trim_matches('/'));
            let path = path.trim_end_matches('/').to_owned();
            sources.push(Source { service: service.short_name.clone(), path, is_whole_volume });
        }
    }
    for service in &plan.services {
        for path in &service.legacy_paths {
            let path = path.trim_end_matches('/').to_owned();
            let is_known =
                sources.iter().any(|known| path == known.path || path.starts_with(&format!("{}/", known.path)));
            if !is_known {
                sources.push(Source { service: service.service.clone(), path, is_whole_volume: false });
            }
        }
    }
    sources
}

/// Takes a backup, again if the recipe's check says that it is no good.
pub(super) async fn take(job: &Job, engine: &dyn Engine) -> Result<Outcome<BackupTaken>, Failure> {
    let verify = job.order.recipe.spec.backup.verify.clone();
    let mut captures = 1;
    loop {
        let taken = match capture_by_anybody(job, engine, captures).await? {
            Outcome::Good(taken) => taken,
            bad @ Outcome::Bad { .. } => return Ok(bad),
        };
        let Some(check) = &verify else { return Ok(Outcome::Good(taken)) };
        let Some(wrong) = wrong_with(job, engine, check).await? else { return Ok(Outcome::Good(taken)) };
        job.say(format!("capture {captures}: the check says no: {wrong}")).await;
        if captures >= CAPTURES_MAX {
            let message = format!("After {captures} captures backup.verify still says no: {}.", job.clean(&wrong));
            return Ok(bad(reason::EMPTY_BACKUP, message));
        }
        captures += 1;
    }
}

async fn wrong_with(job: &Job, engine: &dyn Engine, check: &ExecAction) -> Result<Option<String>, Failure> {
    let sight = exec::run(job, engine, check, VERIFY_MAX).await?;
    Ok(complaint(None, &sight))
}

/// Takes a backup by the server's bot where that is how the app is backed up.
async fn capture_by_anybody(job: &Job, engine: &dyn Engine, number: u32) -> Result<Outcome<BackupTaken>, Failure> {
    let Some(by_abra) = abra_backup::bot(job, engine).await? else { return capture(job, engine, number).await };
    let (_, sources) = live_plan(job, engine).await?;
    if sources.is_empty() {
        return Ok(bad(reason::EMPTY_BACKUP, NOTHING_NAMED));
    }
    let (mut taken, snapshot) = match abra_backup::take(job, by_abra, number).await? {
        Outcome::Good(good) => good,
        Outcome::Bad { reason, message } => return Ok(Outcome::Bad { reason, message }),
    };
    keep(job, SNAPSHOT, snapshot.into()).await?;
    taken.has_markers = sources.iter().any(|source| source.is_whole_volume);
    Ok(Outcome::Good(taken))
}

async fn capture(job: &Job, engine: &dyn Engine, number: u32) -> Result<Outcome<BackupTaken>, Failure> {
    let (plan, sources) = live_plan(job, engine).await?;
    for finding in &plan.findings {
        job.say(format!("warning: {finding}")).await;
    }
    for service in &plan.services {
        if let Some(wrong) = hook(job, engine, &service.service, service.backup_before.as_deref(), "pre-hook").await? {
            return Ok(wrong.cast());
        }
    }
    let taken = archive_all(job, engine, &sources, number).await;
    // Whatever came of it, what the pre-hooks stopped is started again.
    for service in &plan.services {
        if let Some(wrong) = hook(job, engine, &service.service, service.backup_after.as_deref(), "post-hook").await? {
            taken?;
            return Ok(wrong.cast());
        }
    }
    taken
}

/// A hook that went wrong.
struct WrongHook(String);

impl WrongHook {
    fn cast<T>(self) -> Outcome<T> {
        bad(reason::HOOK_FAILED, self.0)
    }
}

async fn hook(
    job: &Job,
    engine: &dyn Engine,
    service: &str,
    line: Option<&str>,
    word: &str,
) -> Result<Option<WrongHook>, Failure> {
    let Some(line) = line else { return Ok(None) };
    // Commands of labels are lines for a shell, in the container.
    let command = vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()];
    let spec = ExecSpec { command, time_max: HOOK_MAX, ..ExecSpec::default() };
    let sight = in_service(job, engine, service, &spec).await?;
    job.say(format!("{word} of {service}: {line}")).await;
    if !sight.text.trim().is_empty() {
        job.say(sight.text.clone()).await;
    }
    let wrong = complaint(None, &sight)
        .map(|why| WrongHook(format!("The {word} of the service {service} failed: {}.", job.clean(&why))));
    Ok(wrong)
}

async fn archive_all(
    job: &Job,
    engine: &dyn Engine,
    sources: &[Source],
    captures: u32,
) -> Result<Outcome<BackupTaken>, Failure> {
    let mut pieces = Vec::new();
    let mut taken = BackupTaken { captures, ..BackupTaken::default() };
    for (number, source) in sources.iter().enumerate() {
        let Some(container) = running_container(engine, &job.stack, &source.service).await? else {
            let message = format!("No container of the service {} runs.", source.service);
            return Err(Failure::retryable("ContainerNotRunning", message));
        };
        let archive = match engine.read_archive(&container, &source.path, ARCHIVE_BYTES_MAX).await {
            Ok(archive) => archive,
            Err(error) if error.reason == "PathNotFound" => {
                let message = format!(
                    "The backup labels name {} in the service {}, which is not there.",
                    source.path, source.service
                );
                return Ok(bad(reason::EMPTY_BACKUP, message));
            }
            Err(error) if error.reason == "ArchiveTooLarge" => {
                let message = format!("{} of the service {} is too large for a test.", source.path, source.service);
                return Ok(bad(reason::BACKUP_TOO_LARGE, message));
            }
            Err(error) => return Err(error.into()),
        };
        let (files, bytes) = tar_files::measure(&archive, MARKER)?;
        job.say(format!("{} {}: {files} files, {bytes} bytes", source.service, source.path)).await;
        (taken.files, taken.bytes) = (taken.files + files, taken.bytes + bytes);
        taken.has_markers |= source.is_whole_volume;
        let file = format!("{number}.tar");
        keep(job, &file, archive).await?;
        let parent =
            source.path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
        pieces.push(Piece { service: source.service.clone(), parent: parent.to_owned(), file });
    }
    if taken.files == 0 {
        let message = if sources.is_empty() {
            NOTHING_NAMED.to_owned()
        } else {
            "Everything that the backup labels name is empty.".to_owned()
        };
        job.say(&message).await;
        return Ok(bad(reason::EMPTY_BACKUP, message));
    }
    let index = serde_json::to_vec(&pieces).map_err(|error| Failure::bug(error.to_string()))?;
    // Last: a backup without its list is none.
    keep(job, INDEX, index.into()).await?;
    Ok(Outcome::Good(taken))
}

async fn keep(job: &Job, name: &str, content: Bytes) -> Result<(), Failure> {
    let (files, folder, name) = (job.outside.files.clone(), job.backup_folder()?, FileName::new(name)?);
    blocking(move || files.write_file(Area::Trees, &folder, &name, &content)).await??;
    Ok(())
}

async fn kept(job: &Job, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    let (files, folder, name) = (job.outside.files.clone(), job.backup_folder()?, FileName::new(name)?);
    let bytes_max = ARCHIVE_BYTES_MAX as u64 + (1 << 20);
    Ok(blocking(move || files.read_file(Area::Trees, &folder, &name, bytes_max)).await??)
}

/// Gives the app its backup back.
pub(super) async fn restore(job: &Job, engine: &dyn Engine) -> Result<Outcome<()>, Failure> {
    if let (Some(by_abra), Some(snapshot)) = (&job.by_abra, kept(job, SNAPSHOT).await?) {
        let snapshot: String = String::from_utf8_lossy(&snapshot).chars().take(SNAPSHOT_BYTES_MAX).collect();
        abra_backup::restore(job, by_abra, &snapshot).await?;
        return Ok(Outcome::Good(()));
    }
    let (plan, _) = live_plan(job, engine).await?;
    let Some(index) = kept(job, INDEX).await? else {
        return Ok(bad(reason::LOST, "The backup is no longer on the disk."));
    };
    let pieces: Vec<Piece> = serde_json::from_slice(&index).map_err(|error| Failure::bug(error.to_string()))?;
    for service in &plan.services {
        if let Some(wrong) =
            hook(job, engine, &service.service, service.restore_before.as_deref(), "restore pre-hook").await?
        {
            return Ok(wrong.cast());
        }
    }
    for piece in &pieces {
        let Some(archive) = kept(job, &piece.file).await? else {
            return Ok(bad(reason::LOST, format!("{} of the backup is no longer on the disk.", piece.file)));
        };
        let Some(container) = running_container(engine, &job.stack, &piece.service).await? else {
            return Err(Failure::retryable("ContainerNotRunning", format!("no container of {} runs", piece.service)));
        };
        engine.write_archive(&container, &piece.parent, archive.into()).await?;
        job.say(format!("{} {}: restored", piece.service, piece.parent)).await;
    }
    for service in &plan.services {
        if let Some(wrong) =
            hook(job, engine, &service.service, service.restore_after.as_deref(), "restore post-hook").await?
        {
            return Ok(wrong.cast());
        }
    }
    Ok(Outcome::Good(()))
}

fn marker_text(job: &Job, what: Deed) -> String {
    let word = if what == Deed::Seed { "seeded" } else { "destroyed" };
    format!("{word} by test run {}\n", job.order.run.metadata.uid)
}

/// Puts the markers in, or overwrites them.
pub(super) async fn mark(job: &Job, engine: &dyn Engine, what: Deed) -> Result<Outcome<()>, Failure> {
    let (_, sources) = live_plan(job, engine).await?;
    let text = marker_text(job, what);
    for source in sources.iter().filter(|source| source.is_whole_volume) {
        let Some(container) = running_container(engine, &job.stack, &source.service).await? else {
            return Err(Failure::retryable("ContainerNotRunning", format!("no container of {} runs", source.service)));
        };
        let archive = tar_files::one(MARKER, text.as_bytes())?;
        engine.write_archive(&container, &source.path, archive).await?;
        job.say(format!("{} {}: {}", source.service, source.path, text.trim())).await;
    }
    Ok(Outcome::Good(()))
}

/// Looks for the markers after the restore.
pub(super) async fn markers(job: &Job, engine: &dyn Engine) -> Result<TestResult, Failure> {
    let (_, sources) = live_plan(job, engine).await?;
    let whole: Vec<&Source> = sources.iter().filter(|source| source.is_whole_volume).collect();
    let result = |status: RungStatus, message: String| TestResult {
        stage: RungName::BackupRestore,
        status,
        message: Some(message),
        ..TestResult::default()
    };
    if whole.is_empty() {
        let seeds = |test: &RecipeTest| test.stage == RungName::BackupRestore && test.seed.is_some();
        return Ok(if job.order.recipe.spec.tests.iter().any(seeds) {
            result(RungStatus::Skip, "No volume is backed up as a whole; the recipe's own tests look.".to_owned())
        } else {
            let message = "NoChecks: no volume is backed up as a whole, and the Recipe has no test of the stage \
                           backup-restore with seed and destroy: nothing shows that the restore brings data back.";
            result(RungStatus::Unverified, message.to_owned())
        });
    }
    let wanted = marker_text(job, Deed::Seed);
    for source in &whole {
        let Some(container) = running_container(engine, &job.stack, &source.service).await? else {
            return Err(Failure::retryable("ContainerNotRunning", format!("no container of {} runs", source.service)));
        };
        let path = format!("{}/{MARKER}", source.path);
        let found = match engine.read_archive(&container, &path, 1 << 20).await {
            Ok(archive) => tar_files::files(&archive, 1, 1 << 10)?.into_iter().next().map(|file| file.content),
            Err(error) if error.reason == "PathNotFound" => None,
            Err(error) => return Err(error.into()),
        };
        if found.as_deref() != Some(wanted.as_bytes()) {
            let message = format!(
                "What was put into {} of the service {} before the backup did not come back with the restore.",
                source.path, source.service
            );
            return Ok(result(RungStatus::Fail, message));
        }
    }
    Ok(result(RungStatus::Pass, format!("What was put into {} volumes before the backup is back.", whole.len())))
}
