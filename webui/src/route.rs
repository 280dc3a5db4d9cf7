//! Every address of the web pages on one page.
//!
//! ```text
//! /                                            home, for those who ask for HTML; the API answers everybody else
//! /login · /logout                             signing in by token, and out
//! /login/forge/NAME[/callback]                 signing in with an account of a Forge: away to it, and back
//! /recipes · /recipes/NS/NAME                  scoreboard, one recipe
//! /runs · /runs/NS/NAME                        all runs, one run
//! /runs/NS/NAME/log[/raw|/stream]              its log: a page, plain text, as it comes
//! /runs/NS/NAME/card[.png]                     its result in one picture: a page, a PNG where a Chromium draws it
//! /runs/NS/NAME/artifacts/FILE                 a file that it left
//! /approvals/NS/NAME                           what the commit of a run changes that waits for trust
//! /queue /approvals /apps /certificates /hosts /repositories /events
//! /kinds · /kinds/KEY · /kinds/KEY/NS/NAME     any kind, its objects, one of them; NS is `_` for cluster-scoped kinds
//! /do/VERB/KEY/NS/NAME                         GET asks whether one is sure, POST does it
//! /badge/NS/RECIPE.svg|.json                   a badge
//! /live?page=PATH                              what changes on a page, as server-sent events
//! /assets/FILE                                 style, script, icon
//! ```

use apiserver::request::percent_decode;

use crate::actions::Deed;

/// Stands for the namespace of what lives in none.
pub const NO_NAMESPACE: &str = "_";
/// Paths that answer everybody.
pub const OPEN: [&str; 5] = ["/login", "/logout", "/assets/style.css", "/assets/script.js", "/assets/icon.svg"];
/// Patterns of every address, for tests that walk them all.
pub const PATTERNS: [&str; 29] = [
    "/",
    "/recipes",
    "/recipes/NS/NAME",
    "/runs",
    "/runs/NS/NAME",
    "/runs/NS/NAME/log",
    "/runs/NS/NAME/log/raw",
    "/runs/NS/NAME/log/stream",
    "/runs/NS/NAME/card",
    "/runs/NS/NAME/card.png",
    "/runs/NS/NAME/artifacts/results.json",
    "/queue",
    "/approvals",
    "/approvals/NS/NAME",
    "/apps",
    "/certificates",
    "/hosts",
    "/repositories",
    "/events",
    "/kinds",
    "/kinds/testruns.ci.coopcloud.tech",
    "/kinds/testruns.ci.coopcloud.tech/NS/NAME",
    "/kinds/hosts.ci.coopcloud.tech/_/NAME",
    "/do/cancel/testruns.ci.coopcloud.tech/NS/NAME",
    "/do/test/recipes.ci.coopcloud.tech/NS/NAME",
    "/do/delete/apps.ci.coopcloud.tech/NS/NAME",
    "/badge/NS/NAME.svg",
    "/badge/NS/NAME.json",
    "/live?page=/runs/NS/NAME",
];

/// An object's place: its namespace, empty for cluster-scoped ones, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub namespace: String,
    pub name: String,
}

impl Place {
    /// Returns the key under which the store has it.
    pub(crate) fn key(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

/// In which form a badge is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadgeForm {
    Svg,
    Json,
}

/// What an address leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Home,
    Login,
    Logout,
    /// Away to the Forge of this name.
    ForgeLogin(String),
    /// Back from it.
    ForgeReturn(String),
    Recipes,
    Recipe(Place),
    Runs,
    Run(Place),
    Log(Place),
    LogRaw(Place),
    LogStream(Place),
    Card(Place),
    CardPicture(Place),
    Artifact(Place, String),
    Queue,
    Approvals,
    Review(Place),
    Apps,
    Certificates,
    Hosts,
    Repositories,
    Events,
    Kinds,
    Kind(String),
    Object(String, Place),
    Do(Deed, String, Place),
    Badge(Place, BadgeForm),
    Live,
    Asset(String),
    /// One of our addresses that leads nowhere.
    Nothing,
}

/// First segments that are ours; the API has all others.
const OWN: [&str; 17] = [
    "login",
    "logout",
    "recipes",
    "runs",
    "queue",
    "approvals",
    "apps",
    "certificates",
    "hosts",
    "repositories",
    "events",
    "kinds",
    "do",
    "badge",
    "live",
    "assets",
    "favicon.ico",
];

impl Route {
    /// Reads a path; `None` for one that is the API's. `/` is both: ask [`wants_html`] first.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        // A page that `/live` is asked about may be called anything.
        let segments: Vec<String> = path.strip_prefix('/')?.split('/').map(percent_decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if segments == [""] {
            return Some(Self::Home);
        }
        if !OWN.contains(&segments[0]) {
            return None;
        }
        Some(Self::own(&segments).unwrap_or(Self::Nothing))
    }

