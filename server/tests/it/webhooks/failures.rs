//! A backend that fails: closed doors, not open ones; and a breaker that leaves it alone.

use std::time::Duration;

use axum::http::StatusCode;
use osbackend_server::config::{Config, HookEvent};
use serde_json::json;

use crate::support::{Backend, TestServer, soon, user_token};

async fn asking(change: impl FnOnce(&mut Config)) -> (Backend, TestServer) {
    let backend = Backend::start().await;
    let server = TestServer::with(|config| {
        let every: Vec<HookEvent> = HookEvent::ALL.into_iter().map(|(_, event)| event).collect();
        backend.settings(config, &every);
        // Open for good, once it is.
        config.hooks.breaker_open = Duration::from_secs(3_600);
        change(config);
    })
    .await;
    (backend, server)
}

#[tokio::test]
async fn no_answer_in_time_is_unavailable_for_every_question() {
    let short = |events: &[HookEvent]| {
        let events = events.to_vec();
        move |config: &mut Config| {
            config.hooks.timeout = Duration::from_millis(100);
            config.hooks.events = events;
        }
    };
    let (mut backend, server) = asking(short(&[HookEvent::Connect])).await;
    let mut refused = server.connecting().query(&user_token("eve")).open().await;
    let _silent = backend.next("connect").await;
    assert!(refused.expect_error("unavailable").await["retryAfterMs"].as_u64().unwrap() > 0);
    refused.expect_close(1013, "try_later").await;

    let (_backend, server) = asking(short(&[HookEvent::Join, HookEvent::Publish, HookEvent::Custom])).await;
    let mut client = server.admin().await;
    let questions = [
        ("join", json!({"room": "agent:7"})),
        ("publish", json!({"room": "agent:7", "type": "note", "data": {}})),
        ("call:start", json!({})),
    ];
    for (kind, payload) in questions {
        let error = client.refused(kind, payload, "unavailable").await;
        assert!(error["retryAfterMs"].as_u64().unwrap() > 0, "{kind}: {error}");
    }
    client.is_alive().await;
    assert_eq!(server.handle.client_count(&"agent:7".parse().unwrap()), 0);
    assert_eq!(server.handle.hooks().unwrap().stats().unavailable.get(), 3);
}

#[tokio::test]
async fn what_is_no_clear_yes_is_no() {
    let (mut backend, server) = asking(|config| config.hooks.events = vec![HookEvent::Join]).await;
    let mut elsewhere = Backend::start().await;
    let mut client = server.user("ada").await;
    let join = json!({"type": "join", "payload": {"room": "agent:7"}, "id": 1}).to_string();
    let long = format!("{{\"allow\":true,\"pad\":\"{}\"}}", "x".repeat(300_000));
    let bad_event = r#"{"allow":true,"publish":[{"room":"agent:7","type":"a"},{"room":"nowhere","type":"b"}]}"#;
    for answer in ["", "ok", "{}", r#"{"allow":1}"#, r#"{"reply":{"data":{}}}"#, bad_event, &long] {
        client.send_text(join.clone()).await;
        backend.next("join").await.text(StatusCode::OK, answer);
        client.expect_error("unavailable").await;
    }
    for status in [204, 400, 401, 404, 500] {
        client.send_text(join.clone()).await;
        backend.next("join").await.status(status);
        client.expect_error("unavailable").await;
    }
    client.send_text(join.clone()).await;
    backend.next("join").await.redirect(&format!("http://{}/hook", elsewhere.address));
    client.expect_error("unavailable").await;
    elsewhere.is_quiet();
    client.send_text(join).await;
    backend.next("join").await.allow();
    client.expect("room_joined").await;
    let history = client.request("history:get", json!({"room": "agent:7"})).await;
    assert_eq!(history["data"]["events"], json!([]), "of a bad answer nothing is published");
}

#[tokio::test]
async fn a_backend_that_is_not_there_lets_nobody_in() {
    let (backend, server) = asking(|config| {
        // Port 1 of loopback: nobody listens there.
        config.hooks.url = Some("http://127.0.0.1:1/hook".to_owned());
    })
    .await;
    drop(backend);
    let mut client = server.connecting().connect(json!({"token": user_token("ada")})).await;
    client.expect_error("unavailable").await;
    client.expect_close(1013, "try_later").await;
}

