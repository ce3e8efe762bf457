//! The native client (`osbackend-client`) against a real server: requests, recovery, backpressure, tokens, TLS, closing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use osbackend_client::{
    BackoffConfig, Builder, Client, ConnectionState, Event, Incoming, Notice, RequestError, RoomStatus, WhenFull,
};
use osbackend_protocol::RoomName;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{TestServer, admin_token, soon, user_token};

fn builder(address: SocketAddr) -> Builder {
    let soon = BackoffConfig { initial_ms: 20, max_ms: 100, ..BackoffConfig::default() };
    Client::builder(&format!("ws://{address}/ws")).backoff(soon)
}

async fn until<T>(incoming: &mut Incoming, what: &str, mut wanted: impl FnMut(Notice) -> Option<T>) -> T {
    loop {
        let notice = soon(what, incoming.next()).await.unwrap_or_else(|| panic!("the client ended instead of {what}"));
        if let Some(found) = wanted(notice) {
            return found;
        }
    }
}

async fn joined(incoming: &mut Incoming) -> Option<bool> {
    until(incoming, "a join", |notice| match notice {
        Notice::Room(room) if room.status == RoomStatus::Joined && room.room == "agent:7" => Some(room.recovered),
        _ => None,
    })
    .await
}

async fn event(incoming: &mut Incoming) -> Event {
    let event = |notice| if let Notice::Event(event) = notice { Some(event) } else { None };
    until(incoming, "an event", event).await
}

async fn closed(incoming: &mut Incoming) -> Option<u16> {
    let closed = |notice| if let Notice::State(ConnectionState::Closed { code, .. }) = notice { Some(code) } else { None };
    until(incoming, "the end", closed).await
}

async fn note(server: &TestServer, n: u64, padding: usize) {
    let data = json!({"n": n, "padding": "x".repeat(padding)});
    server.handle.publish(RoomName::parse("agent:7").unwrap(), "note", &data, None).await.unwrap();
}

fn number(event: &Event) -> u64 {
    serde_json::from_str::<Value>(event.data.get()).unwrap()["n"].as_u64().unwrap()
}

/// Passes connections on, and cuts them when told to.
struct Proxy {
    address: SocketAddr,
    running: Arc<Mutex<JoinSet<()>>>,
}

impl Proxy {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = Arc::new(Mutex::new(JoinSet::new()));
        let connections = running.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                connections.lock().unwrap().spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { address, running }
    }

    fn cut(&self) {
        self.running.lock().unwrap().abort_all();
    }
}

#[tokio::test]
async fn requests_are_answered_and_a_close_is_clean() {
    let server = TestServer::start().await;
    let (client, mut incoming) = builder(server.ws).token(admin_token()).start().unwrap();
    client.join("agent:7").await.unwrap();
    let published = client.publish("agent:7", "note", &json!({"n": 1})).await.unwrap();
    assert_eq!((&published["room"], &published["offset"]), (&json!("agent:7"), &json!(1)));
    let event = event(&mut incoming).await;
    assert_eq!((event.kind.as_str(), event.room.as_str(), event.offset, number(&event)), ("note", "agent:7", Some(1), 1));
    assert!(event.timestamp.is_some_and(|time| time.ends_with('Z')));
    match client.request("no:such", &json!({})).await {
        Err(RequestError::Failed(failure)) => assert_eq!(failure.code, "unknown_type"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.request("heartbeat", &json!([1])).await, Err(RequestError::NotAnObject)));
    assert!(matches!(client.join("agent").await, Err(RequestError::Room(_))));
    assert!(matches!(client.settled().await.unwrap(), ConnectionState::Connected { user_id: Some(user), .. } if user == "root"));

    soon("the close", client.close()).await;
    assert_eq!(server.handle.stats().total_clients, 0);
    while let Some(notice) = incoming.next().await {
        assert!(!matches!(notice, Notice::Event(_)));
    }
    assert!(matches!(client.publish("agent:7", "note", &json!({})).await, Err(RequestError::Ended(_))));
}

