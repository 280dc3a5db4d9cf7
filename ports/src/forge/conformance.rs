//! What every forge must do, real or played.

use jiff::{SignedDuration, Timestamp};

use super::{CommitStatus, Forge, Membership, Permission, RepositoryName, Scopes, StatusState};

/// What a forge must hold for the suite: a repository with an open pull request, whose token may write to it.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The repository.
    pub repository: RepositoryName,
    /// Number of an open pull request there.
    pub pull_request: i64,
    /// An organisation, one of its members, and somebody who is none; `None` when there is no organisation.
    pub organization: Option<(String, String, String)>,
    /// Some moment before the suite began, by the forge's clock.
    pub before: Timestamp,
}

/// Runs the whole suite. It leaves one comment and one commit status behind.
///
/// # Panics
/// When the forge does something else.
pub async fn check(forge: &dyn Forge, situation: &Situation) {
    let server = forge.server().await.expect("it says its version");
    assert!(server.is_supported(), "{server:?}");
    let own = forge.account().await.expect("it says whose token it is");
    assert!(own.id > 0 && !own.login.is_empty());
    let Scopes { missing, .. } = forge.scopes().await.expect("it lets scopes be found out");
    assert_eq!(missing, Vec::<String>::new());
    comments(forge, situation, &own.login).await;
    pull_requests(forge, situation).await;
    people(forge, situation, &own.login).await;
}

async fn comments(forge: &dyn Forge, situation: &Situation, own: &str) {
    let (repository, number) = (&situation.repository, situation.pull_request);
    let written = forge.create_comment(repository, number, "first <b>words</b>").await.expect("it takes a comment");
    assert_eq!((written.author.login.as_str(), written.pull_request), (own, Some(number)));
    let list = forge.comments_since(repository, situation.before).await.expect("it lists comments");
    assert!(list.is_complete && list.server_time.is_some());
    let found = list.comments.iter().find(|comment| comment.id == written.id).expect("the comment is listed");
    assert_eq!(found.body, "first <b>words</b>");
    assert!(list.comments.is_sorted_by_key(|comment| comment.id));
    let later = found.updated_at + SignedDuration::from_hours(1);
    let none = forge.comments_since(repository, later).await.expect("it lists comments");
    assert!(none.comments.iter().all(|comment| comment.id != written.id), "what is older is not listed");
    let edited = forge.edit_comment(repository, written.id, "other words").await.expect("it edits");
    assert_eq!(edited.map(|comment| comment.body), Some("other words".to_owned()));
    let read = forge.comment(repository, written.id).await.expect("it reads").expect("it is there");
    assert_eq!((read.body.as_str(), read.created_at), ("other words", written.created_at));
    let of_it = forge.comments_of(repository, number).await.expect("it lists those of one");
    assert!(of_it.iter().any(|comment| comment.id == written.id));
    for _ in 0..2 {
        forge.react(repository, written.id, "eyes").await.expect("a reaction, and the same again");
    }
    let nowhere = i64::from(i32::MAX);
    assert_eq!(forge.comment(repository, nowhere).await.expect("no error"), None);
    assert_eq!(forge.edit_comment(repository, nowhere, "x").await.expect("no error"), None);
}

async fn pull_requests(forge: &dyn Forge, situation: &Situation) {
    let repository = &situation.repository;
    let facts = forge.repository(repository).await.expect("no error").expect("the repository is there");
    assert!(facts.may_push && !facts.is_archived);
    let nothing = RepositoryName::new(&repository.owner, "there-is-no-such-repository");
    assert_eq!(forge.repository(&nothing).await.expect("no error"), None);
    let pull = forge.pull_request(repository, situation.pull_request).await.expect("no error").expect("it is there");
    assert!(pull.is_open && pull.head_sha.len() >= 40, "{pull:?}");
    assert_eq!(forge.pull_request(repository, 999_999).await.expect("no error"), None);
    let status = CommitStatus {
        context: "conformance".to_owned(),
        state: StatusState::Pending.word().to_owned(),
        description: "It is looked at.".to_owned(),
        target_url: String::new(),
    };
    forge.set_status(repository, &pull.head_sha, &status).await.expect("it takes a status");
    let good = CommitStatus { state: StatusState::Success.word().to_owned(), ..status };
    forge.set_status(repository, &pull.head_sha, &good).await.expect("it takes another");
    let read = forge.statuses(repository, &pull.head_sha).await.expect("it lists statuses");
    let read: Vec<_> = read.iter().filter(|found| found.context == "conformance").collect();
    assert_eq!(read.iter().map(|found| found.state.as_str()).collect::<Vec<_>>(), ["success"]);
    let unknown = "1234567890123456789012345678901234567890";
    let error = forge.set_status(repository, unknown, &good).await.expect_err("there is no such commit");
    assert_eq!(error.reason, "CommitNotFound", "{error}");
    let error = forge.set_status(repository, &pull.head_sha[..10], &good).await.expect_err("no whole hash");
    assert_eq!(error.reason, "InternalError", "{error}");
    forge.tags(repository).await.expect("it lists tags");
    assert_eq!(forge.branch(repository, "there-is-no-such-branch").await.expect("no error"), None);
}

async fn people(forge: &dyn Forge, situation: &Situation, own: &str) {
    let permission = forge.permission(&situation.repository, own).await.expect("no error");
    assert!(permission.is_some_and(|permission| permission >= Permission::Write), "{permission:?}");
    let Some((organization, member, stranger)) = &situation.organization else { return };
    assert_eq!(forge.member_of(organization, member).await.expect("no error"), Membership::Member);
    assert_eq!(forge.member_of(organization, stranger).await.expect("no error"), Membership::Stranger);
}
