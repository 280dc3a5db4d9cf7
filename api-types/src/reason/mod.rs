//! Every reason that a condition, a rung or an ignored event gives: one CamelCase word for programs.
//!
//! The message beside it is for people. A word says one thing; a failed check and our own trouble never share one.

#[cfg(test)]
mod tests;

// Any kind.

/// Everything that was wanted is so.
pub const SUCCEEDED: &str = "Succeeded";
/// It ended, and its result is bad.
pub const FAILED: &str = "Failed";
/// Work goes on; wait.
pub const PROGRESSING: &str = "Progressing";
/// Something hiccuped and is being tried again by itself.
pub const PROGRESSING_WITH_RETRY: &str = "ProgressingWithRetry";
/// An object that the spec names is missing or not ready yet.
pub const DEPENDENCY_NOT_READY: &str = "DependencyNotReady";
/// `spec.suspend` is true; nothing is done until it is false.
pub const SUSPENDED: &str = "Suspended";
/// The spec asks for something that cannot be; a person must change it.
pub const INVALID_SPEC: &str = "InvalidSpec";
/// What the spec names does not exist.
pub const NOT_FOUND: &str = "NotFound";
/// It took longer than the time it is given.
pub const TIMED_OUT: &str = "TimedOut";
/// Somebody asked for it to end.
pub const CANCELLED: &str = "Cancelled";
/// A newer push or request made it pointless.
pub const SUPERSEDED: &str = "Superseded";
/// It was running and is gone without a result.
pub const LOST: &str = "Lost";
/// A bug of ours; the object is left alone while everything else goes on.
pub const INTERNAL_ERROR: &str = "InternalError";
/// The credentials are wrong, expired or missing.
pub const UNAUTHORIZED: &str = "Unauthorized";
/// The credentials are right, but may not do this.
pub const FORBIDDEN: &str = "Forbidden";
/// The other side does not answer.
pub const UNREACHABLE: &str = "Unreachable";
/// The other side wants to be asked less often; waiting for its reset.
pub const RATE_LIMITED: &str = "RateLimited";
/// The other side's certificate cannot be trusted.
pub const TLS_ERROR: &str = "TlsError";
/// The other side is too old or too new for what is needed.
pub const UNSUPPORTED_VERSION: &str = "UnsupportedVersion";

// Forge.

/// The token lacks scopes; the message names them.
pub const SCOPES_MISSING: &str = "ScopesMissing";
/// The token has every scope that is needed.
pub const SCOPES_FOUND: &str = "ScopesFound";

// Repository.

/// The last poll answered.
pub const POLLED: &str = "Polled";
/// The cursor was set to now; older events are not acted on.
pub const FIRST_SEEN: &str = "FirstSeen";
/// The endpoint is off until its secret exists.
pub const WEBHOOK_SECRET_MISSING: &str = "WebhookSecretMissing";
/// The comment is not one of the phrases.
pub const NOT_A_COMMAND: &str = "NotACommand";
/// The commenter is not among those who may start a run.
pub const NOT_AUTHORIZED: &str = "NotAuthorized";
/// The pull request is closed or merged.
pub const PULL_REQUEST_CLOSED: &str = "PullRequestClosed";
/// No Recipe answers for the repository.
pub const NOT_ENROLLED: &str = "NotEnrolled";
/// The command has an option that does not exist.
pub const BAD_COMMAND: &str = "BadCommand";
/// The comment was changed after it was written; commands count as they were first written.
pub const EDITED: &str = "Edited";
/// A time came while the run of the time before was not over; it is left out.
pub const STILL_RUNNING: &str = "StillRunning";
/// The event has been acted on before.
pub const ALREADY_RUN: &str = "AlreadyRun";

// Recipe.

/// The repository has no branch of this name.
pub const BRANCH_NOT_FOUND: &str = "BranchNotFound";
/// What was fetched lacks the files of a recipe.
pub const NO_RECIPE: &str = "NoRecipe";

