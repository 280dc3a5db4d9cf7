//! What a forge delivers to a webhook.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use serde_json::json;

use super::world::World;

/// One delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where to.
    pub url: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body, byte for byte as it is signed.
    pub body: Vec<u8>,
}

impl World {
    /// Returns what is delivered of a comment that was `created`, `edited` or `deleted`; `None` without a hook.
    #[must_use]
    pub fn delivery(&mut self, comment: i64, action: &str) -> Option<Delivery> {
        let stored = self.comments.iter().find(|found| found.id == comment)?.clone();
        let repository = self.repositories.iter().find(|found| found.id == stored.repository)?.clone();
        let (url, secret) = repository.hook.clone()?;
        let is_pull = repository.pulls.contains_key(&stored.number);
        let payload = json!({
            "action": action,
            "issue": {"number": stored.number},
            "comment": self.comment_json(&stored),
            "repository": self.repository_json(&repository, ""),
            "sender": self.account_json(&stored.author),
            "is_pull": is_pull,
        });
        let kind = if is_pull { "pull_request_comment" } else { "issue_comment" };
        let id = format!("{:08x}-0000-4000-8000-{comment:012x}", self.number());
        Some(self.signed(url, &secret, &payload, &id, ("issue_comment", kind)))
    }

    /// Returns what is delivered of a push to `refs/heads/BRANCH` or `refs/tags/TAG`; `None` without a hook.
    #[must_use]
    pub fn push_delivery(&mut self, full_name: &str, reference: &str, commit: &str) -> Option<Delivery> {
        let repository = self.find(full_name)?.clone();
        let (url, secret) = repository.hook.clone()?;
        let payload = json!({
            "ref": reference, "before": "0000000000000000000000000000000000000000", "after": commit, "commits": [],
            "repository": self.repository_json(&repository, ""),
            "pusher": self.account_json(&repository.owner), "sender": self.account_json(&repository.owner),
        });
        let id = format!("{:08x}-0000-4000-8000-000000000000", self.number());
        Some(self.signed(url, &secret, &payload, &id, ("push", "push")))
    }

    fn signed(
        &self,
        url: String,
        secret: &str,
        payload: &serde_json::Value,
        id: &str,
        (event, kind): (&str, &str),
    ) -> Delivery {
        let body = serde_json::to_vec_pretty(payload).expect("JSON can be written");
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = HEXLOWER.encode(hmac::sign(&key, &body).as_ref());
        let names: &[&str] =
            if self.version.contains("+gitea-") { &["Forgejo", "Gitea", "Gogs"] } else { &["Gitea", "Gogs"] };
        let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        for name in names {
            headers.push((format!("X-{name}-Delivery"), id.to_owned()));
            headers.push((format!("X-{name}-Event"), event.to_owned()));
            headers.push((format!("X-{name}-Event-Type"), kind.to_owned()));
            headers.push((format!("X-{name}-Signature"), signature.clone()));
        }
        headers.push(("X-Hub-Signature-256".to_owned(), format!("sha256={signature}")));
        Delivery { url, headers, body }
    }
}

impl Delivery {
    /// Delivers it, and returns the status of the answer.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn send(&self) -> Result<u16, reqwest::Error> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut request = client.post(&self.url).body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        Ok(request.send().await?.status().as_u16())
    }
}
