//! What a forge delivers to a webhook.

use aws_lc_rs::hmac;
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
        let body = serde_json::to_vec_pretty(&payload).expect("JSON can be written");
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = hex(hmac::sign(&key, &body).as_ref());
        let delivery = format!("{:08x}-0000-4000-8000-{:012x}", self.number(), comment);
        let names: &[&str] =
            if self.version.contains("+gitea-") { &["Forgejo", "Gitea", "Gogs"] } else { &["Gitea", "Gogs"] };
        let kind = if is_pull { "pull_request_comment" } else { "issue_comment" };
        let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        for name in names {
            headers.push((format!("X-{name}-Delivery"), delivery.clone()));
            headers.push((format!("X-{name}-Event"), "issue_comment".to_owned()));
            headers.push((format!("X-{name}-Event-Type"), kind.to_owned()));
            headers.push((format!("X-{name}-Signature"), signature.clone()));
        }
        headers.push(("X-Hub-Signature-256".to_owned(), format!("sha256={signature}")));
        Some(Delivery { url, headers, body })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