#[tokio::test]
async fn five_failures_in_a_row_open_the_breaker_and_a_probe_closes_it() {
    let (mut backend, server) = asking(|config| {
        config.hooks.events = vec![HookEvent::Custom];
        config.hooks.breaker_open = Duration::from_secs(1);
        config.limits.message_rate = None;
    })
    .await;
    let hooks = server.handle.hooks().unwrap().clone();
    let mut client = server.user("ada").await;
    let (mut second, mut third) = (server.user("bob").await, server.user("cy").await);
    for client in [&mut client, &mut second, &mut third] {
        for _ in 0..2 {
            if hooks.is_open() {
                continue;
            }
            client.send("call:start", json!({})).await;
            backend.next("custom").await.status(503);
            client.expect_error("unavailable").await;
        }
    }
    assert!(hooks.is_open());
    assert_eq!(hooks.stats().opened.get(), 1);
    let error = client.refused("call:start", json!({}), "unavailable").await;
    assert!((1..=1_000).contains(&error["retryAfterMs"].as_u64().unwrap()), "{error}");
    backend.is_quiet();
    // One probe once its time is over; until then each is refused at once.
    let asked = soon("the probe", async {
        loop {
            client.send("call:start", json!({})).await;
            tokio::select! {
                asked = backend.next("custom") => break asked,
                error = client.expect_error("unavailable") => drop(error),
            }
        }
    })
    .await;
    client.send("call:start", json!({})).await;
    client.expect_error("unavailable").await;
    asked.answer(json!({"reply": {"type": "back"}}));
    client.expect("back").await;
    assert!(!hooks.is_open());
    client.send("call:start", json!({})).await;
    backend.next("custom").await.answer(json!({"reply": {"type": "through"}}));
    client.expect("through").await;
}

#[tokio::test]
async fn a_client_cannot_open_the_breaker_with_requests_that_are_refused() {
    let (mut backend, server) = asking(|config| config.hooks.events = vec![HookEvent::Custom]).await;
    let mut client = server.user("ada").await;
    for _ in 0..12 {
        client.send("call:start", json!({})).await;
        backend.next("custom").await.status(422);
        client.expect_error("unavailable").await;
    }
    assert!(!server.handle.hooks().unwrap().is_open());
}

#[tokio::test]
async fn one_user_who_makes_the_backend_fail_shuts_it_off_for_nobody() {
    let (mut backend, server) = asking(|config| {
        config.hooks.events = vec![HookEvent::Connect, HookEvent::Join, HookEvent::Custom];
        config.limits.message_rate = None;
    })
    .await;
    let hooks = server.handle.hooks().unwrap().clone();
    let mut eve = server.connecting().query(&user_token("eve")).open().await;
    backend.next("connect").await.allow();
    eve.expect("connection_established").await;
    for _ in 0..20 {
        eve.send("call:start", json!({})).await;
        backend.next("custom").await.status(500);
        eve.expect_error("unavailable").await;
    }
    assert!(!hooks.is_open());
    // Even where three users bring it about: what opens is the breaker of this kind.
    for user in ["mallory", "oscar"] {
        let mut client = server.connecting().query(&user_token(user)).open().await;
        backend.next("connect").await.allow();
        client.expect("connection_established").await;
        client.send("call:start", json!({})).await;
        backend.next("custom").await.status(500);
        client.expect_error("unavailable").await;
    }
    assert!(hooks.is_open());
    let mut ada = server.connecting().query(&user_token("ada")).open().await;
    backend.next("connect").await.allow();
    ada.expect("connection_established").await;
    ada.send("join", json!({"room": "agent:7"})).await;
    backend.next("join").await.allow();
    ada.expect("room_joined").await;
    ada.refused("call:start", json!({}), "unavailable").await;
}

#[tokio::test]
async fn questions_that_are_slow_take_nobody_elses_place() {
    let (mut backend, server) = asking(|config| {
        config.hooks.events = vec![HookEvent::Connect, HookEvent::Custom];
        config.limits.message_rate = None;
    })
    .await;
    let connect = async |backend: &mut Backend, user: &str| {
        let mut client = server.connecting().query(&user_token(user)).open().await;
        backend.next("connect").await.allow();
        client.expect("connection_established").await;
        client
    };
    let (mut first, mut second) = (connect(&mut backend, "eve").await, connect(&mut backend, "eve").await);
    for _ in 0..8 {
        first.send("call:start", json!({})).await;
        second.send("call:start", json!({})).await;
    }
    // One user's share, whatever the number of connections.
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(backend.next("custom").await);
    }
    // The others wait: the next that asks is somebody else, for a login and for the same kind of question.
    let mut ada = connect(&mut backend, "ada").await;
    ada.send("call:start", json!({})).await;
    let asked = backend.next("custom").await;
    assert_eq!(asked.body["userId"], "ada");
    asked.answer(json!({"reply": {"type": "served"}}));
    ada.expect("served").await;
    backend.is_quiet();
    slow.remove(0).answer(json!({}));
    assert_eq!(backend.next("custom").await.body["userId"], "eve", "one came free");
}
