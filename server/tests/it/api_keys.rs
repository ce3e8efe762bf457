//! API keys of backends: the calls that take them, by either header, wrong ones, and what the log says of them.

use osbackend_server::auth::api_key::{NewKey, generate};
use osbackend_server::config::Config;
use serde_json::json;

use crate::support::{Answer, Connecting, Served, TestServer, osbackend, send, soon, user_token};

struct Keyed {
    server: TestServer,
    billing: NewKey,
    crm: NewKey,
}

impl Keyed {
    async fn start() -> Self {
        let (billing, crm) = (generate("billing").unwrap(), generate("crm").unwrap());
        let entries = format!("{},{}", billing.entry, crm.entry);
        let keys = Config::resolve(false, |name| (name == "API_KEYS").then(|| entries.clone())).unwrap().auth.api_keys;
        let server = TestServer::with(|config| config.auth.api_keys = keys).await;
        Self { server, billing, crm }
    }

    async fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        send(self.server.http, head.as_bytes()).await
    }

    async fn broadcast(&self, headers: &str) -> Answer {
        self.call("POST", "/api/ws/broadcast", headers, r#"{"room":"agent:7","type":"note","data":{}}"#).await
    }
}

#[tokio::test]
async fn each_key_is_taken_by_both_headers_on_each_call() {
    let keyed = Keyed::start().await;
    let mut member = keyed.server.user("ada").await;
    member.join("agent:7").await;
    for key in [&keyed.billing.key, &keyed.crm.key] {
        for headers in [format!("authorization: Bearer {key}\r\n"), format!("x-api-key: {key}\r\n")] {
            keyed.broadcast(&headers).await.ok();
            member.expect("note").await;
            let event = r#"{"type":"clip_played","data":{"clipId":"c","plays":1}}"#;
            keyed.call("POST", "/api/ws/events", &headers, event).await.ok();
            let status = keyed.call("GET", "/api/ws/status", &headers, "").await.ok();
            assert_eq!(status["rooms"]["agent:7"], json!({"clientCount": 1}));
            let gone = keyed.call("POST", "/api/ws/disconnect", &headers, r#"{"userId":"nobody"}"#).await.ok();
            assert_eq!(gone["disconnected"], 0);
        }
    }
    keyed.call("POST", "/api/ws/disconnect", &format!("x-api-key: {}\r\n", keyed.crm.key), r#"{"userId":"ada"}"#).await.ok();
    assert_eq!(member.closed().await.0, 4505);
}

#[tokio::test]
async fn a_wrong_key_is_401_and_says_so() {
    let keyed = Keyed::start().await;
    let cut = &keyed.billing.key[..keyed.billing.key.len() - 1];
    let hash = keyed.billing.entry.split_once(':').unwrap().1;
    for wrong in ["osb_0000", "", cut, hash, "billing", keyed.billing.entry.as_str()] {
        for headers in [format!("authorization: Bearer {wrong}\r\n"), format!("x-api-key: {wrong}\r\n")] {
            for path in ["/api/ws/broadcast", "/api/ws/events", "/api/ws/disconnect"] {
                let answer = keyed.call("POST", path, &headers, "{}").await;
                let message = answer.expect_error(401, "unauthorized");
                assert!(message.contains("API key") && !(wrong.len() > 10 && message.contains(wrong)), "{message}");
                assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
            }
            keyed.call("GET", "/api/ws/status", &headers, "").await.expect_error(401, "unauthorized");
        }
    }
    assert!(keyed.broadcast("").await.expect_error(401, "unauthorized").contains("API key"));
}

#[tokio::test]
async fn a_key_and_another_caller_in_one_request_are_refused() {
    let keyed = Keyed::start().await;
    let (billing, crm, token) = (&keyed.billing.key, &keyed.crm.key, user_token("ada"));
    for headers in [
        format!("x-api-key: {billing}\r\nx-api-key: {billing}\r\n"),
        format!("x-api-key: {billing}\r\nx-api-key: {crm}\r\n"),
        format!("x-api-key: {billing}\r\nauthorization: Bearer {crm}\r\n"),
        format!("x-api-key: {billing}\r\nauthorization: Bearer {token}\r\n"),
        format!("x-api-key: wrong\r\nauthorization: Bearer {billing}\r\n"),
        format!("authorization: Bearer {billing}\r\nauthorization: Bearer {token}\r\n"),
        format!("x-api-key: {billing}\r\nauthorization: {token}\r\n"),
        format!("x-api-key: {billing}\r\nauthorization: nonsense\r\n"),
    ] {
        keyed.broadcast(&headers).await.expect_error(401, "unauthorized");
    }
    keyed.broadcast(&format!("x-api-key: {billing}\r\nauthorization: Bearer {billing}\r\n")).await.ok();
    // A proxy's own login beside it is none of the server's business.
    keyed.broadcast(&format!("x-api-key: {billing}\r\nauthorization: Basic eDp5\r\n")).await.ok();
}

#[tokio::test]
async fn a_key_opens_nothing_else() {
    let keyed = Keyed::start().await;
    let key = &keyed.billing.key;
    // Neither a socket, nor the calls of users, nor by the URL.
    let mut client = keyed.server.connecting().query(key).open().await;
    client.expect_error("unauthorized").await;
    client.expect_close(4501, "unauthorized").await;
    for path in ["/api/ws/rooms", "/api/ws/rooms/agent:7/history", "/api/ws/rooms/agent:7/presence"] {
        let message = keyed.call("GET", path, &format!("x-api-key: {key}\r\n"), "").await.expect_error(401, "unauthorized");
        assert!(message.contains("token"), "{message}");
    }
    keyed.call("POST", &format!("/api/ws/broadcast?token={key}"), "", "{}").await.expect_error(401, "unauthorized");
    // Nor what no backend may do either: rooms that the policy has not.
    let secret = r#"{"room":"secret:room","type":"note","data":{}}"#;
    keyed.call("POST", "/api/ws/broadcast", &format!("x-api-key: {key}\r\n"), secret).await.expect_error(403, "forbidden");
    // Users are told of keys, and go on with their tokens.
    let as_user = format!("authorization: Bearer {}\r\n", user_token("ada"));
    assert!(keyed.broadcast(&as_user).await.expect_error(403, "forbidden").contains("API key"));
    keyed.call("GET", "/api/ws/rooms", &as_user, "").await.ok();
    // Where no key helps, none is asked for.
    assert!(!keyed.call("GET", "/api/ws/rooms", "", "").await.expect_error(401, "unauthorized").contains("API key"));
}

#[tokio::test]
async fn the_command_makes_a_key_that_works_and_the_log_has_its_name_only() {
    let output = soon("a key", osbackend(&["api-key", "billing-2"]).output()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let after = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"));
        line.strip_prefix("API_KEYS=").unwrap_or(line).to_owned()
    };
    let (key, entry) = (after("osb_"), after("API_KEYS="));
    assert!(entry.starts_with("billing-2:"), "{text}");

    let mut command = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--drain", "0"]);
    command.env("JWT_SECRET", "a secret of at least 32 bytes, kept").env("API_KEYS", &entry).env("RUST_LOG", "trace");
    let served = Served::start(command).await;
    let mut answers = Vec::new();
    for header in [format!("x-api-key: {key}"), format!("authorization: Bearer {key}"), "x-api-key: osb_wrong-key".to_owned()] {
        let head = format!("POST /api/ws/disconnect?token=in-the-url HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
        answers
            .push(send(served.http, format!("{head}content-length: 16\r\n\r\n{{\"userId\":\"ada\"}}").as_bytes()).await.status);
    }
    let mut refused = Connecting::new(served.ws).query(&key).open().await;
    refused.expect_error("unauthorized").await;
    served.signal("TERM");
    let (status, log) = served.ended().await;
    assert!(status.success());
    assert_eq!(answers, [200, 200, 401]);
    // One line a second for calls that are alike.
    assert!((1..=2).contains(&log.matches("caller=\"api-key:billing-2\"").count()), "{log}");
    assert!(log.contains("path=\"/api/ws/disconnect\" status=401"), "{log}");
    for secret in [key.as_str(), &key[4..], entry.split_once(':').unwrap().1, "osb_wrong-key", "in-the-url"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    for bad in ["a b", "", "a,b", "a:b", "ä"] {
        let output = soon("a refusal", osbackend(&["api-key", bad]).output()).await.unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{bad:?}");
    }
}
