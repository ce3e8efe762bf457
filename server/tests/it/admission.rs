//! Who is let in while others crowd the door: rates by address, the few that are told of their limit, and places that a client
//! takes over from its own dead connection (§6, §10).

use std::net::Ipv4Addr;

use osbackend_server::config::Config;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::support::{Client, Connecting, Refused, Served, TestServer, osbackend, request, send, user_token};

const CROWD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const BYSTANDER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

#[tokio::test]
async fn an_address_that_comes_too_fast_waits_or_is_refused_and_nobody_else_is() {
    let server = TestServer::with(|config| {
        config.limits.connect_rate_per_ip = Some(1);
        config.limits.max_connections_per_ip = None;
    })
    .await;
    let from = |address: Ipv4Addr| server.connecting().query(&user_token("ada")).from(address);
    let mut crowd = JoinSet::new();
    // Far more than five at once and the eight that wait for their turn.
    for _ in 0..200 {
        crowd.spawn(from(CROWD).try_open());
    }
    let mut refused = 0;
    let mut let_in = Vec::new();
    while refused < 50 {
        match crowd.join_next().await.expect("refusals").unwrap() {
            Ok(client) => let_in.push(client),
            Err(Refused(status)) => {
                assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
                refused += 1;
            }
        }
    }
    assert!(let_in.len() >= 5, "{} of the crowd were let in", let_in.len());
    from(BYSTANDER).open().await.expect("connection_established").await;
    let answer = raw_upgrade(&server, CROWD).await;
    assert!(answer.contains("\r\nretry-after: "), "{answer}");
    assert!(answer.contains("CONNECT_RATE_PER_IP"), "{answer}");
}

/// The head and body of a refused upgrade.
async fn raw_upgrade(server: &TestServer, from: Ipv4Addr) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut socket = socket.connect(server.ws).await.unwrap();
    let head = "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    crate::support::soon("the answer", socket.read_to_string(&mut answer)).await.unwrap();
    answer.to_lowercase().replace("connect_rate_per_ip", "CONNECT_RATE_PER_IP")
}

#[tokio::test]
async fn who_is_only_told_of_a_limit_counts_for_the_total_and_few_are() {
    let server = TestServer::with(|config| {
        config.limits.max_connections = Some(10);
        config.limits.max_connections_per_ip = Some(5);
    })
    .await;
    let mut inside = Vec::new();
    for user in 0..5 {
        inside.push(server.user(&format!("user-{user}")).await);
    }
    let (mut told, mut turned_away) = (Vec::new(), 0);
    for _ in 0..40 {
        match server.connecting().query(&user_token("eve")).try_open().await {
            Ok(client) => told.push(client),
            Err(Refused(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)) => turned_away += 1,
            Err(other) => panic!("{other:?}"),
        }
        assert!(server.handle.stats().total_clients <= 10, "{} are open", server.handle.stats().total_clients);
    }
    assert!(!told.is_empty() && turned_away > 0, "{} told, {turned_away} turned away", told.len());
    let mut first = told.remove(0);
    assert!(first.expect_error("limit_reached").await["message"].as_str().unwrap().contains("address"));
    first.expect_close(4005, "connection_limit").await;
    for client in &mut inside {
        client.is_alive().await;
    }
}

fn resume(greeting: &Value) -> Value {
    json!({"clientId": greeting["data"]["clientId"], "token": greeting["data"]["resume"]["token"]})
}

