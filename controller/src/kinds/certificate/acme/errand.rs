//! Errands: what takes time, beside the passes; and the Secrets that keys are kept in.

use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::acme::{Acme, AcmeChallenge};
use api_types::kinds::certificate::Certificate;
use api_types::reason;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::acme::key::certificate_key;
use ports::acme::solve::{Answers, Change, Record, Writer};
use ports::acme::{Account, AccountKey, Authority, signing_request};
use serde_json::{Value, json};

use super::super::{Certificates, kept, key_of};
use super::observe::{authority, binding, read_account_key, writer};
use super::{Before, CLEANUP_FAILED, Errand, KEY, Renews, Told, account_key, errand_id, next_key, state_of};
use crate::outside::Outside;
use crate::runtime::events::EventKind;
use crate::runtime::objects::ObjectKey;
use crate::runtime::objects::besides::{put, remove};
use crate::runtime::outcome::Failure;

/// How long a talk with an authority may take.
const TALK_TIME_MAX: Duration = Duration::from_mins(3);
/// How long all records of an order may take; each program has a time of its own.
const WRITE_TIME_MAX: Duration = Duration::from_hours(1);
/// So many steps back errands may still be remembered.
const STEPS_BACK: i64 = 4;

/// What an errand takes along.
struct Bag {
    outside: Outside,
    authority: Authority,
    account: Option<Account>,
}

impl Bag {
    fn account(&self) -> Result<&Account, Failure> {
        self.account.as_ref().ok_or_else(|| Failure::outdated("the account is not known any more"))
    }
}

impl Certificates {
    /// Makes the key of an account, unless somebody was faster.
    pub(in super::super) async fn make_account_key(
        &self,
        certificate: &Object<Certificate>,
        spec: &Acme,
        before: Before,
    ) -> Result<(), Failure> {
        let key = account_key(&certificate.metadata.namespace, spec);
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": key.name(),
                "namespace": key.namespace(),
                "annotations": {"ci.coopcloud.tech/acme-directory": spec.directory},
            },
            "type": "Opaque",
            "data": {(KEY): STANDARD.encode(AccountKey::generate()?.to_pem())},
        });
        self.create_secret(&key, secret).await?;
        if before == Before::Lost {
            let message = format!(
                "The Secret {} with the key of the account was deleted: a new account is made with a new key.",
                key.name()
            );
            self.record(certificate, EventKind::Warning, reason::SECRET_MISSING, &message);
        }
        Ok(())
    }

    /// Makes the key of a new pair, before anybody hears of it.
    pub(in super::super) async fn make_next_key(&self, certificate: &Object<Certificate>) -> Result<(), Failure> {
        let key = next_key(certificate);
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": key.name(), "namespace": key.namespace(),
                "ownerReferences": [kept::owner(certificate)],
            },
            "type": "Opaque",
            "data": {(KEY): STANDARD.encode(certificate_key()?)},
        });
        self.create_secret(&key, secret).await
    }

    async fn create_secret(&self, key: &ObjectKey, secret: Value) -> Result<(), Failure> {
        put(&*self.objects, &self.cache, key, None, secret, "the Secret of a key").await
    }

    /// Removes the key of a pair that is in use by now.
    pub(in super::super) async fn drop_next_key(&self, certificate: &Object<Certificate>) -> Result<(), Failure> {
        let key = next_key(certificate);
        let found = self.cache.get(&key).filter(|stored| kept::is_of(stored, &certificate.metadata.name));
        let Some(found) = found else { return Ok(()) };
        Ok(remove(&*self.objects, &key, &found.metadata.uid).await?)
    }

    /// Answers over HTTP from now on.
    pub(in super::super) fn answer(
        &self,
        certificate: &Object<Certificate>,
        port: u16,
        answers: &Answers,
    ) -> Result<(), Failure> {
        Ok(self.outside.solver.answer(&certificate.metadata.uid, port, answers)?)
    }

    /// Starts an errand under the number of its step.
    pub(in super::super) fn run_errand(
        &self,
        certificate: &Object<Certificate>,
        step: i64,
        errand: Errand,
    ) -> Result<(), Failure> {
        let (uid, spec) = (&certificate.metadata.uid, certificate.spec.source.acme.clone().unwrap_or_default());
        for back in 1..=STEPS_BACK {
            self.outside.operations.forget(&errand_id(uid, step - back));
        }
        if let Errand::Look(_) = &errand {
            let now = self.outside.clock.now();
            self.with_memory(certificate, |memory| memory.looked_at = Some(now));
        }
        if let Errand::Order(..) = &errand {
            let mut orders = self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            orders.entry(spec.directory.clone()).or_default().push(self.outside.clock.now());
        }
        let limit = match &errand {
            Errand::Publish(_) | Errand::CleanUp(_) => WRITE_TIME_MAX,
            _ => TALK_TIME_MAX,
        };
        let operations = self.outside.operations.clone();
        let work = self.prepared(certificate, &spec, errand)?;
        operations.start(&errand_id(uid, step), &key_of(certificate), limit, async move {
            let told = work.await?;
            serde_json::to_value(told).map_err(|error| Failure::bug(format!("an answer cannot be kept: {error}")))
        });
        Ok(())
    }

    /// Takes everything along that an errand needs.
    fn prepared(
        &self,
        certificate: &Object<Certificate>,
        spec: &Acme,
        errand: Errand,
    ) -> Result<futures::future::BoxFuture<'static, Result<Told, Failure>>, Failure> {
        let namespace = &certificate.metadata.namespace;
        let key = read_account_key(&self.cache, &account_key(namespace, spec), spec).and_then(Result::ok);
        let state = state_of(certificate);
        let account = state.account.zip(key.clone()).map(|(account, key)| Account { key, url: account.url });
        let bag = Bag { outside: self.outside.clone(), authority: authority(spec), account };
        let in_use = kept::read(&self.cache, certificate).pair().map(ports::certificate::Pair::leaf_der);
        Ok(match errand {
            Errand::Register => {
                let key = key.ok_or_else(|| Failure::outdated("the account's key is gone"))?;
                let bound = binding(&self.cache, namespace, spec)
                    .map_err(|(reason, message)| Failure::terminal(reason, message))?;
                let email = spec.email.clone();
                Box::pin(async move {
                    let acme = bag.outside.acme.clone();
                    let url = acme.register(&bag.authority, &key, email.as_deref(), bound.as_ref()).await?;
                    Ok(Told::Account(url, key.fingerprint()))
                })
            }
            Errand::Publish(challenges) => {
                let records = self.records(namespace, &challenges)?;
                Box::pin(async move {
                    for (writer, record) in &records {
                        bag.outside.solver.write(writer, Change::Present, record).await?;
                    }
                    Ok(Told::Published)
                })
            }
            Errand::CleanUp(challenges) => {
                let records = self.records(namespace, &challenges);
                Box::pin(async move { clean_up(&bag, records).await })
            }
            Errand::Finalize(order, names) => {
                let key = self.cache.get(&next_key(certificate)).and_then(|stored| kept::value(&stored, KEY));
                let key = key.ok_or_else(|| Failure::outdated("the key of the new pair is gone"))?;
                let request = signing_request(&String::from_utf8_lossy(&key), &names)?;
                Box::pin(async move {
                    bag.outside.acme.finalize(&bag.authority, bag.account()?, &order, &request).await?;
                    Ok(Told::Finalized)
                })
            }
            errand => Box::pin(async move { talk(&bag, errand, in_use).await }),
        })
    }

    /// Returns which records challenges are, and who writes each.
    fn records(&self, namespace: &str, challenges: &[AcmeChallenge]) -> Result<Vec<(Writer, Record)>, Failure> {
        let of = |one: &AcmeChallenge| {
            let dns = one.dns01.clone().unwrap_or_default();
            let writer = writer(&self.cache, namespace, &dns)
                .map_err(|(_, message)| Failure::retryable(reason::HOOK_FAILED, message))?;
            let domain = one.dns_name.trim_start_matches("*.").to_owned();
            Ok((writer, Record { domain, name: one.asked.clone(), value: one.answer.clone() }))
        };
        challenges.iter().map(of).collect()
    }
}

