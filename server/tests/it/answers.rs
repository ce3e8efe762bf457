//! What waits for one client is bounded on every path: answers, greetings, replays (§3, §5).

use serde_json::{Value, json};

use crate::support::{Client, Connecting, Scrape, TestServer, request, user_token};

const EVENT_BYTES: usize = 20 * 1024;
const EVENTS: u64 = 40;

async fn filled(server: &TestServer, room: &str) {
    let padding = "x".repeat(EVENT_BYTES);
    for n in 1..=EVENTS {
        server.handle.broadcast_to_room(room, "note", &json!({"n": n, "padding": padding})).await.unwrap();
    }
}

fn offsets(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["offset"].as_u64().unwrap()).collect()
}

/// A client with a small receive buffer, greeted.
async fn slow(server: &TestServer) -> Client {
    let mut slow = server.connecting().query(&user_token("slow")).small_buffer().open().await;
    slow.expect("connection_established").await;
    slow
}

fn largest_queue(server: &TestServer) -> f64 {
    Scrape::parse(&server.handle.exposition().text()).get("osbackend_queue_bytes_max")
}

#[tokio::test]
async fn a_page_of_history_ends_at_256_kib_and_says_that_there_is_more() {
    let server = TestServer::start().await;
    filled(&server, "agent:7").await;
    let mut user = server.user("ada").await;
    let token = user_token("ada");
    for reverse in [false, true] {
        let (mut seen, mut since) = (Vec::new(), None);
        loop {
            let page = user.request("history:get", json!({"room": "agent:7", "since": since, "reverse": reverse})).await;
            assert_eq!(page["type"], "history", "{page}");
            let page = &page["data"];
            let from = since.map(|since: u64| format!("&since={since}")).unwrap_or_default();
            let path = format!("/api/ws/rooms/agent:7/history?limit=1000&reverse={reverse}{from}");
            assert_eq!(request(server.http, "GET", &path, Some(&token), "").await.ok(), *page, "the same over HTTP");
            assert!(page.to_string().len() < 300 * 1024);
            let got = offsets(page);
            assert!(!got.is_empty() && got.len() < 20, "{got:?}");
            since = got.last().copied();
            seen.extend(got);
            if page["more"] != true {
                break;
            }
        }
        if reverse {
            seen.reverse();
        }
        assert_eq!(seen, Vec::from_iter(1..=EVENTS));
    }
    let one = user.request("history:get", json!({"room": "agent:7", "limit": 1})).await;
    assert_eq!((offsets(&one["data"]), &one["data"]["more"]), (vec![1], &json!(true)));
    let last = user.request("history:get", json!({"room": "agent:7", "since": EVENTS - 1, "limit": 1})).await;
    assert_eq!((offsets(&last["data"]), last["data"].get("more")), (vec![EVENTS], None));
}

#[tokio::test]
async fn large_answers_wait_for_a_slow_reader_in_their_order() {
    const ASKED: usize = 30;
    let server = TestServer::with(|config| config.limits.outbox_bytes = Some(256 * 1024)).await;
    filled(&server, "agent:7").await;
    let mut slow = slow(&server).await;
    let ask = |id: usize| json!({"type": "history:get", "id": id, "payload": {"room": "agent:7", "since": id}});
    let mut asked: Vec<_> = (0..ASKED).map(ask).collect();
    asked.push(json!({"type": "heartbeat", "id": "last"}));
    slow.send_text(Value::from(asked).to_string()).await;
    // 30 pages are 7 MiB: far more than the bound and the sockets' buffers hold.
    for id in 0..ASKED {
        let page = slow.expect("history").await;
        assert_eq!((&page["id"], offsets(&page["data"])[0]), (&json!(id), id as u64 + 1));
        assert!(largest_queue(&server) < 600_000.0);
    }
    assert_eq!(slow.expect("heartbeat").await["id"], "last");
    slow.is_alive().await;
}

#[tokio::test]
async fn answers_of_handlers_wait_for_a_slow_reader_too() {
    const ASKED: usize = 20;
    let server = TestServer::with(|config| config.limits.outbox_bytes = Some(256 * 1024)).await;
    server.handle.on_custom_message("large", async |_| {
        osbackend_server::handlers::CustomReply::json(&json!({"padding": "x".repeat(300 * 1024)}))
    });
    let mut slow = slow(&server).await;
    let asked: Vec<_> = (0..ASKED).map(|id| json!({"type": "large", "id": id})).collect();
    slow.send_text(Value::from(asked).to_string()).await;
    let mut answered = Vec::new();
    for _ in 0..ASKED {
        answered.push(slow.expect("large").await["id"].as_u64().unwrap());
        assert!(largest_queue(&server) < 700_000.0);
    }
    answered.sort_unstable();
    assert_eq!(answered, Vec::from_iter(0..ASKED as u64));
    slow.is_alive().await;
}

#[tokio::test]
async fn a_repeated_connect_is_refused_and_a_long_one_is_answered_in_short() {
    let server = TestServer::start().await;
    for token in [None, Some(user_token("ada"))] {
        let connecting: Connecting = server.connecting();
        let mut client = match &token {
            Some(token) => connecting.query(token).open().await,
            None => connecting.open().await,
        };
        client.expect("connection_established").await;
        let bad: Vec<_> = (0..400).map(|_| json!({"room": ""})).collect();
        let connect = json!({"type": "connect", "payload": {"protocol": 1, "rooms": bad}});
        client.send_text(Value::from(vec![connect; 11]).to_string()).await;
        let greeting = client.expect("connection_established").await;
        let rooms = greeting["data"]["rooms"].as_array().unwrap();
        assert_eq!(rooms.len(), 101, "100 rooms, and one refusal for the others");
        assert_eq!(rooms[100]["error"]["code"], "limit_reached", "{}", rooms[100]);
        for _ in 1..11 {
            client.expect_error("bad_request").await;
        }
        assert!(largest_queue(&server) < 64_000.0);
        client.is_alive().await;
    }
    let mut sdk = server.connecting().connect(json!({"token": user_token("ada")})).await;
    sdk.expect("connection_established").await;
    sdk.refused("connect", json!({"protocol": 1}), "bad_request").await;
}