/// A client whose connection died without the server's knowledge, and which comes back: in its own place.
async fn comes_back_in_its_own_place(change: impl FnOnce(&mut Config), user: Option<&str>) {
    let server = TestServer::with(change).await;
    let token = user.map(user_token);
    let payload = |resume: Option<Value>| {
        let mut payload = json!({});
        if let Some(token) = &token {
            payload["token"] = json!(token);
        }
        if let Some(resume) = resume {
            payload["resume"] = resume;
        }
        payload
    };
    let mut dead = server.connecting().connect(payload(None)).await;
    let greeting = dead.expect("connection_established").await;
    let mut other = server.connecting().connect(payload(None)).await;
    limited(&mut other).await;
    // A forged one is no better.
    let mut forged = resume(&greeting);
    forged["token"] = json!("x.y.z");
    limited(&mut server.connecting().connect(payload(Some(forged))).await).await;

    let mut back = server.connecting().connect(payload(Some(resume(&greeting)))).await;
    let again = back.expect("reconnected").await;
    assert_eq!(again["data"]["clientId"], greeting["data"]["clientId"]);
    dead.expect_close(4004, "no_heartbeat").await;
    back.is_alive().await;
    // Its place is counted still, once.
    limited(&mut server.connecting().connect(payload(None)).await).await;
    let mut once_more = server.connecting().connect(payload(Some(resume(&again)))).await;
    once_more.expect("reconnected").await;
}

async fn limited(client: &mut Client) {
    let error = client.expect_error("limit_reached").await;
    assert!(error["retryAfterMs"].as_u64().is_some_and(|ms| ms > 0), "{error}");
    client.expect_close(4005, "connection_limit").await;
}

#[tokio::test]
async fn a_client_at_its_users_limit_comes_back_in_its_own_place() {
    comes_back_in_its_own_place(|config| config.limits.max_connections_per_user = Some(1), Some("ada")).await;
}

#[tokio::test]
async fn a_client_at_its_addresss_limit_comes_back_in_its_own_place() {
    comes_back_in_its_own_place(|config| config.limits.max_connections_per_ip = Some(1), Some("ada")).await;
}

#[tokio::test]
async fn a_client_without_a_user_comes_back_in_its_own_place() {
    let change = |config: &mut Config| {
        config.limits.max_connections_per_ip = Some(1);
        config.auth.allow_anonymous = true;
    };
    comes_back_in_its_own_place(change, None).await;
}

#[tokio::test]
async fn who_says_nothing_at_its_addresss_limit_is_told_of_it() {
    let server = TestServer::with(|config| config.limits.max_connections_per_ip = Some(1)).await;
    let _first = server.user("ada").await;
    let mut silent = server.connecting().v1().open().await;
    let error = silent.expect_error("limit_reached").await;
    assert!(error["message"].as_str().unwrap().contains("this address"), "{error}");
    silent.expect_close(4005, "connection_limit").await;
}

#[tokio::test]
async fn the_limit_that_refused_is_named() {
    let server = TestServer::with(|config| config.limits.max_connections_per_user = Some(1)).await;
    let _first = server.user("ada").await;
    let mut second = server.connecting().query(&user_token("ada")).open().await;
    let error = second.expect_error("limit_reached").await;
    assert!(error["message"].as_str().unwrap().contains("this user"), "{error}");
}

async fn served(settings: &[(&str, &str)]) -> Served {
    let mut command = osbackend(&["serve", "--port", "0", "--ws-port", "0", "--host", "127.0.0.1", "--drain", "0"]);
    command.env("JWT_SECRET", crate::support::SECRET).envs(settings.iter().copied());
    Served::start(command).await
}

#[tokio::test]
async fn an_operator_hears_of_a_proxy_that_is_not_trusted() {
    let mut served = served(&[("MAX_CONNECTIONS_PER_IP", "2")]).await;
    let through =
        |n: u8| Connecting::new(served.ws).query(&user_token("ada")).header("x-forwarded-for", format!("203.0.113.{n}"));
    let (mut first, mut second, mut third) = (through(1).open().await, through(2).open().await, through(3).open().await);
    first.expect("connection_established").await;
    second.expect("connection_established").await;
    third.expect_error("limit_reached").await;
    assert!(served.logged("X-Forwarded-For").await.contains("TRUSTED_PROXIES=127.0.0.1"));
    assert!(served.logged("all connections come from 127.0.0.1").await.contains("TRUSTED_PROXIES=127.0.0.1"));
    served.signal("TERM");
    let (_, log) = served.ended().await;
    assert_eq!(log.matches("X-Forwarded-For comes from").count(), 1, "{log}");
}

