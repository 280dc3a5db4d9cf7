//! OAuth2 applications of the played forge, with the trap of the real ones: every change makes another secret, and whatever
//! a change leaves out becomes false.

use serde_json::{Value, json};

use super::routes::{FakeReply, FakeRequest, Handled, refuse};
use super::world::World;

/// An application that somebody registered through the API.
#[derive(Clone, Debug)]
pub(super) struct StoredApplication {
    id: i64,
    owner: String,
    name: String,
    client_id: String,
    redirect_uris: Vec<String>,
    is_confidential: bool,
}

impl StoredApplication {
    /// Returns how it is shown; its secret only when it was made just now.
    fn json(&self, secret: &str) -> Value {
        json!({
            "id": self.id, "name": self.name, "client_id": self.client_id, "client_secret": secret,
            "confidential_client": self.is_confidential, "redirect_uris": self.redirect_uris,
            "created": "2026-01-01T00:00:00Z",
        })
    }
}

fn redirect_uris(request: &FakeRequest) -> Vec<String> {
    let uris = request.body["redirect_uris"].as_array().into_iter().flatten();
    uris.filter_map(|uri| uri.as_str().map(str::to_owned)).collect()
}

impl World {
    /// Registers an application of somebody's, as they would in the browser, and returns its client ID.
    pub fn oauth_application(&mut self, owner: &str, name: &str, redirect_uri: &str) -> String {
        self.user(owner);
        let application = StoredApplication {
            id: self.number(),
            owner: owner.to_owned(),
            name: name.to_owned(),
            client_id: String::new(),
            redirect_uris: vec![redirect_uri.to_owned()],
            is_confidential: true,
        };
        self.register(application).0.client_id
    }

    /// Returns names, client IDs and redirect URIs of all applications that were registered, oldest first.
    #[must_use]
    pub fn oauth_applications(&self) -> Vec<(String, String, Vec<String>)> {
        let all = self.applications.iter();
        all.map(|found| (found.name.clone(), found.client_id.clone(), found.redirect_uris.clone())).collect()
    }

    /// Removes an application, as its owner would in the browser.
    pub fn remove_oauth_application(&mut self, client_id: &str) {
        self.applications.retain(|known| known.client_id != client_id);
        self.forget_application(client_id);
    }

    /// Keeps an application, with a new secret.
    fn register(&mut self, mut application: StoredApplication) -> (StoredApplication, String) {
        if application.client_id.is_empty() {
            application.client_id = format!("00000000-0000-4000-8000-{:012}", application.id);
        }
        let secret = format!("gto_{:040}", self.number());
        self.know_application(&application.client_id, &secret, &application.redirect_uris, application.is_confidential);
        self.applications.retain(|known| known.id != application.id);
        self.applications.push(application.clone());
        self.applications.sort_by_key(|known| known.id);
        (application, secret)
    }

    pub(super) fn applications_route(&mut self, request: &FakeRequest, login: &str, path: &[&str]) -> Handled {
        match (request.method.as_str(), path) {
            ("GET", []) => {
                let own = self.applications.iter().filter(|found| found.owner == login);
                Ok(self.page(request, own.map(|found| found.json("")).collect()))
            }
            ("POST", []) => {
                if request.text("name").is_empty() {
                    return refuse(422, "[Name]: Required");
                }
                let application = StoredApplication {
                    id: self.number(),
                    owner: login.to_owned(),
                    name: request.text("name"),
                    client_id: String::new(),
                    redirect_uris: redirect_uris(request),
                    is_confidential: request.body["confidential_client"] == true,
                };
                let (application, secret) = self.register(application);
                Ok(FakeReply::json(201, &application.json(&secret)))
            }
            (method, [id]) => {
                let id: i64 = id.parse().unwrap_or_default();
                let known = self.applications.iter().find(|found| found.id == id && found.owner == login).cloned();
                let Some(known) = known else { return refuse(404, "The target couldn't be found.") };
                match method {
                    "PATCH" => {
                        let changed = StoredApplication {
                            name: request.text("name"),
                            redirect_uris: redirect_uris(request),
                            is_confidential: request.body["confidential_client"] == true,
                            ..known
                        };
                        let (changed, secret) = self.register(changed);
                        Ok(FakeReply::json(200, &changed.json(&secret)))
                    }
                    "DELETE" => {
                        self.applications.retain(|found| found.id != id);
                        self.forget_application(&known.client_id);
                        Ok(FakeReply::empty(204))
                    }
                    _ => Ok(FakeReply::json(200, &known.json(""))),
                }
            }
            _ => refuse(404, "Not Found"),
        }
    }
}
