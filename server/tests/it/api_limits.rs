//! What the HTTP API bounds: calls by user and by address, connections by address, answers that nobody reads, and idle ones.

use std::net::SocketAddr;
use std::time::Duration;

use osbackend_server::auth::api_key::generate;
use osbackend_server::config::ApiKey;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Answer, TestServer, admin_token, request, send, soon, user_token};

const STATUS: &str = "/api/ws/status";

/// A request by a proxy at this machine, on behalf of `client`.
async fn forwarded(address: SocketAddr, client: &str, token: Option<&str>) -> Answer {
    let auth = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!("GET {STATUS} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-forwarded-for: {client}\r\n{auth}\r\n");
    send(address, head.as_bytes()).await
}

/// The rates are so low that no quota comes back while the test runs.
async fn limited(behind_a_proxy: bool) -> (TestServer, String) {
    let key = generate("billing").unwrap();
    let entry = key.entry.clone();
    let server = TestServer::with(move |config| {
        config.limits.api_rate = Some(1);
        config.limits.api_rate_per_ip = Some(3);
        let hash = entry.split_once(':').unwrap().1;
        let sha256 = std::array::from_fn(|at| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).unwrap());
        config.auth.api_keys = vec![ApiKey { name: "billing".to_owned(), sha256 }];
        if behind_a_proxy {
            config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        }
    })
    .await;
    (server, key.key)
}

/// Calls until the limit refuses; how often it did not.
async fn until_refused(call: impl AsyncFn() -> Answer) -> (usize, Answer) {
    for taken in 0..10_000 {
        let answer = call().await;
        if answer.status == 429 {
            return (taken, answer);
        }
    }
    panic!("10,000 calls, and none was refused");
}

#[tokio::test]
async fn a_users_calls_have_a_rate_and_admins_and_api_keys_have_none() {
    let (server, key) = limited(false).await;
    let (ada, admin) = (user_token("ada"), admin_token());
    let (taken, refused) = until_refused(async || request(server.http, "GET", "/api/ws/rooms", Some(&ada), "").await).await;
    assert!(taken >= 2, "two seconds' calls at once, and not {taken}");
    let message = refused.expect_error(429, "rate_limited");
    assert!(message.contains("API_RATE") && message.contains("user"), "{message}");
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);

    for _ in 0..20 {
        assert_eq!(request(server.http, "GET", STATUS, Some(&admin), "").await.status, 200);
        let head = format!("GET {STATUS} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-api-key: {key}\r\n\r\n");
        assert_eq!(send(server.http, head.as_bytes()).await.status, 200);
    }
    let another = request(server.http, "GET", "/api/ws/rooms", Some(&user_token("bob")), "").await;
    assert_eq!(another.status, 200, "another user of the same address has a rate of its own");
}

