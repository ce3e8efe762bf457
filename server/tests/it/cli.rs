//! The binary: what it prints, when it refuses, how it stops.

use std::process::ExitStatus;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Connecting, Served, TempDir, osbackend, request, send, soon};

async fn run(mut command: Command) -> (ExitStatus, String, String) {
    let output = soon("the command to end", command.output()).await.unwrap();
    (output.status, String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn without_a_secret_it_refuses_and_says_what_to_set() {
    let (status, _, error) = run(osbackend(&["serve", "--port", "0", "--ws-port", "0"])).await;
    assert_eq!(status.code(), Some(2));
    assert!(error.contains("JWT_SECRET") && error.contains("--dev"), "{error}");
}

#[tokio::test]
async fn a_bad_setting_is_named() {
    let mut command = osbackend(&["serve", "--dev"]);
    command.env("HEARTBEAT", "soon");
    let (status, _, error) = run(command).await;
    assert_eq!(status.code(), Some(2));
    assert!(error.contains("HEARTBEAT=\"soon\"") && error.contains("25s"), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (status, _, error) = run(osbackend(&["serve", "--dev", "--port", "0", "--ws-port", &port])).await;
    assert_eq!(status.code(), Some(1));
    assert!(error.contains(&port) && error.contains("in use") && error.contains("--ws-port"), "{error}");
}

#[tokio::test]
async fn a_demo_that_is_not_there_is_named() {
    let (status, _, error) = run(osbackend(&["serve", "--dev", "--demo-dir", "no/such/dir"])).await;
    assert_eq!(status.code(), Some(2));
    assert!(error.contains("--demo-dir") && error.contains("cargo xtask demo"), "{error}");
}

#[tokio::test]
async fn config_and_token_print_what_was_asked_for() {
    let (status, table, _) = run(osbackend(&["config"])).await;
    assert!(status.success() && table.contains("WS_PORT") && table.contains("default: 8082"), "{table}");
    let (_, markdown, _) = run(osbackend(&["config", "--markdown"])).await;
    assert!(markdown.starts_with("### `[listen]`") && markdown.contains("| variable |"), "{markdown}");

    let secret = "a secret for the command line, 32 bytes and more";
    let mut command = osbackend(&["token", "--user", "ada", "--role", "admin", "--expires-in", "5m"]);
    command.env("JWT_SECRET", secret);
    let (status, token, _) = run(command).await;
    assert!(status.success());
    let verified = osbackend_server::auth::Authenticator::hs256(&secret.into()).verify(token.trim()).await.unwrap();
    assert!(verified.identity.sub == "ada" && verified.identity.is_admin());
    let (status, _, error) = run(osbackend(&["token", "--user", "ada"])).await;
    assert!(status.code() == Some(2) && error.contains("JWT_SECRET"), "{error}");
}

#[tokio::test]
async fn dev_prints_tokens_and_a_demo_that_is_alive_at_once() {
    let served = Served::dev().await;
    assert!(served.ws.ip().is_loopback());
    let tokens: Vec<_> = served.banner.lines().filter(|line| line.starts_with("eyJ")).map(str::to_owned).collect();
    assert_eq!(tokens.len(), 2, "{}", served.banner);
    let key = served.banner.lines().find(|line| line.starts_with("osb_")).unwrap_or_else(|| panic!("{}", served.banner));
    let head = format!("GET /api/ws/status HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-api-key: {key}\r\n\r\n");
    assert!(send(served.http, head.as_bytes()).await.ok()["rooms"].is_object(), "a key that backends can use");
    assert!(served.banner.contains(&format!("http://localhost:{}/", served.http.port())), "{}", served.banner);
    // A link to a page that isn't there would be a dead one.
    let page = request(served.http, "GET", "/", None, "").await.body;
    let says_so = served.banner.contains("not in this binary");
    assert_eq!(says_so, page.contains("is not in this binary"), "{}{page}", served.banner);
    assert!(served.banner.contains(&format!("wscat -c 'ws://localhost:{}/ws?token=", served.ws.port())), "{}", served.banner);

    let mut client = Connecting::new(served.ws).query(&tokens[0]).open().await;
    let greeting = client.expect("connection_established").await;
    assert_eq!((&greeting["data"]["userId"], &greeting["data"]["role"]), (&json!("demo-user"), &json!("user")));
    client.send("join", json!({"room": "dashboard:overview"})).await;
    let mut seen = std::collections::BTreeSet::new();
    while !(seen.contains("voice_call") && seen.contains("call_cost") && seen.contains("system_health") && seen.contains("live"))
    {
        let message = client.next().await;
        if message["type"] == "metric_update" {
            seen.insert(message["data"]["metric"].as_str().unwrap().to_owned());
        }
        if message["offset"].is_u64() && message.get("snapshot").is_none() {
            seen.insert("live".to_owned());
        }
    }
    let mut admin = Connecting::new(served.http).query(&tokens[1]).open().await;
    assert_eq!(admin.expect("connection_established").await["data"]["role"], "admin");

    let session = request(served.http, "GET", "/dev/session", None, "").await;
    assert!(session.head.contains("cache-control: no-store"), "{}", session.head);
    let session = session.ok();
    for (field, user) in [("token", "demo-user"), ("adminToken", "demo-admin")] {
        let mut client = Connecting::new(served.ws).query(session[field].as_str().unwrap()).open().await;
        assert_eq!(client.expect("connection_established").await["data"]["userId"], user);
    }
}

/// Wherever it is started: the page is in the binary, where it was built before it (`cargo xtask demo`, `cargo xtask test`).
#[tokio::test]
async fn dev_has_its_page_in_the_binary_and_others_have_none() {
    let empty = TempDir::new();
    let start = async |args: &[&str]| {
        let mut command = osbackend(&[&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0"], args].concat());
        command.current_dir(empty.path());
        Served::start(command).await
    };
    let served = start(&["--dev"]).await;
    let get = async |path: &str| request(served.http, "GET", path, None, "").await;
    let page = get("/").await;
    let names = page.body.split('"').filter(|text| text.starts_with("/assets/"));
    let names: Vec<_> = names.map(str::to_owned).collect();
    if served.banner.contains("not in this binary") {
        assert!(page.body.contains("`cargo xtask demo` builds both"), "{}", page.body);
    } else {
        assert!(page.head.contains("content-type: text/html") && page.head.contains("cache-control: no-cache"), "{}", page.head);
        assert!(names.len() > 1, "{}", page.body);
        for name in &names {
            let file = get(name).await;
            assert!(
                file.status == 200 && file.head.contains("immutable") && file.head.contains("etag: "),
                "{name}: {}",
                file.head
            );
        }
        let missing = get("/assets/missing.js").await;
        assert!(missing.status == 404 && !missing.head.contains("immutable"), "{}", missing.head);
        assert_eq!(request(served.http, "POST", "/", None, "").await.status, 405);
        get("/api/ws/nothing").await.expect_error(404, "not_found");
    }
    // A server for real has no use for a demo.
    let real = start(&["--jwt-secret", "a secret of at least 32 bytes, kept"]).await;
    let page = request(real.http, "GET", "/", None, "").await;
    assert!(
        page.status == 200 && page.body.starts_with("osbackend realtime is running") && !page.body.contains("demo"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn a_built_demo_is_served_with_types_and_caching() {
    let dir = std::env::temp_dir().join(format!("osbackend-demo-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("assets")).unwrap();
    std::fs::write(dir.join("index.html"), "<!doctype html>the demo").unwrap();
    std::fs::write(dir.join("assets/client-abc123.wasm"), b"\0asm").unwrap();
    let served =
        Served::start(osbackend(&["serve", "--dev", "--port", "0", "--ws-port", "0", "--demo-dir", dir.to_str().unwrap()])).await;
    let get = async |path: &str| request(served.http, "GET", path, None, "").await;

    let page = get("/").await;
    assert_eq!((page.status, page.body.as_str()), (200, "<!doctype html>the demo"));
    assert!(page.head.contains("content-type: text/html") && page.head.contains("cache-control: no-cache"), "{}", page.head);
    let wasm = get("/assets/client-abc123.wasm").await;
    assert_eq!(wasm.status, 200);
    assert!(wasm.head.contains("content-type: application/wasm") && wasm.head.contains("immutable"), "{}", wasm.head);
    let missing = get("/assets/missing.js").await;
    assert!(missing.status == 404 && !missing.head.contains("immutable"), "{}", missing.head);
    assert_eq!(get("/../Cargo.toml").await.status, 404);
    get("/api/ws/nothing").await.expect_error(404, "not_found");
    get("/api/ws/status").await.ok();
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn it_drains_and_ends_well_on_both_signals() {
    for signal in ["TERM", "INT"] {
        let served = Served::dev().await;
        let session: Value = request(served.http, "GET", "/dev/session", None, "").await.ok();
        let token = session["token"].as_str().unwrap().to_owned();
        let mut client = Connecting::new(served.ws).query(&token).open().await;
        client.expect("connection_established").await;
        let http = served.http;
        served.signal(signal);
        let draining = loop {
            let message = client.next().await;
            if message["room"].is_null() {
                break message;
            }
        };
        assert_eq!(draining["type"], "draining", "{draining}");
        assert_eq!(client.closed().await, (1012, "restart".to_owned()));
        let (status, log) = served.ended().await;
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!log.contains(&token), "a token in the log");
        assert!(tokio::net::TcpStream::connect(http).await.is_err(), "the port is free");
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_any_more_does_not_end_it() {
    let mut served = Served::dev().await;
    served.close_log().await;
    let session: Value = request(served.http, "GET", "/dev/session", None, "").await.ok();
    let mut client = Connecting::new(served.ws).query(session["token"].as_str().unwrap()).open().await;
    client.expect("connection_established").await;
    served.signal("TERM");
    assert_eq!(client.closed().await, (1012, "restart".to_owned()));
    assert_eq!(served.ended().await.0.code(), Some(0));
}

#[tokio::test]
async fn logs_are_json_where_asked_for_and_hold_no_token() {
    let mut command = osbackend(&["serve", "--port", "0", "--ws-port", "0", "--host", "127.0.0.1", "--log-format", "json"]);
    let secret = "a secret for the log's test, 32 bytes and more";
    command.env("JWT_SECRET", secret).env("RUST_LOG", "trace");
    let served = Served::start(command).await;
    assert_eq!(served.banner, "", "nothing is printed but the addresses");
    let token = osbackend_server::auth::mint::Token::for_user("ada").sign(&secret.into()).unwrap();
    let mut client = Connecting::new(served.ws).query(&token).open().await;
    client.expect("connection_established").await;
    client.request("auth", json!({"token": token})).await;
    let refused = format!("{token}x");
    Connecting::new(served.ws).bearer(&refused).open().await.closed().await;
    request(served.http, "GET", "/api/ws/rooms", Some(&token), "").await.ok();
    request(served.http, "GET", "/dev/session", None, "").await;
    served.signal("TERM");
    let (status, log) = served.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(log.lines().next().is_some_and(|line| serde_json::from_str::<Value>(line).is_ok()), "{log:.300}");
    let signature = token.rsplit('.').next().unwrap();
    assert!(!log.contains(&token) && !log.contains(signature) && !log.contains(secret), "a secret in the log");
}

#[tokio::test]
async fn the_demo_page_may_be_somebody_else() {
    let served = Served::dev().await;
    let session: Value = request(served.http, "GET", "/dev/session?as=Grace", None, "").await.ok();
    let mut client = Connecting::new(served.ws).query(session["token"].as_str().unwrap()).open().await;
    assert_eq!(client.expect("connection_established").await["data"]["userId"], "demo-grace");
    client.send_text(json!({"type": "join", "payload": {"room": "dashboard:overview"}}).to_string()).await;
    client.send_text(json!({"type": "presence:get", "payload": {"room": "dashboard:overview"}, "id": 1}).to_string()).await;
    // The demo goes on meanwhile.
    let presence = loop {
        let message = client.next().await;
        if message["id"] == 1 {
            break message;
        }
    };
    assert_eq!(presence["data"]["users"][0]["info"]["name"], "Grace", "{presence}");
    for name in ["", "a%20b", "%3Cb%3E", "waytoolongforthenameofanybodyhere"] {
        request(served.http, "GET", &format!("/dev/session?as={name}"), None, "").await.expect_error(400, "bad_request");
    }
}

#[tokio::test]
async fn the_demo_has_a_past_that_is_marked_as_filled_in() {
    let served = Served::dev().await;
    let session: Value = request(served.http, "GET", "/dev/session", None, "").await.ok();
    let week = "/api/ws/metrics?type=voice_call&interval=1h&startDate=2020-01-01";
    let points = async || {
        let hours: Value = request(served.http, "GET", week, session["token"].as_str(), "").await.ok();
        hours["points"].as_array().unwrap().clone()
    };
    let hours = points().await;
    assert!(hours.len() >= 168, "{} hours", hours.len());
    let of = |hour: &Value, value: &str| hour["values"][value]["count"].as_u64().unwrap_or(0);
    assert_eq!(of(&hours[0], "backfilled"), of(&hours[0], "active"));
    let live = async { while points().await.last().is_none_or(|hour| of(hour, "backfilled") >= of(hour, "active")) {} };
    soon("a value that is not marked", live).await;
}