// TestRun: before it runs.

/// The run may be tried.
pub const ACCEPTED: &str = "Accepted";
/// A member must approve this head commit first.
pub const AWAITING_APPROVAL: &str = "AwaitingApproval";
/// A member has approved this head commit, or it needs no approval.
pub const APPROVED: &str = "Approved";
/// The recipe takes no runs from forks.
pub const DENIED: &str = "Denied";
/// The forge has not said, or not lately, that whoever approved it may still do so.
pub const APPROVER_UNCONFIRMED: &str = "ApproverUnconfirmed";
/// A new push voided the approval.
pub const APPROVAL_VOID: &str = "ApprovalVoid";
/// Other runs use what this one needs; it is queued.
pub const NO_CAPACITY: &str = "NoCapacity";
/// Another run uses the same domain.
pub const DOMAIN_BUSY: &str = "DomainBusy";
/// The host would fall below a floor of disk, inodes or memory.
pub const BELOW_FLOOR: &str = "BelowFloor";
/// The host cannot take work.
pub const HOST_NOT_READY: &str = "HostNotReady";
/// There is room, and the run has begun.
pub const SCHEDULED: &str = "Scheduled";
/// The commit and all tags are there.
pub const FETCHED: &str = "Fetched";
/// The source could not be fetched.
pub const FETCH_FAILED: &str = "FetchFailed";
/// The source has no such commit, tag or branch.
pub const COMMIT_NOT_FOUND: &str = "CommitNotFound";
/// The rendered compose file asks for what this trust tier does not allow.
pub const POLICY_VIOLATION: &str = "PolicyViolation";
/// A secret or config name would pass 64 characters.
pub const NAME_TOO_LONG: &str = "NameTooLong";

// TestRun: rungs.

/// Every check of the rung passed.
pub const CHECKS_PASSED: &str = "ChecksPassed";
/// A check of the rung failed; the message says which.
pub const CHECKS_FAILED: &str = "ChecksFailed";
/// The rung has nothing to check, which is not a pass.
pub const NO_CHECKS: &str = "NoChecks";
/// The recipe declares that the rung does not apply.
pub const EXPECTED_SKIP: &str = "ExpectedSkip";
/// The recipe has no backup labels.
pub const NOT_BACKUP_CAPABLE: &str = "NotBackupCapable";
/// There is no published version to upgrade from.
pub const NO_OLDER_VERSION: &str = "NoOlderVersion";
/// The run was started without this rung.
pub const NOT_SELECTED: &str = "NotSelected";
/// The run ended before this rung.
pub const NOT_REACHED: &str = "NotReached";
/// Base and head are the same, so that the upgrade proves nothing.
pub const SAME_VERSION: &str = "SameVersion";
/// After the upgrade something else than the head runs.
pub const HEAD_NOT_RUNNING: &str = "HeadNotRunning";
/// The upgrade changed nothing: what ran before and after it is the same.
pub const NOTHING_UPGRADED: &str = "NothingUpgraded";
/// The version to upgrade from can no longer be deployed, through no fault of the head.
pub const BASE_UNAVAILABLE: &str = "BaseUnavailable";
/// The version to upgrade from is not among the published ones.
pub const BASE_NOT_FOUND: &str = "BaseNotFound";
/// Data could not be seeded, so that nothing can be said about its survival.
pub const SEED_FAILED: &str = "SeedFailed";
/// The backup holds nothing, or not what its check looks for.
pub const EMPTY_BACKUP: &str = "EmptyBackup";
/// A hook of the backup or the restore failed.
pub const HOOK_FAILED: &str = "HookFailed";
/// The backup is larger than a run may keep.
pub const BACKUP_TOO_LARGE: &str = "BackupTooLarge";
/// The seeded data was still there after it should have been destroyed, so that the restore proves nothing.
pub const NOT_DESTROYED: &str = "NotDestroyed";
/// Backups are off by declaration.
pub const BACKUP_DECLARED_OFF: &str = "BackupDeclaredOff";
/// A dependency of the test is not there; it says nothing about the recipe.
pub const DEPENDENCY_FAILED: &str = "DependencyFailed";
/// Something outside the recipe kept the rung from being checked.
pub const INFRASTRUCTURE_FAILED: &str = "InfrastructureFailed";
/// Seeded data did not survive.
pub const DATA_LOST: &str = "DataLost";
/// The linter found errors.
pub const LINT_FAILED: &str = "LintFailed";
/// A program that the rung needs is not installed.
pub const TOOL_MISSING: &str = "ToolMissing";
/// Every rung that was wanted passed.
pub const ALL_PASSED: &str = "AllPassed";
/// A rung failed; the message says which.
pub const RUNG_FAILED: &str = "RungFailed";
/// A rung that should have run did not.
pub const RUNG_UNVERIFIED: &str = "RungUnverified";
/// Nothing of the run is left.
pub const CLEAN: &str = "Clean";
/// Something of the run is still there; the message names it.
pub const LEFTOVERS: &str = "Leftovers";
/// The failed app is kept for a look until the hold ends.
pub const HELD: &str = "Held";
/// Comment and commit status are up to date.
pub const REPORTED: &str = "Reported";
/// The run belongs to no pull request.
pub const NOTHING_TO_REPORT: &str = "NothingToReport";

