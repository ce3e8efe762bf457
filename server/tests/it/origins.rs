//! Origins (§1) over HTTP, on both listeners: who may upgrade, and who may read the API from a page.

use std::net::SocketAddr;

use crate::support::{Answer, Connecting, Refused, TestServer, send, user_token};

const GOOD: &str = "https://app.example.com";

async fn server() -> TestServer {
    TestServer::with(|config| config.auth.allowed_origins = Some(vec![GOOD.into(), "https://*.example.org".into()])).await
}

/// Texts that look like an allowed origin and are none.
const LOOK_ALIKES: [&str; 16] = [
    "null",
    "https://app.example.com.evil.com",
    "https://evilapp.example.com",
    "https://good@evil.com",
    "https://app.example.com@evil.com",
    "https://app.example.com.",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://app.example.com/",
    "https://xn--pp-xka.example.com",
    "https://evil.com#https://app.example.com",
    "https://app.example.com, https://evil.com",
    "https://evilexample.org",
    "https://example.org",
    "https://evil.com/.example.org",
    "https://a.example.org.evil.com",
];

#[tokio::test]
async fn look_alikes_get_403_before_the_upgrade_and_the_listed_ones_connect() {
    let server = server().await;
    let token = user_token("ada");
    for address in [server.ws, server.http] {
        for bad in LOOK_ALIKES {
            let refused = Connecting::new(address).query(&token).header("origin", bad).try_open().await.err();
            assert_eq!(refused, Some(Refused(403.try_into().unwrap())), "{bad}");
        }
        for good in [GOOD, "https://app.example.com:443", "https://a.example.org"] {
            let mut client = Connecting::new(address).query(&token).header("origin", good).open().await;
            client.expect("connection_established").await;
        }
        // Not a browser.
        Connecting::new(address).query(&token).open().await.expect("connection_established").await;
    }
}

async fn raw(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n");
    send(address, head.as_bytes()).await
}

#[tokio::test]
async fn several_origins_are_refused() {
    let server = server().await;
    let two = format!("origin: {GOOD}\r\norigin: {GOOD}\r\n");
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{two}\r\n"
    );
    // Refused before the upgrade; the listener then waits for another request, which this end does not send.
    let once = upgrade.replacen("connection: upgrade", "connection: upgrade, close", 1);
    assert_eq!(send(server.ws, once.as_bytes()).await.status, 403);
    let api = raw(server.http, "GET", "/api/ws/status", &two).await;
    assert!(!api.head.contains("access-control-allow-origin"), "{}", api.head);
}

#[tokio::test]
async fn pages_of_listed_origins_may_read_the_api() {
    let server = server().await;
    for address in [server.http, server.ws] {
        for path in ["/api/ws/status", "/healthz", "/api/ws/nothing", "/api/ws/rooms"] {
            let answer = raw(address, "GET", path, &format!("origin: {GOOD}\r\n")).await;
            assert!(answer.head.contains(&format!("access-control-allow-origin: {GOOD}\r\n")), "{path}: {}", answer.head);
            assert!(answer.head.contains("vary: origin"), "{path}: {}", answer.head);
            assert!(!answer.head.contains("access-control-allow-credentials"), "{}", answer.head);
        }
        for bad in LOOK_ALIKES {
            let answer = raw(address, "GET", "/api/ws/status", &format!("origin: {bad}\r\n")).await;
            assert!(!answer.head.contains("access-control-allow-origin"), "{bad}: {}", answer.head);
            assert!(answer.head.contains("vary: origin"), "{bad}: {}", answer.head);
        }
        let none = raw(address, "GET", "/api/ws/status", "").await;
        assert_eq!(none.status, 200);
        assert!(!none.head.contains("access-control-allow-origin") && none.head.contains("vary: origin"), "{}", none.head);
    }
}

#[tokio::test]
async fn a_preflight_allows_what_the_calls_need() {
    let server = server().await;
    let preflight = |origin: &str| {
        format!(
            "origin: {origin}\r\naccess-control-request-method: POST\r\n\
             access-control-request-headers: authorization,content-type,x-api-key,idempotency-key\r\n"
        )
    };
    for address in [server.http, server.ws] {
        let answer = raw(address, "OPTIONS", "/api/ws/broadcast", &preflight(GOOD)).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert!(answer.head.contains(&format!("access-control-allow-origin: {GOOD}\r\n")), "{}", answer.head);
        let line = |name: &str| answer.head.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        for needed in ["authorization", "content-type", "x-api-key", "idempotency-key"] {
            assert!(line("access-control-allow-headers").contains(needed), "{needed}: {}", answer.head);
        }
        let methods = line("access-control-allow-methods");
        assert!(methods.contains("get") && methods.contains("post"), "{}", answer.head);
        assert!(answer.head.contains("vary: origin") && answer.head.contains("access-control-max-age: 600"), "{}", answer.head);
        for bad in LOOK_ALIKES {
            let refused = raw(address, "OPTIONS", "/api/ws/broadcast", &preflight(bad)).await;
            assert!(!refused.head.contains("access-control-allow-origin"), "{bad}: {}", refused.head);
        }
    }
}

#[tokio::test]
async fn without_a_list_the_same_host_is_allowed() {
    let server = TestServer::start().await;
    let own = raw(server.http, "GET", "/api/ws/status", &format!("origin: http://{}\r\n", server.ws)).await;
    assert!(own.head.contains(&format!("access-control-allow-origin: http://{}\r\n", server.ws)), "{}", own.head);
    let other = raw(server.http, "GET", "/api/ws/status", "origin: http://127.0.0.2\r\n").await;
    assert!(!other.head.contains("access-control-allow-origin"), "{}", other.head);
}
