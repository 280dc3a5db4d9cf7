//! Whose commands count. Pure: which question comes next, and what the answers come to.
//!
//! | the forge says of a member of `organization` | what counts |
//! |---|---|
//! | yes | allowed |
//! | no, to somebody who would be told | refused |
//! | nothing: ccd's account is no member itself | whether they are a public member, and, if the organisation owns the repository, whether they may write to it |
//! | nothing at all | refused, with what to change |
//!
//! With `team`, only members of the team count. Who stands in `users` counts in any case. An answer that does not come
//! is no answer: the question is asked again later.

use api_types::kinds::repository::Authorize;
use ports::error::Error;
use ports::forge::{Account, Forge, Membership, Permission, RepositoryName};

/// What the forge said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Whether they belong to the organisation.
    pub organization: Option<Membership>,
    /// Whether they belong to the team.
    pub team: Option<Membership>,
    /// What they may do with the repository; `Some(None)` when that is not told.
    pub permission: Option<Option<Permission>>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask whether they belong to the organisation.
    AskOrganization(String),
    /// Ask whether they belong to the team.
    AskTeam(String, String),
    /// Ask what they may do with the repository.
    AskPermission,
    /// Their command counts, for this reason.
    Allowed(String),
    /// It does not, for this reason.
    Refused(String),
}

/// Returns what is to be done next.
#[must_use]
pub fn step(rule: &Authorize, repository: &RepositoryName, account: &Account, answers: &Answers) -> Step {
    let login = &account.login;
    if is_nobody(account) {
        return Step::Refused("Accounts that nobody logs in to give no commands.".to_owned());
    }
    if rule.users.iter().any(|user| user.eq_ignore_ascii_case(login)) {
        return Step::Allowed(format!("{login} is one of authorize.users."));
    }
    let Some(organization) = &rule.organization else {
        return Step::Refused(format!("{login} is none of authorize.users."));
    };
    if let Some(team) = &rule.team {
        return match answers.team {
            None => Step::AskTeam(organization.clone(), team.clone()),
            Some(Membership::Member) => Step::Allowed(format!("{login} belongs to the team {team} of {organization}.")),
            Some(Membership::Stranger) => {
                Step::Refused(format!("{login} does not belong to the team {team} of {organization}."))
            }
            Some(Membership::Hidden) => Step::Refused(format!(
                "ccd's account is not shown who belongs to the team {team} of {organization}: make it a member of the \
                 organisation, or name people in authorize.users."
            )),
        };
    }
    match answers.organization {
        None => Step::AskOrganization(organization.clone()),
        Some(Membership::Member) => Step::Allowed(format!("{login} is a member of {organization}.")),
        Some(Membership::Stranger) => Step::Refused(format!("{login} is no member of {organization}.")),
        Some(Membership::Hidden) if !organization.eq_ignore_ascii_case(&repository.owner) => hidden(organization),
        Some(Membership::Hidden) => match answers.permission {
            None => Step::AskPermission,
            Some(Some(permission)) if permission >= Permission::Write => {
                Step::Allowed(format!("{login} may write to {repository}, which {organization} owns."))
            }
            Some(Some(_)) => Step::Refused(format!(
                "{login} is no public member of {organization} and may not write to {repository}."
            )),
            Some(None) => hidden(organization),
        },
    }
}

/// Returns whether an account is none of a person's: the forge's own ones have no number above zero.
#[must_use]
pub fn is_nobody(account: &Account) -> bool {
    account.id <= 0 || account.login.is_empty() || account.login.to_ascii_lowercase().ends_with("[bot]")
}

fn hidden(organization: &str) -> Step {
    Step::Refused(format!(
        "ccd's account is not shown who belongs to {organization}: make it a member of the organisation, or name people \
         in authorize.users."
    ))
}

/// Asks whether somebody may still give commands: whether any of these rules lets them. `Ok` is why they may, `Err` within
/// it why they may not.
///
/// # Errors
/// The forge gave no answer: nothing is decided.
pub async fn authorize_any(
    forge: &dyn Forge,
    rules: impl Iterator<Item = &Authorize>,
    repository: &RepositoryName,
    login: &str,
) -> Result<Result<String, String>, Error> {
    // Somebody wrote a comment with this name, so it was somebody's.
    let account = Account { id: i64::MAX, login: login.to_owned() };
    let mut last = "No trigger on Comment says whose commands count.".to_owned();
    for rule in rules {
        match authorize(forge, rule, repository, &account).await? {
            Ok(why) => return Ok(Ok(why)),
            Err(why) => last = why,
        }
    }
    Ok(Err(last))
}

/// Asks until it is clear. `Ok` is why they may, `Err` within it why they may not.
///
/// # Errors
/// The forge gave no answer: nothing is decided.
pub async fn authorize(
    forge: &dyn Forge,
    rule: &Authorize,
    repository: &RepositoryName,
    account: &Account,
) -> Result<Result<String, String>, Error> {
    let mut answers = Answers::default();
    loop {
        match step(rule, repository, account, &answers) {
            Step::Allowed(why) => return Ok(Ok(why)),
            Step::Refused(why) => return Ok(Err(why)),
            Step::AskOrganization(organization) => {
                answers.organization = Some(forge.member_of(&organization, &account.login).await?);
            }
            Step::AskTeam(organization, team) => {
                answers.team = Some(forge.team_member(&organization, &team, &account.login).await?);
            }
            Step::AskPermission => answers.permission = Some(forge.permission(repository, &account.login).await?),
        }
    }
}