// App.

/// Version, environment and secrets are settled.
pub const CONFIGURED: &str = "Configured";
/// A secret that must be inserted by hand, or the Secret that it is taken from, is not there.
pub const SECRET_MISSING: &str = "SecretMissing";
/// The OAuth2 application of an App was made.
pub const APPLICATION_CREATED: &str = "ApplicationCreated";
/// The OAuth2 application of an App was changed, and has another secret.
pub const APPLICATION_CHANGED: &str = "ApplicationChanged";
/// Something is left of an App that is gone, and would be removed if the reaper did not only look.
pub const ORPHAN_FOUND: &str = "OrphanFound";
/// What was left of an App that is gone is removed.
pub const ORPHAN_REAPED: &str = "OrphanReaped";
/// A stack has no App, and was there already when the store was restored from a backup: a person decides about it.
pub const ORPHAN_KEPT: &str = "OrphanKept";
/// Somebody removed the OAuth2 application of an App at the forge, and another one is made.
pub const APPLICATION_REMOVED: &str = "ApplicationRemoved";
/// The forge has an OAuth2 application of that name, whose secret is not known.
pub const APPLICATION_SECRET_UNKNOWN: &str = "ApplicationSecretUnknown";
/// The OAuth2 application of an App that is gone stays at the forge.
pub const APPLICATION_LEFT: &str = "ApplicationLeft";
/// Every App that it needs is ready.
pub const DEPENDENCIES_READY: &str = "DependenciesReady";
/// Apps need each other, so that none of them is ever deployed.
pub const DEPENDENCY_CYCLE: &str = "DependencyCycle";
/// It is deleted although Apps that stay need it.
pub const DEPENDENTS_LEFT: &str = "DependentsLeft";
/// The value of a generated secret was used, and is nowhere any more.
pub const SECRET_LOST: &str = "SecretLost";
/// A secret has its new value, and the app is ready with it.
pub const ROTATED: &str = "Rotated";
/// A secret cannot be rotated at present; it is tried again.
pub const ROTATION_DELAYED: &str = "RotationDelayed";
/// A secret cannot be rotated as was asked for.
pub const ROTATION_REFUSED: &str = "RotationRefused";
/// The app did not get well with a new value, and has the old one again.
pub const ROTATION_TURNED_BACK: &str = "RotationTurnedBack";
/// A Secret with credentials for a registry is not there, or holds none.
pub const PULL_SECRET_INVALID: &str = "PullSecretInvalid";
/// No Host has an engine that manages a swarm.
pub const NO_HOST: &str = "NoHost";
/// Another App has the same domain and came first.
pub const DOMAIN_TAKEN: &str = "DomainTaken";
/// A stack of the same name was deployed by somebody else; an annotation lets the App take it over.
pub const STACK_NOT_OURS: &str = "StackNotOurs";
/// What an earlier App left under the same name is removed first.
pub const STACK_LEFTOVERS: &str = "StackLeftovers";
/// The recipe's files cannot be read; the message names file and line.
pub const COMPOSE_INVALID: &str = "ComposeInvalid";
/// The stack asks for what its trust tier does not allow; the message names file and line.
pub const POLICY_REFUSED: &str = "PolicyRefused";
/// The content of a config or secret changed, but not its name: the swarm cannot replace it.
pub const CONFIG_CHANGED_WITHOUT_VERSION: &str = "ConfigChangedWithoutVersion";
/// The stack was handed to the swarm.
pub const DEPLOYED: &str = "Deployed";
/// The swarm or abra refused the stack.
pub const DEPLOY_FAILED: &str = "DeployFailed";
/// The engine was away while the stack was being updated, and the swarm gave the update up for that; it is done again.
pub const ENGINE_WAS_AWAY: &str = "EngineWasAway";
/// The engine has a field otherwise each time after it was updated; the message says which.
pub const SPEC_NOT_KEPT: &str = "SpecNotKept";
/// The stack is being handed to the swarm.
pub const DEPLOYING: &str = "Deploying";
/// Images are being pulled; wait.
pub const PULLING: &str = "Pulling";
/// An image was not pulled in the time that it is given.
pub const PULL_TIMEOUT: &str = "PullTimeout";
/// The registry has no such image, or does not give it to us.
pub const IMAGE_NOT_FOUND: &str = "ImageNotFound";
/// Desired replicas run the requested spec.
pub const CONVERGED: &str = "Converged";
/// Tasks are starting; wait.
pub const CONVERGING: &str = "Converging";
/// A service that was deployed is gone.
pub const VANISHED: &str = "Vanished";
/// The swarm went back to the previous spec.
pub const ROLLED_BACK: &str = "RolledBack";
/// The swarm stopped an update after a failure.
pub const PAUSED: &str = "Paused";
/// A path that a service mounts does not exist on the host.
pub const MOUNT_FAILED: &str = "MountFailed";
/// The node refused to run a task.
pub const REJECTED: &str = "Rejected";
/// A task exits again and again.
pub const CRASH_LOOP: &str = "CrashLoop";
/// A health check of a container fails.
pub const UNHEALTHY: &str = "Unhealthy";
/// The kernel killed a task for want of memory.
pub const OUT_OF_MEMORY: &str = "OutOfMemory";
/// No node meets a service's constraints, resources or ports.
pub const UNSCHEDULABLE: &str = "Unschedulable";
/// The swarm does not allocate what a task needs, such as an address: our trouble, not the recipe's.
pub const ALLOCATOR_STUCK: &str = "AllocatorStuck";
/// Tasks did not become ready in the time that they are given.
pub const PROGRESS_DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
/// The probes are good.
pub const HEALTHY: &str = "Healthy";
/// A probe is not good.
pub const PROBE_FAILED: &str = "ProbeFailed";
/// The domain answers with an accepted status and a trusted certificate.
pub const REACHABLE: &str = "Reachable";
/// The domain has not given a final answer yet; wait.
pub const PROBING: &str = "Probing";
/// The domain answers with a status that is not accepted.
pub const HTTP_STATUS: &str = "HttpStatus";
/// The proxy shows a certificate that cannot be trusted for the domain: our trouble, not the recipe's.
pub const TLS_INVALID: &str = "TlsInvalid";
/// Nothing listens where the domain points to: our trouble, not the recipe's.
pub const PROXY_DOWN: &str = "ProxyDown";
/// The proxy does not know the domain.
pub const ROUTER_MISSING: &str = "RouterMissing";
/// The proxy knows the domain, but nothing behind it answers.
pub const BACKEND_DOWN: &str = "BackendDown";
/// Somebody changed what runs; it will be put right.
pub const DRIFTED: &str = "Drifted";
/// What runs is what the spec says.
pub const IN_SYNC: &str = "InSync";
/// A newer version exists and the policy holds it back.
pub const UPDATE_AVAILABLE: &str = "UpdateAvailable";
/// The update waits for its window.
pub const OUTSIDE_WINDOW: &str = "OutsideWindow";
/// The newest version runs, or should.
pub const UP_TO_DATE: &str = "UpToDate";
/// A newer version is a major step, which a person has to take.
pub const MAJOR_HELD: &str = "MajorHeld";
/// The release notes of a newer version ask somebody to do something.
pub const NOTES_HELD: &str = "ReleaseNotesHeld";
/// There is no room for a copy of the volumes above the floor of the host.
pub const NO_ROOM: &str = "InsufficientDisk";
/// The volumes of an app cannot be copied before an upgrade.
pub const SNAPSHOT_IMPOSSIBLE: &str = "SnapshotImpossible";
/// Copying the volumes before an upgrade came to nothing.
pub const SNAPSHOT_FAILED: &str = "SnapshotFailed";
/// Volumes are being copied before an upgrade, or put back after one.
pub const UPGRADING: &str = "Upgrading";
/// A version did not serve, and the one before is back.
pub const UPGRADE_FAILED: &str = "UpgradeFailed";
/// A newer version serves.
pub const UPGRADED: &str = "Upgraded";
/// A version does not serve, and the one before is brought back.
pub const GOING_BACK: &str = "GoingBack";
/// The spec asked for something else during an upgrade.
pub const UPGRADE_OVERTAKEN: &str = "UpgradeOvertaken";
/// The app is being taken down.
pub const UNDEPLOYING: &str = "Undeploying";

