//! kill -9 of a whole `ccd` at any moment, start-up included, while hundreds of objects with effects converge: all
//! converge, and what must happen once has happened once.
//!
//! The program is `ccd` with one kind more ([`tests::orders`]) whose effects leave one line in a file each time.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tests::daemon::{Daemon, wait_a_moment};
use tests::orders::{held, ran, receipt};
use tests::seed::Random;

const KILLS: u64 = 200;
const ORDERS: usize = 500;
/// Orders that are there before the first kill; the others come one by one between the kills.
const ORDERS_AT_FIRST: usize = 80;
const RECEIPTS: u32 = 2;
const PARTS: u32 = 1;
/// Every so many-th order runs a program.
const JOB_EVERY: usize = 5;
/// Every so many-th kill comes before ccd has said that it is ready.
const STARTING_EVERY: u64 = 5;
/// How long the last ccd may take to finish what is left.
const PATIENCE: Duration = Duration::from_secs(120);

const COLLECTION: &str = "/apis/test.example.com/v1/namespaces/default/orders";

struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    fn of(daemon: &Daemon) -> Self {
        let kubeconfig = std::fs::read_to_string(daemon.kubeconfig()).unwrap();
        let token = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap().to_owned();
        Self { client: Client::builder().no_proxy().build().unwrap(), base: format!("http://{}", daemon.http()), token }
    }

    /// Creates an order and returns whether that was acknowledged.
    async fn create(&self, index: usize, folder: &Path) -> bool {
        let order = json!({
            "apiVersion": "test.example.com/v1", "kind": "Order", "metadata": {"name": format!("order-{index}")},
            "spec": {"folder": folder, "parts": PARTS, "receipts": RECEIPTS, "job": index.is_multiple_of(JOB_EVERY)},
        });
        let request = self.client.post(format!("{}{COLLECTION}", self.base)).bearer_auth(&self.token).json(&order);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.text().await.unwrap());
        true
    }

    async fn orders(&self) -> Vec<Value> {
        let request = self.client.get(format!("{}{COLLECTION}", self.base)).bearer_auth(&self.token);
        let list: Value = request.send().await.unwrap().json().await.unwrap();
        list["items"].as_array().unwrap().clone()
    }

    async fn delete(&self, name: &str) {
        let request = self.client.delete(format!("{}{COLLECTION}/{name}", self.base)).bearer_auth(&self.token);
        assert!(request.send().await.unwrap().status().is_success());
    }

    /// Waits until `done` says so of all orders, and returns them.
    async fn wait(&self, what: &str, daemon: &Daemon, done: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let orders = self.orders().await;
            if done(&orders) {
                return orders;
            }
            if began.elapsed() > PATIENCE {
                let left = orders.iter().find(|order| !is_ready(order)).or(orders.first());
                panic!("not {what} after {PATIENCE:?}: {left:?}\n{}", daemon.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn is_ready(order: &Value) -> bool {
    let conditions = order["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn spawn(dir: &Path) -> Daemon {
    Daemon::spawn(Path::new(env!("CARGO_BIN_EXE_ccd-with-orders")), dir, &[]).unwrap()
}

/// Gives the process its time to live. A moment that nobody announces is the point of this test.
fn let_live(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        wait_a_moment();
    }
}

#[tokio::test]
async fn kill_of_ccd_repeats_nothing_and_forgets_nothing() {
    let seed = tests::seed::from_environment("CC_SEED");
    println!("kills are chosen by CC_SEED={seed}");
    let mut random = Random::new(seed);
    let parent = tempfile::tempdir().unwrap();
    let (data, folder) = (parent.path().join("data"), parent.path().join("effects"));
    std::fs::create_dir(&folder).unwrap();
    let mut created = 0;
    let mut busy = 0;
    for kill in 0..KILLS {
        let mut daemon = spawn(&data);
        if kill % STARTING_EVERY == STARTING_EVERY - 1 {
            let_live(Duration::from_millis(random.below(250)));
        } else {
            daemon.wait_until_ready().unwrap();
            let api = Api::of(&daemon);
            // As many as have to have come by now. The last life ends before it is ready: the one before has the last ones.
            let share =
                (ORDERS - ORDERS_AT_FIRST) * usize::try_from(kill).unwrap() / usize::try_from(KILLS - 2).unwrap();
            while created < (ORDERS_AT_FIRST + share).min(ORDERS) {
                assert!(api.create(created, &folder).await);
                created += 1;
            }
            busy += u64::from(!api.orders().await.iter().all(is_ready));
            let_live(Duration::from_millis(random.below(100)));
        }
        daemon.kill().unwrap();
    }
    assert_eq!(created, ORDERS);
    assert!(busy > KILLS / 4, "only {busy} of {KILLS} kills met unfinished work");
    let mut daemon = spawn(&data);
    daemon.wait_until_ready().unwrap();
    let api = Api::of(&daemon);
    let orders = api.wait("ready", &daemon, |orders| orders.len() == ORDERS && orders.iter().all(is_ready)).await;
    println!("{KILLS} kills, {busy} of them met unfinished work");
    check_effects(&folder, &orders);
    check_end(&api, &daemon, &folder, &data, &orders).await;
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

fn check_effects(folder: &Path, orders: &[Value]) {
    let mut files = BTreeSet::new();
    for order in orders {
        let (name, uid) = (&order["metadata"]["name"], order["metadata"]["uid"].as_str().unwrap());
        for number in 0..RECEIPTS {
            let file = receipt(folder, uid, number);
            assert_eq!(lines(&file), 1, "receipt {number} of {name}");
            files.insert(file);
        }
        if order["spec"]["job"] == true {
            assert_eq!(lines(&ran(folder, uid)), 1, "runs of the program of {name}");
            files.insert(ran(folder, uid));
        }
        assert!(held(folder, uid).exists(), "{name} holds nothing");
        files.insert(held(folder, uid));
    }
    let found: BTreeSet<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(found, files, "nothing else was done, on behalf of nobody");
}

/// Deletes every second order and checks that it gives back what it holds, and that its job goes.
async fn check_end(api: &Api, daemon: &Daemon, folder: &Path, data: &Path, orders: &[Value]) {
    let (goes, stays): (Vec<_>, Vec<_>) = orders.iter().enumerate().partition(|(index, _)| index % 2 == 0);
    for (_, order) in &goes {
        api.delete(order["metadata"]["name"].as_str().unwrap()).await;
    }
    let left = stays.len();
    api.wait("deleted", daemon, |orders| orders.len() == left).await;
    let uid = |order: &Value| order["metadata"]["uid"].as_str().unwrap().to_owned();
    for (_, order) in &goes {
        assert!(!held(folder, &uid(order)).exists(), "{} is gone and still holds something", order["metadata"]["name"]);
    }
    for (_, order) in &stays {
        assert!(held(folder, &uid(order)).exists());
    }
    let expected: BTreeSet<String> = stays
        .iter()
        .filter(|(_, order)| order["spec"]["job"] == true)
        .map(|(_, order)| format!("order-{}", uid(order)))
        .collect();
    let jobs: BTreeSet<String> = std::fs::read_dir(data.join("jobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(jobs, expected, "the jobs are those of the orders that are left");
}
