//! Many members, one order (§5), and several messages in a frame (§7).

use std::collections::BTreeSet;

use osbackend_protocol::event::AgentStatusChange;
use serde_json::json;

use crate::support::{Client, TestServer, user_token};

const ROOM: &str = "agent:7";

#[tokio::test(flavor = "multi_thread")]
async fn all_members_see_one_order_without_holes() {
    const EVENTS: u64 = 200;
    let server = TestServer::with(|config| config.limits.max_connections_per_user = None).await;
    let mut members = Vec::new();
    for _ in 0..20 {
        let mut member = server.user("ada").await;
        member.join(ROOM).await;
        members.push(member);
    }
    let publishers = (0..4).map(|publisher| {
        let handle = server.handle.clone();
        tokio::spawn(async move {
            for n in 0..EVENTS / 4 {
                handle.broadcast_to_room(ROOM, "note", &json!({"publisher": publisher, "n": n})).await.unwrap();
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    let mut first: Option<Vec<_>> = None;
    for member in &mut members {
        let mut seen = Vec::new();
        for offset in 1..=EVENTS {
            let event = member.expect("note").await;
            assert_eq!(event["offset"], offset);
            seen.push((event["eventId"].as_str().unwrap().to_owned(), event["data"].to_string()));
        }
        match &first {
            Some(first) => assert_eq!(&seen, first),
            None => first = Some(seen),
        }
    }
    let ids: BTreeSet<_> = first.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len() as u64, EVENTS, "no id twice");
}

#[tokio::test]
async fn one_emission_into_two_rooms_has_one_id_and_an_offset_in_each() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    server.handle.broadcast_to_room("dashboard:overview", "before", &json!({})).await.unwrap();
    client.join("agent:7").await;
    client.join("dashboard:overview").await;
    let change = AgentStatusChange { agent_id: "7".into(), status: "busy".into(), message: None, details: None };
    let emitted = server.handle.emit_agent_status_change(change).await.unwrap();
    let events = [client.expect("agent_status_change").await, client.expect("agent_status_change").await];
    let places: BTreeSet<_> =
        events.iter().map(|event| (event["room"].as_str().unwrap(), event["offset"].as_u64().unwrap())).collect();
    assert_eq!(places, BTreeSet::from([("agent:7", 1), ("dashboard:overview", 2)]));
    assert!(events.iter().all(|event| event["eventId"] == emitted.event_id.as_str()));
    assert!(events.iter().all(|event| event["data"] == json!({"agentId": "7", "status": "busy"})));
}

async fn read_notes(client: &mut Client, count: u64) {
    for n in 1..=count {
        assert_eq!(client.expect("note").await["offset"], n);
    }
}

#[tokio::test]
async fn waiting_messages_share_a_frame_for_who_asked_for_it() {
    const EVENTS: u64 = 500;
    let server = TestServer::start().await;
    let rooms = json!([{"room": ROOM}]);
    let mut batched = server.connecting().connect(json!({"token": user_token("ada"), "rooms": rooms, "batch": true})).await;
    let mut single = server.connecting().connect(json!({"token": user_token("bob"), "rooms": rooms})).await;
    batched.expect("connection_established").await;
    single.expect("connection_established").await;
    // On this one thread the connections' tasks can't run between two publishes: all events wait together.
    let padding = "x".repeat(1000);
    for n in 1..=EVENTS {
        server.handle.broadcast_to_room(ROOM, "note", &json!({"n": n, "padding": padding})).await.unwrap();
    }
    read_notes(&mut batched, EVENTS).await;
    read_notes(&mut single, EVENTS).await;
    assert!(batched.frames.iter().any(|messages| *messages > 10), "{:?}", batched.frames);
    assert!(batched.frames.iter().all(|messages| *messages <= 64), "64 of these are over 64 KiB: {:?}", batched.frames);
    assert!(single.frames.iter().all(|messages| *messages == 1));
}
