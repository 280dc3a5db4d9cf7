//! Lists: order, pages of one consistent state, tokens that expire or are forged.

use api_types::status::Reason;
use serde_json::json;

use super::Bench;
use crate::list::{List, ListAt, ListRequest};
use crate::request::Part;
use crate::selector::Selector;
use crate::state::HistoryLimits;

fn request(bench: &Bench, limit: usize, at: ListAt) -> ListRequest {
    let resource = bench.resource("widgets.test.example.com");
    ListRequest { resource, namespace: Some("default".to_owned()), selector: Selector::default(), limit, at }
}

fn names(list: &List) -> Vec<&str> {
    list.objects.iter().map(|object| object.name()).collect()
}

async fn filled(count: usize) -> Bench {
    let bench = Bench::new().await;
    for index in 0..count {
        bench.create(&format!("w{index:03}"), json!({})).await.unwrap();
    }
    bench
}

#[tokio::test]
async fn pages_show_the_state_of_the_first_page() {
    let bench = filled(10).await;
    let first = bench.store.list(&request(&bench, 4, ListAt::Latest)).unwrap();
    assert_eq!((names(&first), first.remaining), (vec!["w000", "w001", "w002", "w003"], Some(6)));
    let everywhere = ListRequest { namespace: None, ..request(&bench, 4, ListAt::Latest) };
    assert_eq!(bench.store.list(&everywhere).unwrap().remaining, Some(6));

    bench.delete(&bench.widget("w005")).await.unwrap();
    bench.create("w0045", json!({})).await.unwrap();
    bench.merge(&bench.widget("w006"), Part::Whole, json!({"spec": {"size": 9}})).await.unwrap();
    bench.delete(&bench.widget("w009")).await.unwrap();

    let (mut rest, mut remaining) = (Vec::new(), Vec::new());
    let mut token = first.continue_token.clone();
    while let Some(next) = token {
        let page = bench.store.list(&request(&bench, 2, ListAt::Continue(next))).unwrap();
        assert_eq!(page.revision, first.revision);
        rest.extend(
            page.objects.iter().map(|object| (object.name().to_owned(), object.value()["spec"]["size"].clone())),
        );
        remaining.push(page.remaining);
        token = page.continue_token;
    }
    assert_eq!(remaining, [Some(4), Some(2), None]);
    let expected = ["w004", "w005", "w006", "w007", "w008", "w009"].map(|name| (name.to_owned(), json!(1)));
    assert_eq!(rest, expected);

    let exact = bench.store.list(&request(&bench, 0, ListAt::Exact(first.revision))).unwrap();
    assert_eq!(exact.objects.len(), 10);
    let latest = bench.store.list(&request(&bench, 0, ListAt::Latest)).unwrap();
    assert_eq!(latest.objects.len(), 9);
}

#[tokio::test]
async fn pages_are_the_same_after_a_restart() {
    let bench = filled(6).await;
    let first = bench.store.list(&request(&bench, 3, ListAt::Latest)).unwrap();
    bench.delete(&bench.widget("w004")).await.unwrap();
    let bench = bench.reopen().await;
    let token = first.continue_token.unwrap();
    let second = bench.store.list(&request(&bench, 3, ListAt::Continue(token))).unwrap();
    assert_eq!(names(&second), ["w003", "w004", "w005"]);
}

#[tokio::test]
async fn a_token_older_than_the_history_comes_back_with_one_that_works() {
    let bench = Bench::with_history(HistoryLimits { events_max: 4, bytes_max: 1 << 20 }).await;
    for index in 0..6 {
        bench.create(&format!("w{index}"), json!({})).await.unwrap();
    }
    let first = bench.store.list(&request(&bench, 2, ListAt::Latest)).unwrap();
    for size in 2..10 {
        bench.merge(&bench.widget("w0"), Part::Whole, json!({"spec": {"size": size}})).await.unwrap();
    }
    let token = first.continue_token.unwrap();
    let status = bench.store.list(&request(&bench, 2, ListAt::Continue(token))).unwrap_err();
    assert_eq!((status.code, status.reason), (410, Some(Reason::Expired)));
    let page = bench.store.list(&request(&bench, 2, ListAt::Continue(status.metadata.continue_))).unwrap();
    assert_eq!(names(&page), ["w2", "w3"]);
    let old = bench.store.list(&request(&bench, 0, ListAt::Exact(1))).unwrap_err();
    assert_eq!(old.code, 410);
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let bench = filled(1).await;
    for token in ["", "x", "eyJ9", "e30", "AAAA====", "eyJ2IjoiYSIsInJ2IjoxLCJzdGFydCI6IngifQ"] {
        let result = bench.store.list(&request(&bench, 1, ListAt::Continue(token.to_owned())));
        assert_eq!(result.unwrap_err().code, 400, "{token}");
    }
}

#[tokio::test]
async fn a_namespace_does_not_show_its_neighbours() {
    let bench = filled(2).await;
    let body = super::widget_body(json!({"name": "elsewhere"}), json!({}));
    let target = bench.target("widgets.test.example.com", "other", "elsewhere");
    bench.store.create(&target, body, &crate::request::WriteOptions::by("test")).await.unwrap();
    let own = bench.store.list(&request(&bench, 0, ListAt::Latest)).unwrap();
    assert_eq!(names(&own), ["w000", "w001"]);
    let all = bench.store.list(&ListRequest { namespace: None, ..request(&bench, 0, ListAt::Latest) }).unwrap();
    assert_eq!(names(&all), ["w000", "w001", "elsewhere"]);
}