/// Positions at the room's beginning.
async fn beginning(client: &mut Client, room: &str) -> Value {
    let epoch = client.join(room).await["epoch"].clone();
    assert_eq!(client.request("leave", json!({"room": room})).await["type"], "room_left");
    json!({"room": room, "epoch": epoch, "offset": 0})
}

#[tokio::test]
async fn a_join_from_where_the_member_stands_replays_nothing_twice() {
    let server = TestServer::start().await;
    filled(&server, "agent:7").await;
    let mut user = server.user("ada").await;
    let position = beginning(&mut user, "agent:7").await;
    let join = |id: usize, position: &Value| json!({"type": "join", "id": id, "payload": position});
    user.send_text(Value::from(vec![join(1, &position), join(2, &position), join(3, &position)]).to_string()).await;
    let first = user.expect("room_joined").await;
    assert_eq!((&first["id"], &first["data"]["replayed"]), (&json!(1), &json!(EVENTS)));
    for offset in 1..=EVENTS {
        assert_eq!(user.expect("note").await["offset"], offset);
    }
    for id in [2, 3] {
        let again = user.expect("room_joined").await;
        let data = &again["data"];
        assert_eq!((&again["id"], &data["replayed"], &data["recovered"]), (&json!(id), &json!(0), &json!(true)));
    }
    // Once it was read it is replayed again: this is how a client heals a gap.
    let healing = user.join_with(json!({"room": "agent:7", "epoch": position["epoch"], "offset": EVENTS - 1})).await;
    assert_eq!(healing["replayed"], 1);
    assert_eq!(user.expect("note").await["offset"], EVENTS);
    let there = user.join_with(json!({"room": "agent:7", "epoch": position["epoch"], "offset": EVENTS})).await;
    assert_eq!((&there["replayed"], &there["recovered"]), (&json!(0), &json!(true)));
    user.is_alive().await;
}

#[tokio::test]
async fn replays_over_their_bound_are_refused_until_they_are_read() {
    // 64 times this are 256 KiB; each room holds 800 KiB.
    let server = TestServer::with(|config| config.limits.outbox_bytes = Some(4096)).await;
    let mut user = server.user("ada").await;
    let mut positions = Vec::new();
    for room in ["agent:1", "agent:2"] {
        positions.push(beginning(&mut user, room).await);
        filled(&server, room).await;
    }
    let joins: Vec<_> = positions.iter().map(|position| json!({"type": "join", "payload": position})).collect();
    user.send_text(Value::from(joins).to_string()).await;
    assert_eq!(user.expect("room_joined").await["data"]["replayed"], EVENTS, "one is replayed, however long");
    for offset in 1..=EVENTS {
        assert_eq!(user.expect("note").await["offset"], offset);
    }
    let error = user.expect_error("rate_limited").await;
    assert_eq!((&error["room"], error["retryAfterMs"].as_u64().is_some()), (&json!("agent:2"), true), "{error}");
    let joined = user.join_with(positions[1].clone()).await;
    assert_eq!((&joined["replayed"], &joined["recovered"]), (&json!(EVENTS), &json!(true)), "nothing is lost by the refusal");

    // The user's own room is joined by the server, so nobody would ask again: its snapshot waits behind whatever waits.
    let status = json!({"agentId": "1", "status": "busy"});
    server.handle.broadcast_to_room("user:cy", "agent_status_change", &status).await.unwrap();
    let mut own = server.connecting().connect(json!({"token": user_token("cy"), "rooms": positions[..1]})).await;
    let greeting = own.expect("connection_established").await;
    let rooms = &greeting["data"]["rooms"];
    assert_eq!((&rooms[0]["replayed"], &rooms[1]["room"]), (&json!(EVENTS), &json!("user:cy")));
    assert!(rooms[1].get("error").is_none(), "{rooms}");
    for offset in 1..=EVENTS {
        assert_eq!(own.expect("note").await["offset"], offset);
    }
    let snapshot = own.expect("agent_status_change").await;
    assert_eq!((&snapshot["room"], &snapshot["snapshot"]), (&json!("user:cy"), &json!(true)));

    // In a greeting, too: what is refused keeps its position, and is joined a little later.
    let mut back = server.connecting().connect(json!({"token": user_token("bob"), "rooms": positions})).await;
    let greeting = back.expect("connection_established").await;
    let rooms = &greeting["data"]["rooms"];
    assert_eq!((&rooms[0]["recovered"], &rooms[0]["replayed"]), (&json!(true), &json!(EVENTS)));
    assert_eq!((&rooms[1]["room"], &rooms[1]["error"]["code"]), (&json!("agent:2"), &json!("rate_limited")));
    assert!(rooms[1]["error"]["retryAfterMs"].is_u64(), "{rooms}");
    for offset in 1..=EVENTS {
        assert_eq!(back.expect("note").await["offset"], offset);
    }
    assert_eq!(back.join_with(positions[1].clone()).await["replayed"], EVENTS);
}
