//! `/metrics`: exact numbers of a scripted scenario, what is counted of slow readers, and labels that don't grow.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use osbackend_protocol::event::ClipPlayed;
use osbackend_protocol::{ErrorBody, ErrorCode};
use osbackend_server::Handle;
use osbackend_server::handlers::CustomReply;
use osbackend_server::telemetry;
use serde_json::json;

use crate::support::{Connecting, Scrape, TestServer, admin_token, request, soon, user_token};

/// Until so many sockets are left; what they counted is counted then.
async fn clients(handle: &Handle, count: usize) {
    let sockets = || {
        let now = Scrape::parse(&handle.exposition().text());
        ["plain", "v1"].iter().map(|mode| now.get(&format!("osbackend_connections{{mode=\"{mode}\"}}"))).sum::<f64>()
    };
    until("the connections to go", || sockets() == count as f64).await;
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let looking = poll_fn(|cx| {
        if done() {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    soon(what, looking).await;
}

#[tokio::test]
async fn a_scenario_is_counted_exactly() {
    let server = TestServer::start().await;
    server.handle.on_custom_message("greet", |_| async { Ok(CustomReply::ok()) });
    server.handle.on_custom_message("fail", |_| async { Err(ErrorBody::new(ErrorCode::Forbidden, "no")) });
    server.handle.on_custom_message("crash", |_| async { panic!("a test's panic, which must be counted") });
    let before = Scrape::of(server.http).await;
    before.expect(&[
        (r#"osbackend_connections{mode="plain"}"#, 0.0),
        ("osbackend_deliveries_total", 0.0),
        (r#"osbackend_closes_total{code="4002",by="server"}"#, 0.0),
        (r#"osbackend_errors_total{code="rate_limited"}"#, 0.0),
        (r#"osbackend_auth_total{via="socket",result="unavailable"}"#, 0.0),
    ]);
    assert!(before.get("process_start_time_seconds") > 1.7e9);
    let build = format!(r#"osbackend_build_info{{version="{}",engine="memory"}}"#, env!("CARGO_PKG_VERSION"));
    assert_eq!(before.get(&build), 1.0);

    let mut ada = server.user("ada").await;
    let mut root = server.admin().await;
    let mut bob = server.connecting().connect(json!({"token": user_token("bob"), "rooms": [{"room": "agent:7"}]})).await;
    bob.expect("connection_established").await;
    ada.join("agent:7").await;
    let mut sent = 1 + 1; // bob's connect, ada's join

    // Two members: a reliable event, one of a key (in a second room nobody is in), one that is kept nowhere.
    for (kind, data, more) in [
        ("note", json!({"n": 1}), json!({})),
        ("agent_status_change", json!({"agentId": "7", "status": "busy"}), json!({})),
        ("typing", json!({}), json!({"ephemeral": true})),
    ] {
        let mut payload = json!({"room": "agent:7", "type": kind, "data": data});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        root.request("publish", payload).await;
        sent += 1;
        for member in [&mut ada, &mut bob] {
            assert_eq!(member.next().await["type"], kind);
        }
    }
    server.handle.emit_clip_played(ClipPlayed { clip_id: "c".into(), plays: 1, location: None }).await.unwrap();
    // Once under its key, whoever sends it again.
    for _ in 0..2 {
        let note = json!({"room": "agent:8", "type": "note", "data": {}, "idempotencyKey": "k"}).to_string();
        request(server.http, "POST", "/api/ws/broadcast", Some(&admin_token()), note).await.ok();
    }
    // Two are held and replayed: the ephemeral one is not.
    let joined = ada.join_with(json!({"room": "agent:7", "offset": 0, "epoch": "another"})).await;
    assert_eq!(joined["snapshot"], 1);
    ada.next().await;
    ada.refused("join", json!({"room": "no room"}), "bad_request").await;
    ada.refused("join", json!({"room": "user:bob"}), "forbidden").await;
    ada.refused("nobody-handles-this", json!({}), "unknown_type").await;
    ada.request("greet", json!({})).await;
    ada.refused("fail", json!({}), "forbidden").await;
    sent += 6;

    let now = Scrape::of(server.http).await;
    now.expect(&[
        (r#"osbackend_connections{mode="plain"}"#, 2.0),
        (r#"osbackend_connections{mode="v1"}"#, 1.0),
        ("osbackend_authenticated_connections", 3.0),
        // The three users' own, agent:7, agent:8 and clips:analytics, which hold an event.
        ("osbackend_rooms", 6.0),
        ("osbackend_memberships", 3.0 + 2.0),
        (r#"osbackend_published_events_total{class="reliable"}"#, 2.0),
        (r#"osbackend_published_events_total{class="latest"}"#, 2.0),
        (r#"osbackend_published_events_total{class="ephemeral"}"#, 1.0),
        ("osbackend_deliveries_total", 6.0),
        ("osbackend_replayed_events_total", 1.0),
        // Three by a client, three calls of the handle.
        ("osbackend_publish_duration_seconds_count", 6.0),
        (r#"osbackend_publish_duration_seconds_bucket{le="+Inf"}"#, 6.0),
        (r#"osbackend_frames_total{direction="in"}"#, f64::from(sent)),
        (r#"osbackend_errors_total{code="bad_request"}"#, 1.0),
        (r#"osbackend_errors_total{code="forbidden"}"#, 2.0),
        (r#"osbackend_errors_total{code="unknown_type"}"#, 1.0),
        (r#"osbackend_auth_total{via="socket",result="ok"}"#, 3.0),
        (r#"osbackend_auth_total{via="api",result="ok"}"#, 2.0),
        (r#"osbackend_auth_duration_seconds_count{result="ok"}"#, 5.0),
        (r#"osbackend_handler_duration_seconds_count{outcome="ok"}"#, 1.0),
        (r#"osbackend_handler_duration_seconds_count{outcome="error"}"#, 1.0),
        (r#"osbackend_http_requests_total{method="POST",route="/api/ws/broadcast",status="200"}"#, 2.0),
        ("osbackend_queue_bytes", 0.0),
        ("osbackend_conflated_events_total", 0.0),
        ("osbackend_draining", 0.0),
    ]);

    // Frames out, and bytes both ways: what one more request and its answer are.
    let question = r#"{"type":"heartbeat","id":"bytes"}"#;
    ada.send_text(question).await;
    let answer = ada.next().await.to_string();
    let later = Scrape::of(server.http).await;
    let more = |series: &str| later.get(series) - now.get(series);
    assert_eq!(more(r#"osbackend_frames_total{direction="out"}"#), 1.0);
    assert_eq!(more(r#"osbackend_frame_bytes_total{direction="in"}"#), question.len() as f64);
    assert_eq!(more(r#"osbackend_frame_bytes_total{direction="out"}"#), answer.len() as f64);

    // Ends of all kinds.
    server.connecting().query("no.valid.token").open().await.expect_error("unauthorized").await;
    clients(&server.handle, 3).await;
    bob.socket.close(None).await.unwrap();
    clients(&server.handle, 2).await;
    ada.send("crash", json!({})).await;
    ada.expect_close(1011, "internal").await;
    clients(&server.handle, 1).await;
    drop(root);
    clients(&server.handle, 0).await;
    let refused = server.connecting().header("origin", "https://evil.example").try_open().await;
    assert!(refused.is_err());
    request(server.http, "GET", "/api/ws/rooms", Some("a.b.c"), "").await.expect_error(401, "unauthorized");
    Scrape::of(server.http).await.expect(&[
        (r#"osbackend_closes_total{code="4501",by="server"}"#, 1.0),
        (r#"osbackend_closes_total{code="1011",by="server"}"#, 1.0),
        (r#"osbackend_closes_total{code="1005",by="client"}"#, 1.0),
        (r#"osbackend_closes_total{code="1006",by="client"}"#, 1.0),
        (r#"osbackend_handler_duration_seconds_count{outcome="panic"}"#, 1.0),
        (r#"osbackend_auth_total{via="socket",result="refused"}"#, 1.0),
        (r#"osbackend_auth_total{via="api",result="refused"}"#, 1.0),
        (r#"osbackend_errors_total{code="unauthorized"}"#, 1.0),
        (r#"osbackend_refused_connections_total{reason="origin"}"#, 1.0),
        (r#"osbackend_http_requests_total{method="GET",route="/api/ws/rooms",status="401"}"#, 1.0),
        (r#"osbackend_connections{mode="plain"}"#, 0.0),
        (r#"osbackend_connections{mode="v1"}"#, 0.0),
        (r#"osbackend_connections_opened_total{mode="plain"}"#, 3.0),
        ("osbackend_authenticated_connections", 0.0),
        ("osbackend_memberships", 0.0),
    ]);
}

#[tokio::test]
async fn a_reader_that_stops_is_seen_in_the_queues_and_then_in_drops() {
    const BOUND: usize = 128 * 1024;
    let server = TestServer::with(|config| config.limits.outbox_bytes = Some(BOUND)).await;
    let mut stalled = server.connecting().small_buffer().query(&user_token("ada")).open().await;
    stalled.expect("connection_established").await;
    stalled.join("agent:7").await;
    let pad = "x".repeat(16 * 1024);
    let latest = json!({"agentId": "7", "status": "busy", "details": {"pad": pad}});
    let reliable = json!({"pad": pad});
    // Until the socket's buffers are full and the events wait here, where one of them is enough.
    while Scrape::parse(&server.handle.exposition().text()).get("osbackend_conflated_events_total") < 10.0 {
        server.handle.broadcast_to_room("agent:7", "agent_status_change", &latest).await.unwrap();
        tokio::task::yield_now().await;
    }
    let behind = Scrape::of(server.http).await;
    let waiting = behind.get("osbackend_queue_bytes");
    assert!(waiting > pad.len() as f64 && waiting <= BOUND as f64, "{waiting}");
    assert_eq!(behind.get("osbackend_queue_bytes_max"), waiting);
    assert_eq!(behind.get("osbackend_dropped_messages_total"), 0.0);
    while server.handle.client_count(&"agent:7".parse().unwrap()) > 0 {
        server.handle.broadcast_to_room("agent:7", "note", &reliable).await.unwrap();
        tokio::task::yield_now().await;
    }
    clients(&server.handle, 0).await;
    let gone = Scrape::of(server.http).await;
    assert_eq!(gone.get(r#"osbackend_closes_total{code="4002",by="server"}"#), 1.0);
    assert!(gone.get("osbackend_dropped_messages_total") >= (BOUND / pad.len() / 2) as f64, "{gone:?}");
    assert!(gone.get("osbackend_conflated_events_total") >= behind.get("osbackend_conflated_events_total"));
    assert_eq!((gone.get("osbackend_queue_bytes"), gone.get("osbackend_queue_bytes_max")), (0.0, 0.0));
}

#[tokio::test]
async fn a_thousand_rooms_users_paths_and_codes_add_no_series() {
    let server = TestServer::with(|config| {
        config.limits.connect_rate = None;
        config.limits.connect_rate_per_ip = None;
        config.limits.max_connections_per_ip = None;
        config.limits.api_rate = None;
        config.limits.api_rate_per_ip = None;
    })
    .await;
    let admin = admin_token();
    let round = async |index: usize| {
        let mut client = server.user(&format!("user-{index}")).await;
        client.join(&format!("agent:{index}")).await;
        let body = json!({"room": format!("agent:{index}"), "type": format!("note{index}"), "data": {}}).to_string();
        request(server.http, "POST", "/api/ws/broadcast", Some(&admin), body).await.ok();
        client.expect(&format!("note{index}")).await;
        request(server.http, "GET", &format!("/api/ws/rooms/agent:{index}/history"), Some(&admin), "").await.ok();
        request(server.http, "GET", &format!("/api/ws/no-such-call-{index}"), None, "").await;
        request(server.http, &format!("VERB{index}"), "/api/ws/status", None, "").await;
        client.refused(&format!("custom-{index}"), json!({}), "unknown_type").await;
        let code = tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode::from(3000 + index as u16);
        let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame { code, reason: "".into() };
        client.socket.close(Some(frame)).await.unwrap();
    };
    round(0).await;
    clients(&server.handle, 0).await;
    let first = Scrape::of(server.http).await;
    for index in 1..1000 {
        round(index).await;
    }
    clients(&server.handle, 0).await;
    let last = Scrape::of(server.http).await;
    let names = |scrape: &Scrape| scrape.0.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&first), names(&last));
    assert!(last.0.len() < 250, "{} series", last.0.len());
    assert_eq!(last.get(r#"osbackend_http_requests_total{method="GET",route="other",status="404"}"#), 1000.0);
    assert_eq!(last.get(r#"osbackend_http_requests_total{method="other",route="/api/ws/status",status="405"}"#), 1000.0);
    assert_eq!(last.get(r#"osbackend_closes_total{code="other",by="client"}"#), 1000.0);
}

#[tokio::test]
async fn two_servers_of_a_process_count_for_themselves() {
    let (one, other) = (TestServer::start().await, TestServer::start().await);
    let _ada = one.user("ada").await;
    one.handle.emit_metric_update("calls", [("active", 1.0)]).await.unwrap();
    let series = [r#"osbackend_connections{mode="plain"}"#, r#"osbackend_published_events_total{class="latest"}"#];
    Scrape::of(one.http).await.expect(&series.map(|series| (series, 1.0)));
    Scrape::of(other.http).await.expect(&series.map(|series| (series, 0.0)));
}

#[tokio::test]
async fn with_an_address_of_their_own_the_metrics_are_there_only() {
    let shared = TestServer::start().await;
    assert_eq!(request(shared.ws, "GET", "/metrics", None, "").await.status, 200);
    let listener = telemetry::http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = TestServer::with(|config| config.logs.metrics_addr = Some(address)).await;
    tokio::spawn(telemetry::http::serve(listener, server.handle.clone()));
    let _ada = server.user("ada").await;
    for port in [server.http, server.ws] {
        assert_eq!(request(port, "GET", "/metrics", None, "").await.status, 404);
    }
    Scrape::of(address).await.expect(&[(r#"osbackend_connections{mode="plain"}"#, 1.0)]);
    assert_eq!(request(address, "GET", "/api/ws/status", None, "").await.status, 404, "nothing else is there");
    // Still there while the server goes away.
    server.handle.drain(Duration::ZERO).await;
    Scrape::of(address).await.expect(&[("osbackend_draining", 1.0), (r#"osbackend_closes_total{code="1012",by="server"}"#, 1.0)]);
    let taken = telemetry::http::bind(address).await.unwrap_err().to_string();
    assert!(taken.contains("METRICS_ADDR") && taken.contains(&address.to_string()), "{taken}");
    let refused = Connecting::new(server.ws).query(&user_token("ada")).try_open().await;
    assert!(refused.is_err());
    Scrape::of(address).await.expect(&[(r#"osbackend_refused_connections_total{reason="draining"}"#, 1.0)]);
}