#[tokio::test]
async fn calls_without_a_token_and_with_a_bad_one_have_their_addresss_rate() {
    for token in [None, Some("a.b.c"), Some("osb_no-such-key")] {
        let (server, _) = limited(false).await;
        let (taken, refused) = until_refused(async || request(server.http, "GET", STATUS, token, "").await).await;
        assert!(taken >= 6, "{taken}");
        assert!(refused.expect_error(429, "rate_limited").contains("API_RATE_PER_IP"));
    }
    // By every door that asks for no token, and not those that load balancers ask.
    let (server, _) = limited(false).await;
    for path in ["/metrics", "/openapi.json", "/openapi", "/api/ws/no-such-call"] {
        until_refused(async || request(server.http, "GET", path, None, "").await).await;
    }
    for path in ["/healthz", "/readyz"] {
        for _ in 0..20 {
            assert_eq!(request(server.http, "GET", path, None, "").await.status, 200);
        }
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_clients_address_counts() {
    let (server, _) = limited(true).await;
    until_refused(async || forwarded(server.http, "192.0.2.1", None).await).await;
    assert_eq!(forwarded(server.http, "192.0.2.2", None).await.status, 200);
    // An IPv6 network is one address.
    let next = std::cell::Cell::new(1);
    let (taken, _) = until_refused(async || {
        next.set(next.get() + 1);
        forwarded(server.http, &format!("2001:db8::{:x}", next.get()), None).await
    })
    .await;
    assert!(taken >= 6);
    assert_eq!(forwarded(server.http, "2001:db8:0:1::1", None).await.status, 200);
}

/// A connection that is being asked on, and never completes its head.
async fn hanging(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    socket
}

/// Asks on a kept connection; `None` where the server has closed it.
async fn ask(socket: &mut TcpStream) -> Option<String> {
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.ok()?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        match soon("an answer", socket.read_buf(&mut answer)).await {
            Ok(bytes) if bytes > 0 => {}
            _ => return None,
        }
    }
    Some(String::from_utf8(answer).unwrap())
}

/// A connection with one answer; on a machine that stands still it may take a second one to be in time.
async fn kept(address: SocketAddr) -> TcpStream {
    let asked = async {
        loop {
            let mut socket = TcpStream::connect(address).await.unwrap();
            if ask(&mut socket).await.is_some() {
                return socket;
            }
        }
    };
    soon("an answer on a kept connection", asked).await
}

async fn ended(socket: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = soon("the end of the connection", socket.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_idle_ones_give_way() {
    let server = TestServer::with(|config| {
        config.limits.max_http_connections_per_ip = Some(2);
        config.limits.handshake_timeout = None;
        config.limits.http_keep_alive = None;
    })
    .await;
    let mut idle = TcpStream::connect(server.http).await.unwrap();
    assert!(ask(&mut idle).await.is_some());
    let first = hanging(server.http).await;
    // The second that hangs takes the idle one's place.
    let second = hanging(server.http).await;
    ended(&mut idle).await;
    let refused = request(server.http, "GET", "/healthz", None, "").await;
    refused.expect_error(429, "rate_limited");
    // A WebSocket is no HTTP connection any more: it gives its place back.
    drop(first);
    let mut sockets = Vec::new();
    for _ in 0..4 {
        let opened = async {
            loop {
                if let Ok(mut client) = server.connecting().query(&user_token("ada")).try_open().await {
                    client.expect("connection_established").await;
                    return client;
                }
            }
        };
        sockets.push(soon("a place for one more", opened).await);
    }
    drop(second);
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_requests_of_a_client_are_counted_and_not_the_proxys_connections() {
    let server = TestServer::with(|config| {
        config.limits.max_http_connections_per_ip = Some(1);
        config.limits.message_timeout = None;
        config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    // A body that never comes: the request is under way.
    let admin = admin_token();
    let under_way = async |client: &str| {
        let mut socket = TcpStream::connect(server.http).await.unwrap();
        let head = format!(
            "POST /api/ws/events HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {client}\r\nauthorization: Bearer {admin}\r\n\
             content-length: 10\r\nexpect: 100-continue\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // hyper asks for the body once the call reads it.
        let mut asked = [0; 12];
        soon("the call to read its body", socket.read_exact(&mut asked)).await.unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100");
        socket
    };
    let first = under_way("192.0.2.1").await;
    let _other = under_way("192.0.2.2").await;
    forwarded(server.http, "192.0.2.1", None).await.expect_error(429, "rate_limited");
    assert_eq!(forwarded(server.http, "192.0.2.3", None).await.status, 200);
    drop(first);
    let again = async { while forwarded(server.http, "192.0.2.1", None).await.status != 200 {} };
    soon("the place of a request that is gone", again).await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_time_of_a_head_and_ends_with_its_own() {
    let server = TestServer::with(|config| config.limits.handshake_timeout = Some(Duration::from_millis(300))).await;
    let mut idle = kept(server.http).await;
    // Begun after it was idle, and ended by the time of a head: so much time has passed.
    ended(&mut hanging(server.http).await).await;
    ended(&mut TcpStream::connect(server.http).await.unwrap()).await;
    assert!(ask(&mut idle).await.is_some(), "load balancers keep connections for a minute");

    let server = TestServer::with(|config| config.limits.http_keep_alive = Some(Duration::from_millis(300))).await;
    let mut idle = kept(server.http).await;
    ended(&mut idle).await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let server = TestServer::with(|config| {
        config.limits.max_http_connections_per_ip = Some(1);
        config.limits.http_write_timeout = Some(Duration::from_millis(300));
    })
    .await;
    // More than the system's buffers take for a client that reads nothing.
    for _ in 0..4 {
        server.handle.broadcast_to_room("agent:7", "note", &json!({"text": "x".repeat(60_000)})).await.unwrap();
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut unread = socket.connect(server.http).await.unwrap();
    let token = user_token("ada");
    // One after the other, without waiting: each is some 240 KB.
    let head = format!("GET /api/ws/rooms/agent:7/history HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n");
    for _ in 0..40 {
        unread.write_all(head.as_bytes()).await.unwrap();
    }
    let mut first = [0; 15];
    soon("an answer to begin", unread.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    // It holds the only place of this address until it is given up.
    let free = async { while request(server.http, "GET", "/healthz", None, "").await.status != 200 {} };
    soon("the connection to be given up", free).await;
}

#[tokio::test]
async fn asking_for_rooms_that_do_not_exist_keeps_nothing() {
    let server = TestServer::start().await;
    let admin = admin_token();
    for room in 0..50 {
        let path = |what: &str| format!("/api/ws/rooms/agent:nobody-{room}/{what}");
        let history = request(server.http, "GET", &path("history"), Some(&admin), "").await.ok();
        assert_eq!((&history["offset"], &history["events"]), (&json!(0), &json!([])));
        assert!(history["epoch"].is_string());
        assert_eq!(request(server.http, "GET", &path("presence"), Some(&admin), "").await.ok()["users"], json!([]));
    }
    let mut client = server.user("ada").await;
    client.request("history:get", json!({"room": "agent:nobody"})).await;
    client.request("presence:get", json!({"room": "agent:nobody"})).await;
    let rooms: Vec<_> = server.handle.stats().rooms.into_iter().map(|status| status.room.to_string()).collect();
    assert_eq!(rooms, ["user:ada"]);
    assert_eq!((server.handle.totals().rooms, server.handle.totals().memberships), (1, 1));
}

#[tokio::test]
async fn what_a_call_does_not_have_is_refused_by_name() {
    let server = TestServer::start().await;
    let (admin, user) = (admin_token(), user_token("ada"));
    for (path, named) in [
        ("/api/ws/metrics?tz=Europe/Berlin", "tz"),
        ("/api/ws/metrics?startdate=2026-11-01", "startdate"),
        ("/api/ws/rooms/agent:7/history?sinec=1", "sinec"),
        ("/api/ws/rooms/agent:7/presence?limit=1", "limit"),
        ("/api/ws/rooms?prefix=agent", "prefix"),
        ("/api/ws/status?rooms=1", "rooms"),
    ] {
        let message = request(server.http, "GET", path, Some(&user), "").await.expect_error(400, "bad_request");
        assert!(message.contains(named), "{path}: {message}");
        let with_token = format!("{}?token={user}&access_token={user}", path.split_once('?').unwrap().0);
        assert_eq!(request(server.http, "GET", &with_token, None, "").await.status, 200, "{path}");
    }
    let event = json!({"agentId": "7", "status": "busy"});
    for (path, body, wrong) in [
        ("/api/ws/broadcast", json!({"room": "agent:7", "type": "note", "data": {}, "ephemeral": true}), "ephemeral"),
        ("/api/ws/broadcast", json!([{"type": "note", "data": {}}, {"type": "note", "data": {}, "rooms": []}]), "[1].rooms"),
        ("/api/ws/broadcast", json!({"room": null, "type": "note", "data": {}}), "room"),
        ("/api/ws/events", json!({"type": "agent_status_change", "data": event, "idempotencykey": "a"}), "idempotencykey"),
        ("/api/ws/events", json!([{"type": "agent_status_change", "data": event, "idempotencyKey": null}]), "[0].idempotencyKey"),
        ("/api/ws/disconnect", json!({"userId": "ada", "reason": "rude"}), "reason"),
        ("/api/ws/disconnect", json!({"userId": "ada", "clientId": null}), "clientId"),
    ] {
        let answer = request(server.http, "POST", path, Some(&admin), body.to_string()).await;
        answer.expect_error(422, "bad_request");
        assert_eq!(answer.json()["error"]["path"], json!(wrong), "{body}");
        let message = request(server.http, "POST", &format!("{path}?dry=1"), Some(&admin), body.to_string()).await;
        assert!(message.expect_error(400, "bad_request").contains("dry"), "{path}");
    }
    assert_eq!(server.handle.totals().published, 0);
}
