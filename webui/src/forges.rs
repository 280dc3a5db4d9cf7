//! Signing in with the account of a forge: what the pages ask of the world, and what they know of it themselves.

use api_types::kind::{Kind as _, Object as Typed};
use api_types::kinds::forge::Forge;
use futures::future::BoxFuture;
use store::state::State;

use crate::session::ForgeAccount;

/// Most groups that a session carries: they travel in a cookie.
pub(crate) const GROUPS_MAX: usize = 32;
/// Most groups of which somebody without a role is told.
const GROUPS_TOLD_MAX: usize = 12;

/// What a browser takes along to the forge, and must be met when it comes back.
#[derive(Clone, Debug)]
pub struct Departure<'a> {
    /// Name of the Forge.
    pub forge: &'a str,
    /// Where the browser comes back to.
    pub redirect_uri: &'a str,
    /// Comes back with the browser as it is.
    pub state: &'a str,
    /// SHA-256 of the verifier, in URL-safe base64.
    pub challenge: &'a str,
}

/// What a browser came back with.
#[derive(Clone)]
pub struct Return {
    /// Name of the Forge.
    pub forge: String,
    /// The forge's code.
    pub code: String,
    /// The text whose SHA-256 the browser took along.
    pub verifier: String,
    /// Where the browser was to come back to.
    pub redirect_uri: String,
}

/// Somebody, as the forge said it to us and not to the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgePerson {
    /// Number of the account, which outlives a change of the name.
    pub id: i64,
    /// Name of the account.
    pub login: String,
    /// Organisations that they belong to.
    pub organizations: Vec<String>,
    /// Teams that they belong to: organisation, team.
    pub teams: Vec<(String, String)>,
}

/// Why somebody could not be signed in; sentences for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForgeProblem {
    /// The forge does not let it through, or what is configured is wrong.
    Refused(String),
    /// The forge does not answer, or not so that it could be understood.
    Away(String),
}

/// Asks forges who somebody is.
pub trait ForgeAccounts: Send + Sync {
    /// Returns where a browser is sent.
    ///
    /// # Errors
    /// The Forge is gone, or its URL is none.
    fn departure(&self, departure: &Departure<'_>) -> Result<String, ForgeProblem>;

    /// Asks the forge who came back.
    ///
    /// # Errors
    /// As [`ForgeProblem`] says.
    fn person(&self, back: Return) -> BoxFuture<'_, Result<ForgePerson, ForgeProblem>>;
}

/// A Forge with which people sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    pub name: String,
    pub uid: String,
    /// What people know it by: its host.
    pub host: String,
}

/// Returns the Forges with which people sign in, in order of their names.
pub(crate) fn doors(state: &State) -> Vec<Door> {
    let forges = state.objects_from(&Forge::resource(), "");
    forges.filter_map(|object| door_of(&object.json(), object.name(), object.uid())).collect()
}

/// Returns the Forge of this name, when people sign in with it.
pub(crate) fn door(state: &State, name: &str) -> Option<Door> {
    let object = state.get(&Forge::resource(), name)?;
    door_of(&object.json(), object.name(), object.uid())
}

fn door_of(json: &[u8], name: &str, uid: &str) -> Option<Door> {
    let forge: Typed<Forge> = serde_json::from_slice(json).ok()?;
    let is_open = forge.spec.sign_in.is_some() && !forge.spec.suspend && forge.metadata.deletion_timestamp.is_none();
    let rest = forge.spec.url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    is_open.then(|| Door { name: name.to_owned(), uid: uid.to_owned(), host })
}

/// Returns the account of somebody on a forge with all its groups; `None` when the forge calls them something that no
/// account is called.
pub(crate) fn account(door: &Door, person: &ForgePerson) -> Option<ForgeAccount> {
    let login = word(&person.login)?;
    let mut groups: Vec<String> = Vec::new();
    groups.extend(person.organizations.iter().filter_map(|name| Some(format!("forge:{}:{}", door.name, word(name)?))));
    groups.extend(person.teams.iter().filter_map(|(organization, team)| {
        Some(format!("forge:{}:{}/{}", door.name, word(organization)?, word(team)?))
    }));
    groups.sort();
    groups.dedup();
    Some(ForgeAccount { forge: door.name.clone(), forge_uid: door.uid.clone(), id: person.id, login, groups })
}

/// Forges do not mind the case of names, and bindings do: small letters stand for all.
fn word(name: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let good = !name.is_empty() && name.len() <= 255 && name.bytes().all(fits);
    good.then(|| name.to_ascii_lowercase())
}

/// Says what somebody without a role can do about it.
pub(crate) fn without_role(account: &ForgeAccount) -> String {
    let user = account.user_name();
    let Some(first) = account.groups.first() else {
        return format!(
            "You are {user} and in no organisation there, and no role is bound to you. An administrator lets you in \
             with: kubectl create clusterrolebinding NAME --clusterrole=view --user={user}"
        );
    };
    let told: Vec<&str> = account.groups.iter().take(GROUPS_TOLD_MAX).map(String::as_str).collect();
    let more = account.groups.len().saturating_sub(told.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "You are {user}, and no role is bound to you or to one of your groups: {}{more}. An administrator lets a group \
         in with: kubectl create clusterrolebinding NAME --clusterrole=edit --group={first}",
        told.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        Door { name: "system".to_owned(), uid: "u".to_owned(), host: "git.example.org".to_owned() }
    }

    fn person(login: &str, organizations: &[&str], teams: &[(&str, &str)]) -> ForgePerson {
        ForgePerson {
            id: 7,
            login: login.to_owned(),
            organizations: organizations.iter().map(|name| (*name).to_owned()).collect(),
            teams: teams.iter().map(|(of, team)| ((*of).to_owned(), (*team).to_owned())).collect(),
        }
    }

    #[test]
    fn no_name_on_a_forge_makes_a_group_of_ours() {
        let account =
            account(&door(), &person("Ada", &["Masters", "a:b", "x/y", "", "\u{202e}co"], &[("Coop", "Owners")]));
        let account = account.unwrap();
        assert_eq!(account.user_name(), "forge:system:ada");
        assert_eq!(account.groups, ["forge:system:coop/owners", "forge:system:masters"]);
    }

    #[test]
    fn whoever_has_a_name_that_is_none_does_not_get_in() {
        for login in ["", "a b", "a/b", "<script>", "a:b", "ad\u{430}"] {
            assert_eq!(account(&door(), &person(login, &[], &[])), None, "{login:?}");
        }
    }
}
