//! How many rows a table has: as many as kubectl would fetch bit by bit, and as few as a person asks for.

use futures::StreamExt as _;
use serde_json::{Value, json};
use tests::server::{ServerOptions, TestServer};

const OBJECTS: usize = 600;
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_does_not_make_kubectl_wait_for_its_pages() {
    let server = TestServer::start(ServerOptions::default()).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let create = async |index: usize| {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{index:04}")}});
        let request = http.post(server.url(CONFIG_MAPS)).bearer_auth(&server.admin).json(&body);
        assert_eq!(request.send().await.unwrap().status(), 201);
    };
    futures::stream::iter(0..OBJECTS).for_each_concurrent(32, create).await;
    let get = async |accept: &str, limit: usize| -> (usize, Value) {
        let path = format!("{CONFIG_MAPS}?limit={limit}");
        let request = http.get(server.url(&path)).bearer_auth(&server.admin).header("accept", accept);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let shown = answer["rows"].as_array().or_else(|| answer["items"].as_array()).unwrap().len();
        (shown, answer["metadata"]["remainingItemCount"].clone())
    };
    // What kubectl asks for by itself, then what only a person asks for, then what programs ask for.
    assert_eq!(get(TABLE, 500).await, (OBJECTS, Value::Null));
    assert_eq!(get(TABLE, 499).await, (499, json!(101)));
    assert_eq!(get("application/json", 500).await, (500, json!(100)));
}
