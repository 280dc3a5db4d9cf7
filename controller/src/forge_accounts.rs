//! Who somebody is on a forge, for the web pages: the Forges and their Secrets come from the store, the answer from the
//! forge itself.

use std::sync::Arc;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::forge::{Forge, ForgeSignIn};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ports::error::{Error, ErrorKind, chain};
use ports::forge::Forges;
use ports::forge::sign_in::{Application, Proof, authorize_url};
use ports::redact::Redactor;
use store::object::object_key;
use store::store::Store;
use webui::forges::{Departure, ForgeAccounts, ForgePerson, ForgeProblem, Return};

use crate::kinds::forge::connection::SECRETS;
use crate::runtime::outcome::sentence;

/// The Forges of a store, asked for people.
pub struct StoredForges {
    store: Store,
    forges: Arc<dyn Forges>,
    redactor: Redactor,
}

impl StoredForges {
    /// Returns the Forges of `store`, which are reached through `forges`. `redactor` learns what must not be told.
    #[must_use]
    pub fn new(store: Store, forges: Arc<dyn Forges>, redactor: Redactor) -> Self {
        Self { store, forges, redactor }
    }

    fn forge(&self, name: &str) -> Result<(Object<Forge>, ForgeSignIn), ForgeProblem> {
        let gone = || ForgeProblem::Refused("Nobody signs in with this forge any more.".to_owned());
        let stored = self.store.state().get(&Forge::resource(), name).cloned().ok_or_else(gone)?;
        let forge = Object::<Forge>::from_value(&stored.value()).map_err(|_| gone())?;
        let sign_in = forge.spec.sign_in.clone().filter(|_| !forge.spec.suspend).ok_or_else(gone)?;
        Ok((forge, sign_in))
    }

    fn application(&self, name: &str) -> Result<Application, ForgeProblem> {
        let (forge, sign_in) = self.forge(name)?;
        let reference = &sign_in.client_secret_ref;
        let stored = self.store.state().get(SECRETS, &object_key(&reference.namespace, &reference.name)).cloned();
        let value = stored.map(|stored| stored.value()).unwrap_or_default();
        let data = value["data"].as_object();
        let encoded = data.and_then(|data| match &reference.key {
            Some(key) => data.get(key),
            None if data.len() == 1 => data.values().next(),
            None => None,
        });
        let secret = encoded.and_then(|value| STANDARD.decode(value.as_str()?).ok());
        let secret = secret.and_then(|bytes| String::from_utf8(bytes).ok()).map(|text| text.trim().to_owned());
        let Some(client_secret) = secret.filter(|secret| !secret.is_empty()) else {
            let words = "The secret of the forge's OAuth application is not there: an administrator makes the Secret that \
                         spec.signIn.clientSecretRef of the Forge names.";
            return Err(ForgeProblem::Refused(words.to_owned()));
        };
        Ok(Application { url: forge.spec.url, client_id: sign_in.client_id, client_secret })
    }

    /// Strangers read it: nothing of what a Secret holds may be in it.
    fn problem(&self, error: &Error) -> ForgeProblem {
        let words = sentence(&self.redactor.text(&chain(error)));
        match error.kind {
            ErrorKind::Retryable => ForgeProblem::Away(words),
            _ => ForgeProblem::Refused(words),
        }
    }
}

impl ForgeAccounts for StoredForges {
    fn departure(&self, departure: &Departure<'_>) -> Result<String, ForgeProblem> {
        let (forge, sign_in) = self.forge(departure.forge)?;
        authorize_url(&forge.spec.url, &sign_in.client_id, departure.redirect_uri, departure.state, departure.challenge)
            .map_err(|error| self.problem(&error))
    }

    fn person(&self, back: Return) -> BoxFuture<'_, Result<ForgePerson, ForgeProblem>> {
        async move {
            let application = self.application(&back.forge)?;
            let proof = Proof { code: back.code, verifier: back.verifier, redirect_uri: back.redirect_uri };
            let person = self.forges.sign_in(&application, &proof).await.map_err(|error| {
                tracing::warn!(
                    forge = back.forge,
                    "somebody could not sign in: {}",
                    self.redactor.text(&chain(&error))
                );
                self.problem(&error)
            })?;
            Ok(ForgePerson {
                id: person.account.id,
                login: person.account.login,
                organizations: person.organizations,
                teams: person.teams,
            })
        }
        .boxed()
    }
}