#[tokio::test]
async fn a_refused_origins_line_tells_what_it_takes_to_mend_it() {
    let mut served = served(&[]).await;
    for n in 0..50 {
        let origin = format!("https://app.example.com/{n}\"x");
        let from = Connecting::new(served.ws).header("origin", if n == 0 { "https://app.example.com" } else { &origin });
        assert_eq!(from.try_open().await.err(), Some(Refused(StatusCode::FORBIDDEN)));
    }
    let line = served.logged("connection refused").await;
    for part in ["https://app.example.com", "127.0.0.1", "ALLOWED_ORIGINS", "reason=\"origin\""] {
        assert!(line.contains(part), "{part}: {line}");
    }
    served.signal("TERM");
    let (_, log) = served.ended().await;
    // One a second at most.
    let lines = log.matches("connection refused").count();
    assert!(lines < 50, "{lines} lines: {log}");
}

#[tokio::test]
async fn local_pages_and_hosts_told_by_trusted_proxies_connect() {
    let local = TestServer::with(|config| config.auth.allowed_origins = Some(vec!["file://".into()])).await;
    let page = |origin: &str| local.connecting().query(&user_token("ada")).header("origin", origin);
    page("file://").open().await.expect("connection_established").await;
    assert_eq!(page("null").try_open().await.err(), Some(Refused(StatusCode::FORBIDDEN)));

    for (trusted, let_in) in [("127.0.0.1", true), ("10.0.0.1", false)] {
        let server =
            TestServer::with(|config| config.listen.trusted_proxies = vec![trusted.parse::<std::net::IpAddr>().unwrap().into()])
                .await;
        let proxied = server.connecting().query(&user_token("ada")).header("origin", "https://app.example.com");
        let proxied = proxied.header("x-forwarded-host", "app.example.com").header("x-forwarded-for", "203.0.113.9");
        assert_eq!(proxied.try_open().await.is_ok(), let_in, "{trusted}");
        let head = format!(
            "GET /api/ws/status HTTP/1.1\r\nhost: {}\r\nconnection: close\r\norigin: https://app.example.com\r\n",
            server.http
        );
        let answer = send(server.http, format!("{head}x-forwarded-host: app.example.com\r\n\r\n").as_bytes()).await;
        assert_eq!(answer.head.contains("access-control-allow-origin: https://app.example.com"), let_in, "{}", answer.head);
    }
}

#[tokio::test]
async fn development_sessions_are_this_machines_only() {
    let served = Served::dev().await;
    assert!(request(served.http, "GET", "/dev/session", None, "").await.ok()["adminToken"].is_string());
    for header in ["x-forwarded-for: 127.0.0.1", "Forwarded: for=127.0.0.1", "Via: 1.1 proxy", "X-Real-IP: 127.0.0.1"] {
        for address in [served.http, served.ws] {
            let head = format!("GET /dev/session HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{header}\r\n\r\n");
            send(address, head.as_bytes()).await.expect_error(403, "forbidden");
        }
    }
}

#[tokio::test]
async fn beside_a_real_secret_no_development_session_is_given_out() {
    for (name, value) in [("JWT_SECRET", crate::support::SECRET), ("SUPABASE_JWT_SECRET", crate::support::SECRET)] {
        let mut command = osbackend(&["serve", "--dev", "--port", "0", "--ws-port", "0", "--drain", "0"]);
        command.env(name, value).env("OSBACKEND_DEV_SECRET", "a secret that must not be taken, 32 bytes");
        let served = Served::start(command).await;
        assert!(!served.banner.contains("eyJ"), "{}", served.banner);
        assert_eq!(request(served.http, "GET", "/dev/session", None, "").await.status, 404, "{name}");
    }
}

#[tokio::test]
async fn dev_on_an_address_that_others_reach_says_what_that_means() {
    let served =
        Served::start(osbackend(&["serve", "--dev", "--host", "0.0.0.0", "--port", "0", "--ws-port", "0", "--drain", "0"])).await;
    assert!(served.banner.contains("WARNING") && served.banner.contains("HOST=0.0.0.0"), "{}", served.banner);
    served.signal("TERM");
    let (_, log) = served.ended().await;
    assert!(log.contains("--dev with HOST=0.0.0.0"), "{log}");
}
