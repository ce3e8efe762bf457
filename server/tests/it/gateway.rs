//! `/ws` passed on to an upstream: what reaches it, what comes back, and what happens when it isn't there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use osbackend_protocol::JsonObject;
use osbackend_server::cli::listen::Listeners;
use osbackend_server::config::Config;
use osbackend_server::proxy::Proxy;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::support::{
    Connecting, RawSocket, Refused, SECRET, Served, TestServer, admin_token, opcode, osbackend, request, send, soon, user_token,
};

/// A gateway in this process.
struct Front {
    address: SocketAddr,
    proxy: Proxy,
    _stop: watch::Sender<()>,
}

impl Front {
    async fn of(upstream: SocketAddr) -> Self {
        Self::with(|config| config.listen.ws_upstream = Some(format!("ws://{upstream}"))).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.listen.host = [127, 0, 0, 1].into();
        config.listen.port = 0;
        change(&mut config);
        let listeners = Listeners::bind_gateway(&config).await.unwrap();
        let address = listeners.http_address;
        let proxy = Proxy::from_config(&config).unwrap().unwrap();
        let (stop, stopped) = watch::channel(());
        tokio::spawn(listeners.serve(proxy.router().merge(proxy.health_router()), stopped));
        Self { address, proxy, _stop: stop }
    }

    fn connecting(&self) -> Connecting {
        Connecting::new(self.address)
    }
}

/// An upstream by hand: takes one connection, and returns it with the head that came.
struct Stub(TcpListener);

impl Stub {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self(listener), address)
    }

    async fn head(&self) -> (TcpStream, String) {
        let (mut socket, _) = soon("a request for the upstream", self.0.accept()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon("the head", socket.read_u8()).await.unwrap());
        }
        (socket, String::from_utf8(head).unwrap())
    }

    async fn upgraded(&self) -> (TcpStream, String) {
        let (mut socket, head) = self.head().await;
        // The accept of the key that `RawSocket` sends.
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nkeep-alive: timeout=9\r\n\
                      sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nx-node: 7\r\n\r\n";
        socket.write_all(answer.as_bytes()).await.unwrap();
        (socket, head)
    }
}

fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

