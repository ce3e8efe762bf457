//! No token and no secret is ever in the log, however much is logged; and what whoever runs it needs to see is.

use std::time::Instant;

use serde_json::{Value, json};

use osbackend_server::auth::api_key::generate;
use osbackend_server::auth::mint::Token;

use crate::support::{Backend, Connecting, Served, WEBHOOK_SECRET, osbackend, request, send};

const SECRET: &str = "a secret for the log's tests, 32 bytes and more";

/// Everything that was given to the server, or by it, and must not be logged.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    fn token(&mut self, token: Token) -> String {
        let token = token.sign(&SECRET.into()).unwrap();
        self.keep(&token);
        token
    }

    /// A JWT is as bad in parts: whoever has its signature and knows the claims has it.
    fn keep(&mut self, secret: &str) {
        self.0.push(secret.to_owned());
        if let Some((_, signature)) = secret.rsplit_once('.').filter(|(_, signature)| signature.len() > 20) {
            self.0.push(signature.to_owned());
        }
    }

    fn assert_not_in(&self, log: &str) {
        assert!(self.0.len() > 15, "{}", self.0.len());
        for secret in &self.0 {
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "{secret} is in the log");
        }
    }
}

/// A whole day in the life of a server, at the most talkative filter; its log, and what must not be in it.
async fn run(format: &str) -> (String, Secrets) {
    let mut secrets = Secrets::default();
    secrets.keep(SECRET);
    let billing = generate("billing").unwrap();
    secrets.keep(&billing.key);
    secrets.keep(billing.entry.split_once(':').unwrap().1);
    secrets.keep("osb_a-key-of-nobody");
    let mut command = osbackend(&["serve", "--port", "0", "--ws-port", "0", "--host", "127.0.0.1", "--drain", "50ms"]);
    command.env("JWT_SECRET", SECRET).env("LOG_FORMAT", format).env("ALLOWED_ORIGINS", "https://good.example");
    command.env("API_KEYS", &billing.entry);
    // Directives for the modules that log frames and heads: longer ones than a cap on their crates would be.
    let filter =
        "trace,tungstenite::protocol=trace,tokio_tungstenite=trace,hyper::proto=trace,hyper_util=trace,axum::rejection=trace";
    command.env("RUST_LOG", filter);
    let served = Served::start(command).await;

    let user = secrets.token(Token::for_user("ada"));
    let mut by_url = Connecting::new(served.ws).query(&user).open().await;
    by_url.expect("connection_established").await;
    let refreshed = secrets.token(Token::for_user("ada").role("user"));
    by_url.request("auth", json!({"token": refreshed})).await;
    let mut by_header = Connecting::new(served.http).bearer(&secrets.token(Token::for_user("bob"))).open().await;
    by_header.expect("connection_established").await;
    let other_header = secrets.token(Token::for_user("cy"));
    Connecting::new(served.ws).header("x-auth-token", other_header).open().await.expect("connection_established").await;
    let mut by_message = Connecting::new(served.ws).open().await;
    by_message.expect("connection_established").await;
    by_message.request("auth", json!({"token": secrets.token(Token::for_user("di"))})).await;

    let inside = secrets.token(Token::for_user("eve"));
    let mut sdk = Connecting::new(served.ws).connect(json!({"token": inside})).await;
    let greeting = sdk.expect("connection_established").await;
    let (client, resume) = (&greeting["data"]["clientId"], greeting["data"]["resume"]["token"].as_str().unwrap());
    secrets.keep(resume);
    drop(sdk);
    let resume = json!({"clientId": client, "token": resume});
    let mut again = Connecting::new(served.ws).connect(json!({"token": inside, "resume": resume})).await;
    again.expect("reconnected").await;
    let forged = json!({"clientId": client, "token": "forged.resume.token-of-nobody-at-all"});
    secrets.keep("forged.resume.token-of-nobody-at-all");
    Connecting::new(served.ws).connect(json!({"token": inside, "resume": forged})).await.expect("connection_established").await;

    // Refused ones.
    let tampered = format!("{user}x");
    secrets.keep(&tampered);
    Connecting::new(served.ws).query(&tampered).open().await.closed().await;
    Connecting::new(served.ws).bearer("opaque-but-secret-all-the-same").open().await.closed().await;
    secrets.keep("opaque-but-secret-all-the-same");
    Connecting::new(served.ws).query(&user).bearer(&inside).open().await.closed().await;
    let refused = Connecting::new(served.ws).query(&user).header("origin", "https://evil.example").try_open().await;
    assert!(refused.is_err());
    by_message.request("auth", json!({"token": tampered})).await;
    let unread = format!(r#"{{"type":"auth","payload":{{"token":["{user}"]}},"id":7}}"#);
    by_message.send_text(unread).await;
    by_message.expect_error("bad_request").await;

    // The API, by all its ways.
    let admin = secrets.token(Token::for_user("root").role("admin"));
    request(served.http, "GET", "/api/ws/rooms", Some(&user), "").await.ok();
    request(served.http, "GET", &format!("/api/ws/status?token={admin}"), None, "").await.ok();
    request(served.http, "GET", &format!("/readyz?token={user}"), None, "").await.ok();
    request(served.http, "GET", "/api/ws/rooms", Some(&tampered), "").await.expect_error(401, "unauthorized");
    let event = json!({"type": "clip_played", "data": {"clipId": "c", "plays": 1}}).to_string();
    request(served.http, "POST", "/api/ws/events", Some(&admin), event).await.ok();
    let key = &billing.key;
    for (header, path, answer) in [
        (format!("x-api-key: {key}"), "/api/ws/status", 200),
        (format!("authorization: Bearer {key}"), "/api/ws/status", 200),
        (format!("x-api-key: {key}"), "/api/ws/rooms", 401),
        ("x-api-key: osb_a-key-of-nobody".to_owned(), "/api/ws/rooms", 401),
        ("authorization: Bearer osb_a-key-of-nobody".to_owned(), "/api/ws/rooms", 401),
        (format!("x-auth-token: {user}"), "/api/ws/rooms", 200),
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{header}\r\n\r\n", served.http);
        assert_eq!(send(served.http, head.as_bytes()).await.status, answer, "{path}");
    }
    for header in [format!("x-api-key: {key}"), format!("authorization: Bearer {key}")] {
        let head = format!("POST /api/ws/disconnect HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{header}\r\n", served.http);
        let answer = send(served.http, format!("{head}content-length: 19\r\n\r\n{{\"userId\":\"nobody\"}}").as_bytes()).await;
        assert_eq!(answer.status, 200);
    }
    Connecting::new(served.ws).query(key).open().await.closed().await;
    // A token where a room or a call should stand.
    request(served.http, "GET", &format!("/api/ws/rooms/{user}/history"), Some(&user), "").await.expect_error(400, "bad_request");
    request(served.http, "GET", &format!("/api/ws/{user}"), None, "").await.expect_error(404, "not_found");
    let broken = format!("GET /ws?token={user} HTTP/9.9\r\nauthorization: Bearer {admin}\r\n\r\n");
    send(served.http, broken.as_bytes()).await;

    served.signal("TERM");
    let (status, log) = served.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    (log, secrets)
}

#[tokio::test]
async fn text_logs_tell_what_happened_and_hold_no_secret() {
    let (log, secrets) = run("text").await;
    for told in [
        "listening",
        "connection opened",
        "connection closed",
        "token refused",
        "refused at the door",
        "connection refused",
        "reason=\"origin\"",
        "reason=\"the token",
        "path=\"/api/ws/events\" status=200",
        "path=\"/api/ws/rooms\" status=401",
        "path=\"/api/ws/disconnect\" status=200",
        "caller=\"api-key:billing\"",
        "caller=\"user:root\"",
        "draining",
        "drained",
    ] {
        assert!(log.contains(told), "{told} is not in the log:\n{log}");
    }
    secrets.assert_not_in(&log);
}

#[tokio::test]
async fn json_logs_are_objects_with_fields_and_hold_no_secret() {
    let (log, secrets) = run("json").await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |message: &str| lines.iter().filter(|line| line["message"] == message).collect::<Vec<_>>();
    let events = of("request").into_iter().find(|line| line["path"] == "/api/ws/events").unwrap();
    assert_eq!((&events["method"], &events["status"]), (&json!("POST"), &json!(200)), "{events}");
    assert!(events["ms"].is_f64() && events["level"] == "INFO", "{events}");
    let status = of("request").into_iter().find(|line| line["path"] == "/api/ws/status").unwrap();
    assert_eq!(status["status"], 200, "the path is without its query: {status}");
    let closed = of("connection closed by the server").into_iter().find(|line| line["code"] == 4501).unwrap();
    assert!(closed["client"].is_string() && closed["address"] == "127.0.0.1" && closed["ms"].is_u64(), "{closed}");
    assert!(of("token refused").iter().all(|line| line["reason"].is_string()));
    assert!(!of("token refused").is_empty());
    secrets.assert_not_in(&log);
}

/// A flood of calls, of refused ones and of paths that are none, by one address.
#[tokio::test]
async fn a_call_is_one_line_and_a_flood_of_calls_is_one_line_a_second() {
    let mut command = osbackend(&["serve", "--port", "0", "--ws-port", "0", "--host", "127.0.0.1", "--drain", "0"]);
    command.env("JWT_SECRET", SECRET).env("API_RATE_PER_IP", "0");
    let served = Served::start(command).await;
    let admin = Token::for_user("root").role("admin").sign(&SECRET.into()).unwrap();
    let began = Instant::now();
    for _ in 0..300 {
        request(served.http, "GET", "/api/ws/rooms", Some(&admin), "").await.ok();
        request(served.http, "GET", "/api/ws/rooms", Some("a.b.c"), "").await.expect_error(401, "unauthorized");
        request(served.http, "GET", "/api/ws/no-such-call", None, "").await.expect_error(404, "not_found");
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    served.signal("TERM");
    let (_, log) = served.ended().await;
    for (status, what) in [(200, "caller=\"user:root\""), (401, "reason=\"the token"), (404, "/api/ws/no-such-call")] {
        let lines = log.lines().filter(|line| line.contains(&format!("status={status}")) && line.contains(what)).count();
        assert!((1..=seconds + 2).contains(&lines), "{lines} lines for 300 calls with {status} in {seconds} s:\n{log}");
    }
    let of_calls = log.lines().filter(|line| line.contains("/api/ws/")).count();
    assert!(of_calls <= 3 * (seconds + 2), "more than one line for a call:\n{log}");
    assert!(seconds < 2 || log.contains("left_out="), "{log}");
}

/// A flood of requests that need an upstream, while it is away, and one of messages that need a backend, while it fails.
#[tokio::test]
async fn an_upstream_or_a_backend_that_is_away_is_one_line_a_second_however_often_it_is_asked_for() {
    let mut command = osbackend(&["gateway", "--host", "127.0.0.1", "--port", "0", "--drain", "0"]);
    // Port 1 of loopback: nobody listens there.
    command.env("WS_UPSTREAM", "ws://127.0.0.1:1");
    let gateway = Served::start(command).await;
    let began = Instant::now();
    for _ in 0..300 {
        assert_eq!(request(gateway.http, "GET", "/ws", None, "").await.status, 503);
    }
    assert_lines(gateway, began, "no answer from WS_UPSTREAM").await;

    let mut backend = Backend::start().await;
    let mut command = osbackend(&["serve", "--port", "0", "--ws-port", "0", "--host", "127.0.0.1", "--drain", "0"]);
    command.env("JWT_SECRET", SECRET).env("WEBHOOK_URL", format!("http://{}/hook", backend.address));
    command.env("WEBHOOK_SECRET", WEBHOOK_SECRET).env("WEBHOOK_EVENTS", "custom").env("MESSAGE_RATE", "0");
    let served = Served::start(command).await;
    let user = Token::for_user("ada").sign(&SECRET.into()).unwrap();
    let mut client = Connecting::new(served.ws).query(&user).open().await;
    client.expect("connection_established").await;
    let began = Instant::now();
    for _ in 0..300 {
        client.send_text(json!({"type": "call:start", "payload": {}, "id": 1}).to_string()).await;
        // One user's failures do not open the breaker.
        backend.next("custom").await.status(500);
        client.expect_error("unavailable").await;
    }
    assert_lines(served, began, "a webhook question failed").await;
}

async fn assert_lines(served: Served, began: Instant, what: &str) {
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    served.signal("TERM");
    let (_, log) = served.ended().await;
    let lines = log.lines().filter(|line| line.contains(what)).count();
    assert!((1..=seconds + 2).contains(&lines), "{lines} lines in {seconds} s:\n{log}");
}
