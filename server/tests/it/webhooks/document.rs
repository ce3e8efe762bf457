//! What the document and the example show works as shown.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use osbackend_server::config::HookEvent;
use serde_json::json;

use crate::support::{Backend, TestServer, WEBHOOK_SECRET};

const DOCUMENT: &str = include_str!("../../../../docs/PROTOCOL.md");

fn python(secret: &str, timestamp: &str, signature: &str, body: &[u8]) -> String {
    let (_, rest) = DOCUMENT.split_once("<!-- webhook verification:").unwrap();
    let code = rest.split_once("```python\n").unwrap().1.split_once("```").unwrap().0;
    let main = "\nimport sys\nheaders = {'X-Osbackend-Timestamp': sys.argv[2], 'X-Osbackend-Signature': sys.argv[3]}\n\
                print(verify(sys.argv[1], headers, sys.stdin.buffer.read()))\n";
    let mut python = Command::new("python3");
    python.args(["-c", &format!("{code}{main}"), secret, timestamp, signature]);
    let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(body).unwrap();
    String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_documents_python_believes_the_server_and_nobody_else() {
    if Command::new("python3").arg("--version").output().is_err() {
        // Not needed for anything else here; the Rust tests check the same scheme.
        return;
    }
    let mut backend = Backend::start().await;
    let server = TestServer::with(|config| backend.settings(config, &[HookEvent::Custom])).await;
    let mut client = server.user("ada").await;
    client.send("chat:say", json!({"text": "grüß Gott"})).await;
    let asked = backend.next("custom").await;
    let (time, signature) = (asked.header("x-osbackend-timestamp"), asked.header("x-osbackend-signature"));
    assert_eq!(python(WEBHOOK_SECRET, time, signature, &asked.raw), "True");
    assert_eq!(python("another secret", time, signature, &asked.raw), "False");
    assert_eq!(python(WEBHOOK_SECRET, time, signature, b"{}"), "False");
    assert_eq!(python(WEBHOOK_SECRET, "1700000000", signature, &asked.raw), "False");
}

#[allow(dead_code, clippy::unwrap_used, reason = "its `main` is for people")]
#[path = "../../../examples/webhook_backend.rs"]
mod example;

#[tokio::test]
async fn the_example_backend_decides_as_it_says() {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, example::app(WEBHOOK_SECRET.to_owned())).await });
    let server = TestServer::with(|config| {
        config.hooks.url = Some(url);
        config.hooks.secret = Some(WEBHOOK_SECRET.into());
        config.hooks.events = HookEvent::ALL.into_iter().map(|(_, event)| event).collect();
    })
    .await;
    let mut admin = server.admin().await;
    admin.join("admin:broadcast").await;
    let mut ada = server.user("ada").await;
    assert_eq!(admin.expect("user_came").await["data"]["user"], "ada");
    ada.join("agent:7").await;
    ada.refused("join", json!({"room": "agent:secret"}), "forbidden").await;
    admin.join("agent:secret").await;
    let spam = json!({"room": "agent:7", "type": "note", "data": {"text": "spam"}});
    assert_eq!(admin.refused("publish", spam, "forbidden").await["message"], "no advertising here");
    assert_eq!(ada.request("time:get", json!({})).await["data"]["by"], "ada");
    ada.refused("other:get", json!({}), "unknown_type").await;
    let mut mallory = server.connecting().query(&crate::support::user_token("mallory")).open().await;
    assert_eq!(mallory.expect_error("forbidden").await["message"], "this account is suspended");
    mallory.expect_close(4502, "forbidden").await;
    assert_eq!(server.handle.hooks().unwrap().stats().unavailable.get(), 0, "the signatures were right");
}