#[tokio::test]
async fn publishes_over_cut_connections_are_stored_once_and_in_order() {
    let server = TestServer::start().await;
    let proxy = Proxy::to(server.ws).await;
    let (client, _incoming) = builder(proxy.address).token(admin_token()).start().unwrap();
    let publishes: Vec<_> = (1..=60)
        .map(|n| {
            let client = client.clone();
            async move { client.publish("agent:7", "note", &json!({"n": n})).await }
        })
        .collect();
    let mut offsets = Vec::new();
    // Ten at a time are under way when the connection is cut, somewhere between the first and the last answer.
    let mut publishes = publishes.into_iter();
    loop {
        let ten: Vec<_> = publishes.by_ref().take(10).collect();
        if ten.is_empty() {
            break;
        }
        let together = futures_util::future::join_all(ten);
        let cut = async {
            client.settled().await.unwrap();
            proxy.cut();
        };
        let (answers, ()) = soon("the answers", futures_util::future::join(together, cut)).await;
        offsets.extend(answers.into_iter().map(|answer| answer.unwrap()["offset"].as_u64().unwrap()));
    }
    assert_eq!(offsets, (1..=60).collect::<Vec<u64>>());
    let history = client.request("history:get", &json!({"room": "agent:7", "limit": 100})).await.unwrap();
    let stored: Vec<u64> =
        history["events"].as_array().unwrap().iter().map(|event| event["data"]["n"].as_u64().unwrap()).collect();
    assert_eq!(stored, (1..=60).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_cut_connection_comes_back_with_what_was_missed() {
    let server = TestServer::start().await;
    let proxy = Proxy::to(server.ws).await;
    let (client, mut incoming) = builder(proxy.address).token(user_token("ada")).start().unwrap();
    client.join("agent:7").await.unwrap();
    assert_eq!(joined(&mut incoming).await, Some(false));
    let mut expected = 1;
    for round in 1..=3 {
        note(&server, expected, 0).await;
        assert_eq!(number(&event(&mut incoming).await), expected);
        proxy.cut();
        for n in expected + 1..=expected + 5 {
            note(&server, n, 0).await;
        }
        assert_eq!(joined(&mut incoming).await, Some(true), "round {round}");
        for n in expected + 1..=expected + 5 {
            assert_eq!(number(&event(&mut incoming).await), n);
        }
        expected += 6;
    }
    client.leave("agent:7").await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_or_is_told_how_much() {
    let server = TestServer::start().await;
    let start = |when_full| builder(server.ws).token(user_token("ada")).queue(2, when_full).start().unwrap();
    let (waiting, mut patient) = start(WhenFull::Wait);
    let (dropping, mut hasty) = start(WhenFull::Drop);
    waiting.join("agent:7").await.unwrap();
    dropping.join("agent:7").await.unwrap();
    joined(&mut patient).await;
    joined(&mut hasty).await;
    let total = 300;
    for n in 1..=total {
        note(&server, n, 1_000).await;
    }
    for n in 1..=total {
        assert_eq!(number(&event(&mut patient).await), n);
    }
    // Nobody reads this one until its client has had them all: the last request's answer comes behind them.
    dropping.request("history:get", &json!({"room": "agent:7", "limit": 1})).await.unwrap();
    let (mut seen, mut dropped, mut last) = (0, 0, 0);
    while seen + dropped < total {
        match soon("a notice", hasty.next()).await.unwrap() {
            Notice::Event(event) => {
                assert!(number(&event) > last);
                (seen, last) = (seen + 1, number(&event));
            }
            Notice::Dropped(count) => dropped += count,
            _ => {}
        }
    }
    assert_eq!(seen + dropped, total);
    assert!(dropped > 0 && seen > 0, "{seen} seen, {dropped} dropped");
}

#[tokio::test]
async fn tokens_are_asked_for_and_a_refused_one_ends_it_until_connect() {
    let server = TestServer::start().await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let provider = move || {
        let time = count.fetch_add(1, Ordering::SeqCst);
        async move {
            match time {
                0 => Err("not yet".to_owned()),
                1 => Ok(Some("nonsense".to_owned())),
                _ => Ok(Some(user_token("ada"))),
            }
        }
    };
    let (client, mut incoming) = builder(server.ws).token_provider(provider).start().unwrap();
    let reason = until(&mut incoming, "a failed attempt", |notice| match notice {
        Notice::State(ConnectionState::Reconnecting { reason, .. }) => Some(reason),
        _ => None,
    })
    .await;
    assert!(reason.contains("not yet"), "{reason}");
    let refused = until(&mut incoming, "a refusal", |notice| match notice {
        Notice::State(ConnectionState::Reconnecting { code: Some(4501), message, .. }) => message,
        _ => None,
    })
    .await;
    assert!(refused.contains("token"), "{refused}");
    let user = until(&mut incoming, "a connection", |notice| match notice {
        Notice::State(ConnectionState::Connected { user_id, .. }) => user_id,
        _ => None,
    })
    .await;
    assert_eq!((user.as_str(), asked.load(Ordering::SeqCst)), ("ada", 3));
    client.refresh_token().await.unwrap();
    client.request("heartbeat", &json!({})).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 4, "asked again on the live connection");

    server.handle.disconnect_user("ada");
    assert_eq!(closed(&mut incoming).await, Some(4505));
}

#[tokio::test]
async fn a_fixed_token_that_is_refused_closes_for_good_with_the_servers_words() {
    let server = TestServer::start().await;
    let (client, _incoming) = builder(server.ws).token("nonsense").start().unwrap();
    let ConnectionState::Closed { code: Some(4501), message: Some(message), .. } = client.settled().await.unwrap() else {
        panic!("{:?}", client.state())
    };
    assert!(message.contains("no signed JWT"), "{message}");
    // Without any token, where the server wants one, the reason is a sentence about tokens.
    let (client, _incoming) = builder(server.ws).start().unwrap();
    let ConnectionState::Closed { code: Some(4501), message: Some(message), .. } = client.settled().await.unwrap() else {
        panic!("{:?}", client.state())
    };
    assert!(message.contains("wants a token"), "{message}");
}

#[tokio::test]
async fn the_last_handle_dropped_closes_the_connection() {
    let server = TestServer::start().await;
    let (client, mut incoming) = builder(server.ws).token(user_token("ada")).start().unwrap();
    client.settled().await.unwrap();
    assert_eq!(server.handle.stats().total_clients, 1);
    drop(client);
    while soon("the end", incoming.next()).await.is_some() {}
    while server.handle.stats().total_clients > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn tls_is_checked_against_the_given_roots() {
    let server = TestServer::start().await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config =
        tokio_rustls::rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, far) = (listener.local_addr().unwrap().port(), server.ws);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut near) = acceptor.accept(near).await {
                    let mut far = TcpStream::connect(far).await.unwrap();
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    let url = format!("wss://localhost:{port}/ws");
    let (client, _incoming) = Client::builder(&url).token(user_token("ada")).extra_roots(made.cert.pem()).start().unwrap();
    assert!(matches!(client.settled().await.unwrap(), ConnectionState::Connected { .. }));
    client.close().await;

    let (_client, mut incoming) = Client::builder(&url).token(user_token("ada")).start().unwrap();
    let reason = until(&mut incoming, "a refusal", |notice| match notice {
        Notice::State(ConnectionState::Reconnecting { reason, .. }) => Some(reason),
        _ => None,
    })
    .await;
    assert!(reason.contains("certificate"), "{reason}");
    assert!(Client::builder(&url).extra_roots("nothing").start().is_err());
    assert!(Client::builder("http://localhost/ws").start().is_err());
}
