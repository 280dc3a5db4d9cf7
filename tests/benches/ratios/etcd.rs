//! etcd's side: a real server on this machine, through the etcd-client crate.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use etcd_client::{Client as EtcdClient, Compare, CompareOp, GetOptions, Txn, TxnOp, WatchOptions};

use crate::load::{self, Answer, Client, Side};
use crate::store::memory_bytes;

const PREFIX: &str = "/registry/test.example.com/widgets/default/";
/// Lists of 100 000 objects are larger than the client takes by default.
const LIST_BYTES_MAX: usize = 512 << 20;
/// More than any row needs; etcd refuses writes beyond it instead of filling the disk.
const QUOTA_BYTES: &str = "3221225472";

pub(crate) struct Etcd {
    server: Child,
    url: String,
    client: EtcdClient,
}

impl Etcd {
    /// Starts a server on free ports and waits until it answers.
    pub(crate) async fn start(program: &Path, dir: &Path) -> anyhow::Result<Self> {
        let (client_port, peer_port) = (free_port()?, free_port()?);
        let (client_url, peer_url) =
            (format!("http://127.0.0.1:{client_port}"), format!("http://127.0.0.1:{peer_port}"));
        let server = Command::new(program)
            .arg("--data-dir")
            .arg(dir)
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("default={peer_url}")])
            .args(["--quota-backend-bytes", QUOTA_BYTES])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let started = Instant::now();
        loop {
            if let Ok(mut client) = EtcdClient::connect([client_url.as_str()], None).await
                && client.get("ready", None).await.is_ok()
            {
                return Ok(Self { server, url: client_url, client });
            }
            anyhow::ensure!(started.elapsed() < Duration::from_secs(30), "etcd does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Opens a connection of its own for each of `clients` clients.
    pub(crate) async fn separate(&self, clients: usize) -> anyhow::Result<Vec<Box<dyn Client>>> {
        let mut separate: Vec<Box<dyn Client>> = Vec::new();
        for _ in 0..clients {
            let client = EtcdClient::connect([self.url.as_str()], None).await?;
            separate.push(Box::new(EtcdBenchClient { client }));
        }
        Ok(separate)
    }

    pub(crate) fn memory_bytes(&self) -> anyhow::Result<u64> {
        memory_bytes(self.server.id())
    }

    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.server.kill()?;
        self.server.wait()?;
        Ok(())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.kill();
    }
}

impl Side for Etcd {
    fn client(&self) -> Box<dyn Client> {
        Box::new(EtcdBenchClient { client: self.client.clone() })
    }

    fn list(&self, count: usize) -> Answer<'_, usize> {
        Box::pin(async move {
            let options = GetOptions::new().with_prefix().with_limit(i64::try_from(count)?);
            let mut client = self.client.kv_client().max_decoding_message_size(LIST_BYTES_MAX);
            let response = client.get(PREFIX, Some(options)).await?;
            Ok(response.kvs().iter().map(|pair| pair.value().len()).sum())
        })
    }
}

struct EtcdBenchClient {
    client: EtcdClient,
}

impl Client for EtcdBenchClient {
    fn create(&mut self, name: String, bytes: usize) -> Answer<'_, ()> {
        Box::pin(async move {
            let key = format!("{PREFIX}{name}");
            let absent = Compare::mod_revision(key.as_str(), CompareOp::Equal, 0);
            let put = TxnOp::put(key.as_str(), load::text(bytes), None);
            let response = self.client.txn(Txn::new().when([absent]).and_then([put])).await?;
            anyhow::ensure!(response.succeeded(), "{name} was there already");
            Ok(())
        })
    }

    fn get(&mut self, name: String) -> Answer<'_, ()> {
        Box::pin(async move {
            let response = self.client.get(format!("{PREFIX}{name}"), None).await?;
            anyhow::ensure!(response.kvs().len() == 1, "{name} is missing");
            Ok(())
        })
    }

    fn watch(&mut self, seen: Arc<dyn Fn() + Send + Sync>) -> Answer<'_, Box<dyn Send>> {
        Box::pin(async move {
            let mut stream = self.client.watch(PREFIX, Some(WatchOptions::new().with_prefix())).await?;
            let task = tokio::spawn(async move {
                while let Ok(Some(response)) = stream.message().await {
                    for _ in response.events() {
                        seen();
                    }
                }
            });
            Ok(Box::new(load::Abort(task)) as Box<dyn Send>)
        })
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