// Certificate.

/// The pair is good.
pub const VALID: &str = "Valid";
/// Key and certificate do not belong together.
pub const KEY_MISMATCH: &str = "KeyMismatch";
/// The chain is incomplete or in the wrong order.
pub const CHAIN_BROKEN: &str = "ChainBroken";
/// The certificate does not cover every name.
pub const NAMES_NOT_COVERED: &str = "NamesNotCovered";
/// The certificate has expired.
pub const EXPIRED: &str = "Expired";
/// The certificate is not valid yet.
pub const NOT_YET_VALID: &str = "NotYetValid";
/// The certificate expires within `renewBefore`.
pub const EXPIRES_SOON: &str = "ExpiresSoon";
/// There is time until the certificate has to be renewed.
pub const NOT_DUE: &str = "NotDue";
/// The source cannot be read or parsed.
pub const UNREADABLE: &str = "Unreadable";
/// The Secret in which a pair would be kept is there already, and somebody else's.
pub const SECRET_NOT_OURS: &str = "SecretNotOurs";
/// A Secret holds what its file of sops says.
pub const SOPS_READ: &str = "SopsRead";
/// The file of sops that a Secret names cannot be used.
pub const SOPS_FAILED: &str = "SopsFailed";
/// Every target has the newest pair.
pub const DISTRIBUTED: &str = "Distributed";
/// Targets are being moved to a new pair.
pub const ROTATING: &str = "Rotating";
/// Every address presents it.
pub const SERVED: &str = "Served";
/// An address presents another certificate.
pub const OTHER_CERTIFICATE_SERVED: &str = "OtherCertificateServed";
/// The ACME order failed.
pub const ORDER_FAILED: &str = "OrderFailed";
/// An authority could not see that a name is ours.
pub const CHALLENGE_FAILED: &str = "ChallengeFailed";
/// An authority does not answer, or answers nonsense.
pub const AUTHORITY_UNREACHABLE: &str = "AuthorityUnreachable";
/// An authority refuses the account, or to issue for these names.
pub const AUTHORITY_REFUSES: &str = "AuthorityRefuses";
/// A port that is to be opened is in use.
pub const PORT_IN_USE: &str = "PortInUse";

