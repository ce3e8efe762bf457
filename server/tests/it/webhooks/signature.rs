//! The signature, computed here from the document alone; and that neither secret nor token goes anywhere.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::StatusCode;
use osbackend_server::auth::mint::Token;
use osbackend_server::config::HookEvent;
use osbackend_server::hooks;
use osbackend_server::realtime::{BuildError, Realtime};
use serde_json::json;

use crate::support::{Backend, Connecting, Served, TestServer, WEBHOOK_SECRET, osbackend, user_token};

/// HMAC-SHA256 of RFC 2104, by hand.
fn hmac_hex(key: &[u8], message: &[u8]) -> String {
    let padded = |with: u8| (0..64).map(|index| key.get(index).copied().unwrap_or(0) ^ with).collect::<Vec<u8>>();
    assert!(key.len() <= 64);
    let inner = digest(&SHA256, &[&padded(0x36), message].concat());
    let outer = digest(&SHA256, &[&padded(0x5c), inner.as_ref()].concat());
    outer.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn each_request_is_signed_over_its_time_and_its_bytes() {
    let mut backend = Backend::start().await;
    let server = TestServer::with(|config| backend.settings(config, &[HookEvent::Connect])).await;
    let token = user_token("ada");
    let opening = tokio::spawn(server.connecting().query(&token).open());
    let asked = backend.next("connect").await;
    let (time, signature) = (asked.header("x-osbackend-timestamp"), asked.header("x-osbackend-signature"));
    let signed = [time.as_bytes(), b".", &asked.raw].concat();
    assert_eq!(signature, format!("v1={}", hmac_hex(WEBHOOK_SECRET.as_bytes(), &signed)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(time.parse::<u64>().unwrap().abs_diff(now) < 60);
    assert_eq!(hooks::verify(WEBHOOK_SECRET, time, &asked.raw, signature), Ok(()));
    assert_eq!(hooks::verify("another", time, &asked.raw, signature), Err(hooks::VerifyError::Signature));
    assert_eq!((asked.header("x-osbackend-event"), asked.header("content-type")), ("connect", "application/json"));
    assert_eq!(asked.header("x-osbackend-delivery"), asked.body["deliveryId"]);
    let all = format!("{:?} {}", asked.headers, String::from_utf8_lossy(&asked.raw));
    assert!(!all.contains(&token) && !all.contains(WEBHOOK_SECRET), "{all}");
    asked.allow();
    opening.await.unwrap().expect("connection_established").await;
}

#[tokio::test]
async fn a_backend_without_a_secret_stops_the_start() {
    let backend = Backend::start().await;
    let mut config = osbackend_server::config::Config::default();
    config.auth.jwt_secret = Some("the tests' secret, longer than 32 bytes".into());
    backend.settings(&mut config, &[]);
    config.hooks.secret = None;
    config.engine.kind = osbackend_server::config::EngineKind::Memory;
    let error = Realtime::builder().config(config).build().err().expect("an error");
    assert!(matches!(error, BuildError::Hooks(_)) && error.to_string().contains("WEBHOOK_SECRET"), "{error}");
}

#[tokio::test]
async fn nothing_secret_is_logged_whatever_happens() {
    let mut backend = Backend::start().await;
    let url = format!("http://{}/hook?key=in-the-address", backend.address);
    let jwt_secret = "a secret for the log's test, 32 bytes and more";
    let mut command = osbackend(&["serve", "--port", "0", "--ws-port", "0", "--host", "127.0.0.1", "--drain", "50ms"]);
    command.env("JWT_SECRET", jwt_secret).env("RUST_LOG", "trace").env("WEBHOOK_EVENTS", "connect,custom,disconnect");
    command.env("WEBHOOK_URL", &url).env("WEBHOOK_SECRET", WEBHOOK_SECRET);
    let served = Served::start(command).await;
    let token = Token::for_user("ada").sign(&jwt_secret.into()).unwrap();
    let mut client = Connecting::new(served.ws).query(&token).open().await;
    let asked = backend.next("connect").await;
    let signature = asked.header("x-osbackend-signature").to_owned();
    asked.allow();
    client.expect("connection_established").await;
    client.send("call:start", json!({})).await;
    drop(backend.next("custom").await);
    client.expect_error("unavailable").await;
    client.send("call:start", json!({})).await;
    backend.next("custom").await.text(StatusCode::OK, "not what it should be");
    client.expect_error("unavailable").await;
    served.signal("TERM");
    backend.next("disconnect").await.status(400);
    let (status, log) = served.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("a webhook question failed") && log.contains("can't be used") && log.contains("given up"), "{log}");
    for secret in [WEBHOOK_SECRET, "in-the-address", jwt_secret, &token, &signature, "not what it should be"] {
        assert!(!log.contains(secret), "{secret:?} is in the log: {log}");
    }
    let mut command = osbackend(&["serve"]);
    command.env("JWT_SECRET", jwt_secret).env("WEBHOOK_URL", "http://user:hidden@backend/");
    let refused = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("WEBHOOK_URL") && !said.contains("hidden"), "{said}");
}