/// Takes every record back, also when one fails.
async fn clean_up(bag: &Bag, records: Result<Vec<(Writer, Record)>, Failure>) -> Result<Told, Failure> {
    let failed = |message: String| Failure::retryable(CLEANUP_FAILED, message);
    let records = records.map_err(|failure| failed(failure.message))?;
    let mut last = None;
    for (writer, record) in &records {
        if let Err(error) = bag.outside.solver.write(writer, Change::Cleanup, record).await {
            last = Some(failed(ports::error::chain(&error)));
        }
    }
    last.map_or(Ok(Told::CleanedUp), Err)
}

/// Talks with an authority about an order.
async fn talk(bag: &Bag, errand: Errand, in_use: Option<Vec<u8>>) -> Result<Told, Failure> {
    let (acme, authority, account) = (&bag.outside.acme, &bag.authority, bag.account()?);
    Ok(match errand {
        Errand::Order(names, renews) => {
            let replaces = in_use.as_deref().filter(|_| renews == Renews::Yes);
            Told::Order(acme.order(authority, account, &names, replaces).await?)
        }
        Errand::Look(order) => Told::Seen(acme.look(authority, account, &order).await?),
        Errand::Answer(order, challenges) => {
            acme.answer(authority, account, &order, &challenges).await?;
            Told::Answered
        }
        Errand::Fetch(order) => Told::Chain(acme.fetch(authority, account, &order).await?),
        Errand::AskRenewal => {
            let certificate = in_use.ok_or_else(|| Failure::outdated("no pair is in use any more"))?;
            Told::Renewal(acme.renewal(authority, account, &certificate).await?)
        }
        Errand::Register | Errand::Publish(_) | Errand::CleanUp(_) | Errand::Finalize(..) => {
            return Err(Failure::bug("an errand that is no talk was to be one"));
        }
    })
}