// Host.

/// The engine answers.
pub const ENGINE_REACHABLE: &str = "EngineReachable";
/// The engine manages a swarm.
pub const SWARM_ACTIVE: &str = "SwarmActive";
/// The engine is in no swarm, and may not make one.
pub const SWARM_INACTIVE: &str = "SwarmInactive";
/// The engine is in a swarm, but no manager of it.
pub const NOT_A_MANAGER: &str = "NotAManager";
/// Every network exists as described.
pub const NETWORKS_READY: &str = "NetworksReady";
/// A network exists, but not as described.
pub const NETWORK_DIFFERS: &str = "NetworkDiffers";
/// A network has no addresses left.
pub const ADDRESSES_EXHAUSTED: &str = "AddressesExhausted";
/// Enough is free.
pub const ABOVE_FLOOR: &str = "AboveFloor";
/// It is another machine, and its figures cannot be seen from here.
pub const NOT_MEASURED: &str = "NotMeasured";

// Approval.

/// It names the pull request's head commit.
pub const CURRENT: &str = "Current";
/// The pull request has a new head; approve that one.
pub const HEAD_MOVED: &str = "HeadMoved";
/// It was good for one run, which has begun.
pub const USED: &str = "Used";

/// Every reason of this module.
pub const ALL: &[&str] = &[
    SUCCEEDED,
    FAILED,
    PROGRESSING,
    PROGRESSING_WITH_RETRY,
    DEPENDENCY_NOT_READY,
    SUSPENDED,
    INVALID_SPEC,
    NOT_FOUND,
    TIMED_OUT,
    CANCELLED,
    SUPERSEDED,
    LOST,
    INTERNAL_ERROR,
    UNAUTHORIZED,
    FORBIDDEN,
    UNREACHABLE,
    RATE_LIMITED,
    TLS_ERROR,
    UNSUPPORTED_VERSION,
    SCOPES_MISSING,
    SCOPES_FOUND,
    POLLED,
    FIRST_SEEN,
    WEBHOOK_SECRET_MISSING,
    NOT_A_COMMAND,
    NOT_AUTHORIZED,
    PULL_REQUEST_CLOSED,
    NOT_ENROLLED,
    BAD_COMMAND,
    EDITED,
    STILL_RUNNING,
    ALREADY_RUN,
    BRANCH_NOT_FOUND,
    NO_RECIPE,
    ACCEPTED,
    AWAITING_APPROVAL,
    APPROVED,
    DENIED,
    APPROVER_UNCONFIRMED,
    APPROVAL_VOID,
    NO_CAPACITY,
    DOMAIN_BUSY,
    BELOW_FLOOR,
    HOST_NOT_READY,
    SCHEDULED,
    FETCHED,
    FETCH_FAILED,
    COMMIT_NOT_FOUND,
    POLICY_VIOLATION,
    NAME_TOO_LONG,
    CHECKS_PASSED,
    CHECKS_FAILED,
    NO_CHECKS,
    EXPECTED_SKIP,
    NOT_BACKUP_CAPABLE,
    NO_OLDER_VERSION,
    NOT_SELECTED,
    NOT_REACHED,
    SAME_VERSION,
    HEAD_NOT_RUNNING,
    NOTHING_UPGRADED,
    BASE_UNAVAILABLE,
    BASE_NOT_FOUND,
    SEED_FAILED,
    EMPTY_BACKUP,
    HOOK_FAILED,
    BACKUP_TOO_LARGE,
    NOT_DESTROYED,
    BACKUP_DECLARED_OFF,
    DEPENDENCY_FAILED,
    INFRASTRUCTURE_FAILED,
    DATA_LOST,
    LINT_FAILED,
    TOOL_MISSING,
    ALL_PASSED,
    RUNG_FAILED,
    RUNG_UNVERIFIED,
    CLEAN,
    LEFTOVERS,
    HELD,
    REPORTED,
    NOTHING_TO_REPORT,
    CONFIGURED,
    SECRET_MISSING,
    APPLICATION_CREATED,
    APPLICATION_CHANGED,
    ORPHAN_FOUND,
    ORPHAN_REAPED,
    ORPHAN_KEPT,
    APPLICATION_REMOVED,
    APPLICATION_SECRET_UNKNOWN,
    APPLICATION_LEFT,
    DEPENDENCIES_READY,
    DEPENDENCY_CYCLE,
    DEPENDENTS_LEFT,
    SECRET_LOST,
    ROTATED,
    ROTATION_DELAYED,
    ROTATION_REFUSED,
    ROTATION_TURNED_BACK,
    PULL_SECRET_INVALID,
    NO_HOST,
    DOMAIN_TAKEN,
    STACK_NOT_OURS,
    STACK_LEFTOVERS,
    COMPOSE_INVALID,
    POLICY_REFUSED,
    CONFIG_CHANGED_WITHOUT_VERSION,
    DEPLOYED,
    DEPLOY_FAILED,
    ENGINE_WAS_AWAY,
    SPEC_NOT_KEPT,
    DEPLOYING,
    PULLING,
    PULL_TIMEOUT,
    IMAGE_NOT_FOUND,
    CONVERGED,
    CONVERGING,
    VANISHED,
    ROLLED_BACK,
    PAUSED,
    MOUNT_FAILED,
    REJECTED,
    CRASH_LOOP,
    UNHEALTHY,
    OUT_OF_MEMORY,
    UNSCHEDULABLE,
    ALLOCATOR_STUCK,
    PROGRESS_DEADLINE_EXCEEDED,
    HEALTHY,
    PROBE_FAILED,
    REACHABLE,
    PROBING,
    HTTP_STATUS,
    TLS_INVALID,
    PROXY_DOWN,
    ROUTER_MISSING,
    BACKEND_DOWN,
    DRIFTED,
    IN_SYNC,
    UPDATE_AVAILABLE,
    OUTSIDE_WINDOW,
    UP_TO_DATE,
    MAJOR_HELD,
    NOTES_HELD,
    NO_ROOM,
    SNAPSHOT_IMPOSSIBLE,
    SNAPSHOT_FAILED,
    UPGRADING,
    UPGRADE_FAILED,
    UPGRADED,
    GOING_BACK,
    UPGRADE_OVERTAKEN,
    UNDEPLOYING,
    VALID,
    KEY_MISMATCH,
    CHAIN_BROKEN,
    NAMES_NOT_COVERED,
    EXPIRED,
    NOT_YET_VALID,
    EXPIRES_SOON,
    NOT_DUE,
    UNREADABLE,
    SECRET_NOT_OURS,
    SOPS_READ,
    SOPS_FAILED,
    DISTRIBUTED,
    ROTATING,
    SERVED,
    OTHER_CERTIFICATE_SERVED,
    ORDER_FAILED,
    CHALLENGE_FAILED,
    AUTHORITY_UNREACHABLE,
    AUTHORITY_REFUSES,
    PORT_IN_USE,
    ENGINE_REACHABLE,
    SWARM_ACTIVE,
    SWARM_INACTIVE,
    NOT_A_MANAGER,
    NETWORKS_READY,
    NETWORK_DIFFERS,
    ADDRESSES_EXHAUSTED,
    ABOVE_FLOOR,
    NOT_MEASURED,
    CURRENT,
    HEAD_MOVED,
    USED,
];
