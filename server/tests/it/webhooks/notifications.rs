//! Notifications: exactly one for each departure, tried again until it arrives, bounded, and not lost by a shutdown.

use std::time::Duration;

use osbackend_server::config::{Config, HookEvent};
use serde_json::json;

use crate::support::{Backend, Scrape, TestServer, soon, user_token};

async fn telling(change: impl FnOnce(&mut Config)) -> (Backend, TestServer) {
    let backend = Backend::start().await;
    let server = TestServer::with(|config| {
        backend.settings(config, &[HookEvent::Disconnect]);
        config.hooks.backoff = (Duration::from_millis(1), Duration::from_millis(4));
        config.hooks.breaker_open = Duration::from_millis(5);
        change(config);
    })
    .await;
    (backend, server)
}

#[tokio::test]
async fn each_departure_is_told_once() {
    let (mut backend, server) = telling(|_| {}).await;
    let client = server.user("ada").await;
    let mut closed = server.user("bob").await;
    drop(client);
    let asked = backend.next("disconnect").await;
    assert_eq!((&asked.body["userId"], &asked.body["role"]), (&json!("ada"), &json!(null)));
    asked.answer(json!({}));
    assert_eq!(server.handle.disconnect_user("bob"), 1);
    closed.expect_close(4505, "disconnected").await;
    let asked = backend.next("disconnect").await;
    assert_eq!(asked.body["userId"], "bob");
    asked.status(204);
    // Who never said who he is was never there.
    let mut nobody = server.connecting().query("no-token").open().await;
    nobody.expect_error("unauthorized").await;
    nobody.expect_close(4501, "unauthorized").await;
    server.handle.drain(Duration::ZERO).await;
    backend.is_quiet();
    assert_eq!(server.handle.hooks().unwrap().stats().delivered.get(), 2);
}

#[tokio::test]
async fn a_failed_one_is_tried_again_with_the_same_id_and_body() {
    let (mut backend, server) = telling(|_| {}).await;
    drop(server.user("ada").await);
    let first = backend.next("disconnect").await;
    let (id, raw) = (first.header("x-osbackend-delivery").to_owned(), first.raw.clone());
    first.status(500);
    // The second connection breaks without an answer.
    drop(backend.next("disconnect").await);
    for status in [503, 429, 502, 500] {
        backend.next("disconnect").await.status(status);
    }
    let last = backend.next("disconnect").await;
    assert_eq!((last.header("x-osbackend-delivery"), &last.raw), (id.as_str(), &raw));
    last.answer(json!({}));
    let hooks = server.handle.hooks().unwrap();
    soon("the delivery", hooks.flush()).await;
    let stats = hooks.stats();
    assert_eq!((stats.retried.get(), stats.delivered.get(), stats.failed.get()), (6, 1, 0));
    assert_eq!(stats.opened.get(), 0, "one client's failures stop no other's notifications");
    Scrape::of(server.http).await.expect(&[
        ("osbackend_webhook_retries_total", 6.0),
        (r#"osbackend_webhook_notifications_total{result="delivered"}"#, 1.0),
        (r#"osbackend_webhook_notifications_total{result="failed"}"#, 0.0),
        (r#"osbackend_webhook_notifications_total{result="dropped"}"#, 0.0),
        ("osbackend_webhook_notifications_waiting", 0.0),
        ("osbackend_webhook_breaker_openings_total", stats.opened.get() as f64),
        ("osbackend_webhook_breaker_open", 0.0),
    ]);
    backend.is_quiet();
}

#[tokio::test]
async fn one_that_never_succeeds_is_given_up() {
    let (mut backend, server) = telling(|_| {}).await;
    drop(server.user("ada").await);
    for _ in 0..8 {
        backend.next("disconnect").await.status(500);
    }
    soon("the end", server.handle.hooks().unwrap().flush()).await;
    assert_eq!(server.handle.hooks().unwrap().stats().failed.get(), 1);
    drop(server.user("bob").await);
    backend.next("disconnect").await.status(400);
    soon("the end", server.handle.hooks().unwrap().flush()).await;
    assert_eq!(server.handle.hooks().unwrap().stats().failed.get(), 2, "what it refuses for good is not repeated");
    backend.is_quiet();
}

#[tokio::test]
async fn a_queue_that_is_full_drops_the_oldest() {
    let (mut backend, server) = telling(|config| config.hooks.queue = 1).await;
    // One lane has room for one: the one on its way, and one that waits.
    let mut on_their_way = Vec::new();
    let hooks = server.handle.hooks().unwrap().clone();
    let mut sent = 0;
    while hooks.stats().dropped.get() < 3 {
        let client = server.user(&format!("u{sent}")).await;
        let gone = hooks.waiting() as u64 + hooks.stats().dropped.get();
        drop(client);
        sent += 1;
        soon("the departure", async {
            while hooks.waiting() as u64 + hooks.stats().dropped.get() == gone {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    let bound = 16;
    assert!(hooks.waiting() <= bound, "{} wait", hooks.waiting());
    let left = hooks.waiting();
    let flushed = tokio::spawn(async move { hooks.flush().await });
    for _ in 0..left {
        let asked = backend.next("disconnect").await;
        on_their_way.push(asked.body["userId"].clone());
        asked.answer(json!({}));
    }
    soon("the end", flushed).await.unwrap();
    assert_eq!(on_their_way.len() + 3, sent);
    backend.is_quiet();
}

#[tokio::test]
async fn a_shutdown_waits_for_the_last_departures_and_not_for_ever() {
    let (mut backend, server) = telling(|config| config.hooks.flush = Duration::from_millis(200)).await;
    let mut client = server.user("ada").await;
    let handle = server.handle.clone();
    let draining = tokio::spawn(async move { handle.drain(Duration::ZERO).await });
    client.expect("draining").await;
    client.expect_close(1012, "restart").await;
    backend.next("disconnect").await.answer(json!({}));
    soon("the drain", draining).await.unwrap();
    assert_eq!(server.handle.hooks().unwrap().stats().delivered.get(), 1);

    let (mut backend, server) = telling(|config| config.hooks.flush = Duration::from_millis(50)).await;
    drop(server.user("ada").await);
    let _silent = backend.next("disconnect").await;
    soon("the drain", server.handle.drain(Duration::ZERO)).await;
    assert_eq!(server.handle.hooks().unwrap().waiting(), 1);
}

#[tokio::test]
async fn a_client_that_is_never_greeted_but_asked_about_has_its_departure_told() {
    let backend = Backend::start().await;
    let server = TestServer::with(|config| backend.settings(config, &[HookEvent::Connect, HookEvent::Disconnect])).await;
    let mut backend = backend;
    let client = server.connecting().connect(json!({"token": user_token("ada")})).await;
    let asked = backend.next("connect").await;
    let connection = asked.body["connectionId"].clone();
    drop(client);
    let gone = backend.next("disconnect").await;
    assert_eq!(gone.body["connectionId"], connection);
    gone.answer(json!({}));
    asked.allow();
    server.handle.drain(Duration::ZERO).await;
    backend.is_quiet();
}
