//! Logs: the end first, links to lines, search, and streams that lose nothing.

use std::time::Duration;

use crate::showcase::{Scene, Showcase};
use futures::StreamExt as _;
use serde_json::Value;

use crate::visitor::{SOON, Visitor, open};

const LOG: &str = "/runs/default/nextcloud-002/log";

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_read_from_its_end_and_every_line_has_a_link() {
    let showcase = open(Scene::Failing).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let end = admin.get(LOG).await.text();
    assert!(end.contains("install line 1200<") && !end.contains("install line 5<") && end.contains("Earlier lines"));
    assert!(end.contains("<span class=\"f1\">error:</span>"), "colours are rendered");
    let line = admin.get(&format!("{LOG}?line=10")).await.text();
    assert!(line.contains("id=\"L10\"") && line.contains("install line 8<"), "{line}");
    let found = admin.get(&format!("{LOG}?q=LINE+1199")).await.text();
    assert!(
        found.contains("1 line")
            && found.contains("install line 1199<")
            && found.contains(&format!("{LOG}?line=1201#L1201"))
    );
    let stage = admin.get(&format!("{LOG}?stage=functional")).await.text();
    assert!(stage.contains("502 Bad Gateway") && !stage.contains("install line"));
    let raw = admin.get(&format!("{LOG}/raw")).await;
    assert_eq!(raw.header("content-type"), "text/plain; charset=utf-8");
    assert!(raw.text().starts_with("[prepare] fetched 91aa0e2b\n"));
    assert_eq!(admin.get("/runs/default/not-there/log").await.code, 404);
}

/// Reads a stream of events until a line is there; returns the ids and texts.
async fn read_until(visitor: &Visitor, path: &str, after: Option<u64>, wanted: &str) -> (u64, String) {
    let mut request = visitor.request("GET", path);
    if let Some(after) = after {
        request = request.header("last-event-id", after.to_string());
    }
    let mut stream = request.send().await.unwrap().bytes_stream();
    let mut text = String::new();
    while !text.contains(wanted) {
        let piece = tokio::time::timeout(SOON, stream.next())
            .await
            .unwrap_or_else(|_| panic!("{wanted} does not come: {text}"));
        text.push_str(&String::from_utf8_lossy(&piece.expect("the stream goes on").unwrap()));
    }
    let mut ids = text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok());
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let html = lines.filter_map(|data| serde_json::from_str::<Value>(data).ok()?["html"].as_str().map(str::to_owned));
    (ids.next_back().unwrap_or(0), html.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_a_log_loses_no_line_when_cut_off() {
    let showcase = open(Scene::Busy).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let path = "/runs/default/nextcloud-live/log/stream?after=0";
    let (last, html) = read_until(&admin, path, None, "step 60").await;
    assert_eq!((last, html.matches("<li").count()), (60, 60));
    write(&showcase, &["61", "62"]);
    let (last, html) = read_until(&admin, path, Some(last), "line 62").await;
    assert_eq!((last, html.matches("<li").count()), (62, 2), "{html}");
    write(&showcase, &["63 <b>"]);
    let (_, html) = read_until(&admin, path, Some(last), "line 63").await;
    assert!(html.contains("line 63 &lt;b&gt;") && !html.contains("line 62"), "{html}");
    showcase.logs.complete("nextcloud-live");
    let stream = admin.request("GET", path).timeout(Duration::from_secs(20)).send().await.unwrap();
    assert!(stream.text().await.unwrap().ends_with("event: end\ndata: {}\n\n"));
}

fn write(showcase: &Showcase, ends: &[&str]) {
    showcase.logs.write("nextcloud-live", "install", ends.iter().map(|end| format!("line {end}")));
}