#[tokio::test]
async fn both_modes_and_every_way_of_a_token_go_through() {
    let server = TestServer::start().await;
    let front = Front::of(server.ws).await;
    let token = user_token("ada");
    for connecting in [
        front.connecting().query(&token),
        front.connecting().bearer(&token),
        front.connecting().header("x-auth-token", token.clone()),
    ] {
        let mut client = connecting.open().await;
        let greeting = client.expect("connection_established").await;
        assert_eq!(greeting["data"]["userId"], "ada");
        assert_eq!(client.protocol, None);
    }
    let mut client = front.connecting().connect(json!({"token": token, "rooms": [{"room": "agent:7"}]})).await;
    let greeting = client.expect("connection_established").await;
    assert_eq!(greeting["data"]["rooms"][0]["room"], "agent:7", "{greeting}");
    let data = JsonObject::parse(r#"{"agentId":"7","status":"busy"}"#).unwrap();
    server.handle.emit_json("agent_status_change", data).await.unwrap();
    assert_eq!(client.expect("agent_status_change").await["offset"], 1);

    let mut refused = front.connecting().query("no.such.token").open().await;
    refused.expect_error("unauthorized").await;
    refused.expect_close(4501, "unauthorized").await;
}

#[tokio::test]
async fn the_upstream_judges_the_origin_by_the_host_that_the_browser_asked_for() {
    let server = TestServer::start().await;
    let front = Front::of(server.ws).await;
    let same = format!("http://{}", front.address);
    let mut client = front.connecting().header("origin", same).query(&user_token("ada")).open().await;
    client.expect("connection_established").await;
    let refused = front.connecting().header("origin", "https://evil.example").query(&user_token("ada")).try_open().await;
    assert_eq!(refused.err(), Some(Refused(StatusCode::FORBIDDEN)));
}

#[tokio::test]
async fn the_upstream_sees_the_client_and_nothing_of_the_other_connection() {
    let (stub, upstream) = Stub::start().await;
    let front = Front::of(upstream).await;
    let mut client = TcpStream::connect(front.address).await.unwrap();
    let head = "GET /ws?token=t.o.k&x=%20y HTTP/1.1\r\nhost: ws.example\r\nconnection: keep-alive, Upgrade, x-hop\r\n\
                upgrade: websocket\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nx-forwarded-for: 1.1.1.1\r\n\
                x-forwarded-proto: https\r\nx-forwarded-host: evil.example\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-extensions: permessage-deflate\r\n\
                sec-websocket-protocol: osbackend.v1, other\r\ncookie: a=b\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let (_socket, head) = stub.upgraded().await;
    assert!(head.starts_with("GET /ws?token=t.o.k&x=%20y HTTP/1.1\r\n"), "{head}");
    let expected: BTreeMap<&str, Vec<&str>> = BTreeMap::from([
        ("host", vec!["ws.example"]),
        ("connection", vec!["Upgrade"]),
        ("upgrade", vec!["websocket"]),
        ("x-hop", vec![]),
        ("keep-alive", vec![]),
        ("x-forwarded-for", vec!["1.1.1.1", "127.0.0.1"]),
        ("x-forwarded-proto", vec!["http"]),
        ("x-forwarded-host", vec!["ws.example"]),
        ("sec-websocket-key", vec!["dGhlIHNhbXBsZSBub25jZQ=="]),
        ("sec-websocket-extensions", vec!["permessage-deflate"]),
        ("sec-websocket-protocol", vec!["osbackend.v1, other"]),
        ("cookie", vec!["a=b"]),
    ]);
    for (name, expected) in expected {
        assert_eq!(values(&head, name), expected, "{name} in {head}");
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(soon("the answer", client.read_u8()).await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert_eq!(values(&answer, "sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    assert_eq!((values(&answer, "x-node"), values(&answer, "keep-alive")), (vec!["7"], vec![]));
}

#[tokio::test]
async fn a_trusted_proxy_in_front_is_believed_about_scheme_and_host() {
    let (stub, upstream) = Stub::start().await;
    let front = Front::with(|config| {
        config.listen.ws_upstream = Some(format!("ws://{upstream}/other/path"));
        config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let asking = Connecting::new(front.address).header("x-forwarded-proto", "https").header("x-forwarded-host", "a.example");
    let asking = tokio::spawn(asking.header("x-forwarded-for", "9.9.9.9").try_open());
    let (_socket, head) = stub.head().await;
    asking.abort();
    assert!(head.starts_with("GET /other/path HTTP/1.1\r\n"), "{head}");
    assert_eq!(values(&head, "x-forwarded-for"), ["9.9.9.9", "127.0.0.1"]);
    assert_eq!((values(&head, "x-forwarded-proto"), values(&head, "x-forwarded-host")), (vec!["https"], vec!["a.example"]));
}

#[tokio::test]
async fn bytes_go_both_ways_as_they_are() {
    let (stub, upstream) = Stub::start().await;
    let front = Front::of(upstream).await;
    let opening = tokio::spawn(RawSocket::open(front.address, ""));
    let (upstream, _) = stub.upgraded().await;
    let client = opening.await.unwrap().socket;
    // No frames at all: nothing may look at them. More than any buffer holds, both ways at once.
    let bytes = |seed: u32| -> Vec<u8> {
        let mut state = seed;
        (0..3_000_001)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    };
    let exchange = async |socket: TcpStream, sent: Vec<u8>, expected: Vec<u8>| {
        let (mut read, mut write) = socket.into_split();
        let (written, received) = tokio::join!(
            async {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            },
            async {
                let mut all = Vec::new();
                read.read_to_end(&mut all).await.unwrap();
                all
            },
        );
        let () = written;
        assert!(received == expected, "{} bytes, {} expected", received.len(), expected.len());
    };
    let (up, down) = (bytes(1), bytes(2));
    soon("all bytes", async {
        tokio::join!(exchange(client, up.clone(), down.clone()), exchange(upstream, down.clone(), up.clone()));
    })
    .await;
}

#[tokio::test]
async fn large_messages_pings_and_closes_go_through() {
    let server = TestServer::start().await;
    let front = Front::of(server.ws).await;
    let mut raw = RawSocket::open(front.address, &format!("?token={}", admin_token())).await;
    raw.next().await;
    raw.send(true, opcode::PING, b"are you there").await;
    assert_eq!(raw.next().await, (opcode::PONG, b"are you there".to_vec()));

    let mut client = front.connecting().query(&admin_token()).open().await;
    client.expect("connection_established").await;
    client.join("agent:7").await;
    let pad = "x".repeat(60_000);
    client.send("publish", json!({"room": "agent:7", "type": "note", "data": {"pad": pad}})).await;
    assert_eq!(client.expect("note").await["data"]["pad"], pad.as_str());
    client.expect("published").await;
    client.send_text("y".repeat(65_537)).await;
    assert_eq!(client.closed().await.0, 1009);
}

#[tokio::test]
async fn what_the_upstream_refuses_with_is_passed_on() {
    let (stub, upstream) = Stub::start().await;
    let front = Front::of(upstream).await;
    for (status, extra) in
        [(401, "www-authenticate: Bearer\r\n"), (403, ""), (503, "retry-after: 7\r\n"), (429, "retry-after: 1\r\n")]
    {
        let get = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let asking = tokio::spawn(async move {
            let mut socket = TcpStream::connect(front.address).await.unwrap();
            socket.write_all(get.as_bytes()).await.unwrap();
            let mut answer = vec![0; 4096];
            let mut length = 0;
            while !answer[..length].ends_with(b"because") {
                length += soon("the refusal", socket.read(&mut answer[length..])).await.unwrap();
            }
            String::from_utf8(answer[..length].to_vec()).unwrap()
        });
        let (mut socket, _) = stub.head().await;
        let answer = format!("HTTP/1.1 {status} Refused\r\n{extra}content-length: 7\r\n\r\nbecause");
        socket.write_all(answer.as_bytes()).await.unwrap();
        let answer = asking.await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains(extra) && answer.ends_with("because"), "{answer}");
    }
}

#[tokio::test]
async fn without_an_upstream_a_program_gets_503_and_a_browser_1013() {
    let (stub, upstream) = Stub::start().await;
    drop(stub);
    let front = Front::of(upstream).await;
    let refused = front.connecting().query(&user_token("ada")).try_open().await;
    assert_eq!(refused.err(), Some(Refused(StatusCode::SERVICE_UNAVAILABLE)));
    let answer = send(front.address, b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    answer.expect_error(503, "unavailable");
    assert!(answer.head.contains("retry-after: 2\r\n"), "{}", answer.head);

    for connecting in [front.connecting().v1(), front.connecting()] {
        let mut browser = connecting.header("origin", "https://any.example").open().await;
        browser.expect_close(1013, "try_later").await;
    }
    request(front.address, "GET", "/healthz", None, "").await.ok();
    request(front.address, "GET", "/readyz", None, "").await.expect_error(503, "unavailable");
    request(front.address, "POST", "/ws", None, "").await.expect_error(405, "bad_request");
    assert_eq!(request(front.address, "GET", "/api/ws/status", None, "").await.status, 404, "the gateway has no API");
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_one_that_is_not_there() {
    let (stub, upstream) = Stub::start().await;
    let front = Front::with(|config| {
        config.listen.ws_upstream = Some(format!("ws://{upstream}"));
        config.limits.handshake_timeout = Some(Duration::from_millis(100));
    })
    .await;
    let asking = tokio::spawn(front.connecting().try_open());
    let (_silent, _) = stub.head().await;
    assert_eq!(asking.await.unwrap().err(), Some(Refused(StatusCode::SERVICE_UNAVAILABLE)));
}

#[tokio::test]
async fn an_upstream_that_dies_ends_the_connection_and_who_leaves_is_gone_there_too() {
    let (stub, upstream) = Stub::start().await;
    let front = Front::of(upstream).await;
    let opening = tokio::spawn(RawSocket::open(front.address, ""));
    let (socket, _) = stub.upgraded().await;
    let mut client = opening.await.unwrap().socket;
    drop(socket);
    assert_eq!(soon("the end", client.read(&mut [0; 8])).await.unwrap_or(0), 0);

    let opening = tokio::spawn(RawSocket::open(front.address, ""));
    let (mut socket, _) = stub.upgraded().await;
    drop(opening.await.unwrap());
    assert_eq!(soon("the end", socket.read(&mut [0; 8])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_gateway_to_itself_says_so_instead_of_going_round() {
    let probe = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = probe.local_addr().unwrap();
    drop(probe);
    let front = Front::with(|config| {
        config.listen.port = address.port();
        config.listen.ws_upstream = Some(format!("ws://{address}"));
    })
    .await;
    let refused = front.connecting().try_open().await;
    assert_eq!(refused.err(), Some(Refused(StatusCode::LOOP_DETECTED)));
}

#[tokio::test]
async fn a_drain_ends_connections_and_takes_no_new_ones() {
    let server = TestServer::start().await;
    let front = Front::of(server.ws).await;
    let mut client = front.connecting().query(&user_token("ada")).open().await;
    client.expect("connection_established").await;
    assert_eq!(front.proxy.connections(), 1);
    let proxy = front.proxy.clone();
    let drained = tokio::spawn(async move { proxy.drain(Duration::ZERO).await });
    client.cut_off().await;
    soon("the drain", drained).await.unwrap();
    assert_eq!(front.proxy.connections(), 0);
    assert_eq!(front.connecting().try_open().await.err(), Some(Refused(StatusCode::SERVICE_UNAVAILABLE)));
    request(front.address, "GET", "/readyz", None, "").await.expect_error(503, "unavailable");
}

#[tokio::test]
async fn the_command_passes_on_and_leaves_well() {
    let server = TestServer::start().await;
    let mut command = osbackend(&["gateway", "--host", "127.0.0.1", "--port", "0", "--drain", "50ms"]);
    command.env("WS_UPSTREAM", format!("ws://{}", server.ws));
    let gateway = Served::start(command).await;
    assert!(gateway.listening.starts_with("http=127.0.0.1:"), "{}", gateway.listening);
    let token = user_token("ada");
    let mut client = Connecting::new(gateway.http).query(&token).open().await;
    client.expect("connection_established").await;
    client.is_alive().await;
    request(gateway.http, "GET", "/readyz", None, "").await.ok();
    let port = gateway.http.port().to_string();
    let health = ["health", "--host", "127.0.0.1", "--port", &port];
    assert_eq!(soon("the health check", osbackend(&health).output()).await.unwrap().status.code(), Some(0));
    gateway.signal("TERM");
    client.cut_off().await;
    let (status, log) = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains(&token), "a token in the log");
    assert_eq!(soon("the health check", osbackend(&health).output()).await.unwrap().status.code(), Some(1));

    let output = soon("the refusal", osbackend(&["gateway"]).output()).await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("WS_UPSTREAM"));
}

#[tokio::test]
async fn serve_with_an_upstream_passes_ws_of_its_port_on_and_keeps_its_api() {
    let server = TestServer::start().await;
    let mut command = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--drain", "50ms"]);
    command.env("JWT_SECRET", SECRET).env("WS_UPSTREAM", format!("ws://{}", server.ws));
    let served = Served::start(command).await;
    let token = user_token("ada");
    let mut passed_on = Connecting::new(served.http).query(&token).open().await;
    passed_on.expect("connection_established").await;
    assert_eq!(server.handle.stats().total_clients, 1);
    assert_eq!(request(served.http, "GET", "/api/ws/status", None, "").await.ok()["totalClients"], 0, "its own API");
    let mut own = Connecting::new(served.ws).query(&token).open().await;
    own.expect("connection_established").await;
    assert_eq!(server.handle.stats().total_clients, 1, "WS_PORT is its own");
    served.signal("TERM");
    own.expect("draining").await;
    assert_eq!(own.closed().await.0, 1012);
    passed_on.cut_off().await;
    assert_eq!(served.ended().await.0.code(), Some(0));
}