    fn own(segments: &[&str]) -> Option<Self> {
        let route = match segments {
            ["login"] => Self::Login,
            ["logout"] => Self::Logout,
            ["login", "forge", forge] => Self::ForgeLogin(name(forge)?),
            ["login", "forge", forge, "callback"] => Self::ForgeReturn(name(forge)?),
            ["recipes"] => Self::Recipes,
            ["recipes", namespace, name] => Self::Recipe(place(namespace, name)?),
            ["runs"] => Self::Runs,
            ["runs", namespace, name] => Self::Run(place(namespace, name)?),
            ["runs", namespace, name, "log"] => Self::Log(place(namespace, name)?),
            ["runs", namespace, name, "log", "raw"] => Self::LogRaw(place(namespace, name)?),
            ["runs", namespace, name, "log", "stream"] => Self::LogStream(place(namespace, name)?),
            ["runs", namespace, name, "card"] => Self::Card(place(namespace, name)?),
            ["runs", namespace, name, "card.png"] => Self::CardPicture(place(namespace, name)?),
            ["runs", namespace, name, "artifacts", file] => Self::Artifact(place(namespace, name)?, (*file).to_owned()),
            ["queue"] => Self::Queue,
            ["approvals"] => Self::Approvals,
            ["approvals", namespace, name] => Self::Review(place(namespace, name)?),
            ["apps"] => Self::Apps,
            ["certificates"] => Self::Certificates,
            ["hosts"] => Self::Hosts,
            ["repositories"] => Self::Repositories,
            ["events"] => Self::Events,
            ["kinds"] => Self::Kinds,
            ["kinds", key] => Self::Kind(name(key)?),
            ["kinds", key, namespace, name_] => Self::Object(name(key)?, place(namespace, name_)?),
            ["do", deed, key, namespace, name_] => Self::Do(Deed::parse(deed)?, name(key)?, place(namespace, name_)?),
            ["badge", namespace, file] => {
                let (recipe, form) = match file.rsplit_once('.')? {
                    (recipe, "svg") => (recipe, BadgeForm::Svg),
                    (recipe, "json") => (recipe, BadgeForm::Json),
                    _ => return None,
                };
                Self::Badge(place(namespace, recipe)?, form)
            }
            ["live"] => Self::Live,
            ["assets", file] => Self::Asset((*file).to_owned()),
            ["favicon.ico"] => Self::Asset("icon.svg".to_owned()),
            _ => return None,
        };
        Some(route)
    }
}

fn place(namespace: &str, object: &str) -> Option<Place> {
    let namespace = if namespace == NO_NAMESPACE { String::new() } else { name(namespace)? };
    Some(Place { namespace, name: name(object)? })
}

/// Returns a name as it may stand in a path. Names of roles may hold colons and capitals.
fn name(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-:_".contains(&byte);
    let good = !text.is_empty() && text.len() <= 253 && text.bytes().all(fits) && !matches!(text, "." | "..");
    good.then(|| text.to_owned())
}

/// Returns whether a client asks for a page rather than for the API's list of paths.
pub(crate) fn wants_html(accept: &str) -> bool {
    accept.split(',').any(|part| part.split(';').next().is_some_and(|media| media.trim() == "text/html"))
}

/// Returns the address of an object's own page.
pub(crate) fn object_path(key: &str, namespace: &str, name: &str) -> String {
    match key {
        crate::index::RUNS => format!("/runs/{namespace}/{name}"),
        crate::index::RECIPES => format!("/recipes/{namespace}/{name}"),
        _ => kind_path(key, namespace, name),
    }
}

/// Returns the address of the generic page of an object.
pub(crate) fn kind_path(key: &str, namespace: &str, name: &str) -> String {
    let namespace = if namespace.is_empty() { NO_NAMESPACE } else { namespace };
    format!("/kinds/{key}/{namespace}/{name}")
}

/// Returns the address that asks whether one is sure.
pub(crate) fn deed_path(deed: Deed, key: &str, namespace: &str, name: &str) -> String {
    let namespace = if namespace.is_empty() { NO_NAMESPACE } else { namespace };
    format!("/do/{}/{key}/{namespace}/{name}", deed.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_api_are_left_to_it() {
        for path in ["/api", "/apis/ci.coopcloud.tech", "/openapi/v3", "/readyz", "/metrics", "/version", "/zork"] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
        assert_eq!(Route::parse("/"), Some(Route::Home));
        for text in ["", "runs", "zork", "no/runs"] {
            assert_eq!(Route::parse(text), None, "{text:?} is no path");
        }
    }

    #[test]
    fn what_is_no_name_leads_nowhere() {
        for path in ["/runs/default/..", "/runs/a%2Fb/c", "/runs//x", "/badge/default/x.png", "/do/fly/a/b/c", "/runs/"]
        {
            assert_eq!(Route::parse(path), Some(Route::Nothing), "{path}");
        }
        let place = Place { namespace: String::new(), name: "here".to_owned() };
        assert_eq!(Route::parse("/kinds/hosts.x/_/here"), Some(Route::Object("hosts.x".to_owned(), place)));
    }

    #[test]
    fn every_pattern_is_a_route_of_ours() {
        for pattern in PATTERNS {
            let path = pattern.split('?').next().unwrap_or_default();
            assert!(!matches!(Route::parse(path), None | Some(Route::Nothing)), "{pattern}");
        }
    }

    #[test]
    fn only_browsers_ask_for_html() {
        assert!(wants_html("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"));
        assert!(!wants_html("*/*"));
        assert!(!wants_html("application/json, */*"));
    }
}
