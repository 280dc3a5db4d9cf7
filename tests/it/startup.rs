//! How `ccctl` starts: what it asks the server before it does what it was asked to, and what that costs.
//!
//! Time on a busy machine proves nothing, so requests are counted and processor time is measured, with a bound for a
//! debug build. `make bench` shows the time of a release build (goal: 30 ms).

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tests::daemon::program;
use tests::server::{ServerOptions, TestServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const STARTS: u32 = 20;
/// Processor time of one start with a connection over TLS. A debug build takes about 40 ms: half of it is what the
/// cryptography library takes to trust its randomness, which no optimisation makes faster.
const PROCESSOR_TIME_MAX: Duration = Duration::from_millis(120);

/// Stands between client and server and notes each request and each connection.
#[derive(Clone, Default)]
struct Relay {
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Relay {
    async fn listen(&self, server: std::net::SocketAddr) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let relay = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                *relay.connections.lock().unwrap() += 1;
                tokio::spawn(relay.clone().carry(client, server));
            }
        });
        address
    }

    async fn carry(self, client: TcpStream, server: std::net::SocketAddr) {
        let server = TcpStream::connect(server).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = from_client.read(&mut buffer).await {
            if count == 0 || to_server.write_all(&buffer[..count]).await.is_err() {
                break;
            }
            // Requests without a body are one packet each on this machine.
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            let heads = text.lines().filter_map(|line| line.strip_suffix(" HTTP/1.1"));
            self.requests.lock().unwrap().extend(heads.map(str::to_owned));
        }
        back.abort();
    }

    fn take(&self) -> (Vec<String>, usize) {
        (std::mem::take(&mut *self.requests.lock().unwrap()), std::mem::take(&mut *self.connections.lock().unwrap()))
    }
}

async fn start() -> TestServer {
    TestServer::start(ServerOptions::default()).await.unwrap()
}

async fn ccctl(home: &Path, words: &[&str]) -> String {
    let mut command = Command::new(program("ccctl"));
    command.args(words).env_clear().env("HOME", home).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("ccctl runs");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_asks_only_for_what_it_was_asked_for() {
    let server = start().await;
    let (relay, home) = (Relay::default(), tempfile::tempdir().unwrap());
    let url = format!("http://{}", relay.listen(server.address).await);
    let connection = ["--server", &url, "--token", &server.admin];
    let with = |words: &[&str]| [words, &connection[..]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let run = async |words: &[&str]| {
        let words = with(words);
        ccctl(home.path(), &words.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    run(&["get", "testruns"]).await;
    let (first, _) = relay.take();
    let runs = "GET /apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns?limit=500";
    assert_eq!(first, ["GET /api", "GET /apis", runs], "the first command learns what the server serves");

    run(&["get", "tr"]).await;
    let (second, connections) = relay.take();
    assert_eq!((second, connections), (vec![runs.to_owned()], 1), "the next one knows it");

    for words in [&["version", "--client"][..], &["completion", "bash"]] {
        run(words).await;
        assert_eq!(relay.take(), (Vec::new(), 0), "{words:?} needs no server");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_the_server_is_asked_for_again_when_it_may_be_wrong() {
    let server = start().await;
    let (relay, home) = (Relay::default(), tempfile::tempdir().unwrap());
    let url = format!("http://{}", relay.listen(server.address).await);
    let connection = ["--server", &url, "--token", &server.admin];
    ccctl(home.path(), &[&["get", "testruns"], &connection[..]].concat()).await;
    relay.take();

    let definition = home.path().join("definition.json");
    std::fs::write(&definition, tests::widgets::definition_object().to_string()).unwrap();
    ccctl(home.path(), &[&["apply", "-f", definition.to_str().unwrap()], &connection[..]].concat()).await;
    relay.take();
    // A name that the kept documents do not have.
    ccctl(home.path(), &[&["get", "widgets"], &connection[..]].concat()).await;
    let (requests, _) = relay.take();
    let widgets = "GET /apis/test.example.com/v1/namespaces/default/widgets?limit=500".to_owned();
    assert_eq!(requests.last(), Some(&widgets));
    assert!(requests.contains(&"GET /apis".to_owned()), "{requests:?}");

    // Another server at another address has its own.
    let other = start().await;
    let url = format!("http://{}", relay.listen(other.address).await);
    ccctl(home.path(), &["get", "testruns", "--server", &url, "--token", &other.admin]).await;
    assert_eq!(relay.take().0.len(), 3, "nothing is known of the other server");

    // A type that has gone meanwhile: the answer says what to do, and then it works.
    ccctl(home.path(), &[&["delete", "crd", "widgets.test.example.com"], &connection[..]].concat()).await;
    let mut command = Command::new(program("ccctl"));
    command.args(["get", "widgets"]).args(connection).env_clear().env("HOME", home.path()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_takes_little_processor_time() {
    let server = start().await;
    let home = tempfile::tempdir().unwrap();
    let authority = home.path().join("authority.pem");
    std::fs::write(&authority, &server.authority_pem).unwrap();
    let url = format!("https://localhost:{}", server.encrypted.port());
    let authority = authority.to_str().unwrap().to_owned();
    let words =
        ["get", "namespaces", "--server", &url, "--certificate-authority", &authority, "--token", &server.admin];
    let shown = ccctl(home.path(), &words).await;
    assert!(shown.contains("default"), "{shown}");
    let before = processor_time_of_children();
    for _ in 0..STARTS {
        ccctl(home.path(), &words).await;
    }
    let each = (processor_time_of_children() - before) / STARTS;
    println!("one start takes {each:?} of processor time");
    assert!(each < PROCESSOR_TIME_MAX, "one start takes {each:?} of processor time");
}

/// Returns the processor time of all children that have ended.
fn processor_time_of_children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[13].parse::<u64>().unwrap() + fields[14].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
