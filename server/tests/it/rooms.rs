//! Rooms: who may join and publish, the greeting by snapshot, leaving.

use serde_json::{Value, json};

use crate::support::TestServer;

const OPEN_TO_USERS: [&str; 5] = ["dashboard:overview", "agent:7", "voice:training", "clips:analytics", "admin:broadcast"];

#[tokio::test]
async fn the_default_policy() {
    let server = TestServer::start().await;
    let mut user = server.user("ada").await;
    let mut admin = server.admin().await;
    for room in OPEN_TO_USERS {
        let joined = user.join(room).await;
        assert_eq!((&joined["room"], &joined["offset"], &joined["recovered"]), (&json!(room), &json!(0), &json!(false)));
        assert_eq!((&joined["replayed"], &joined["clientCount"]), (&json!(0), &json!(1)));
        user.refused("publish", json!({"room": room, "type": "x", "data": {}}), "forbidden").await;
    }
    for room in ["user:bob", "dashboard:other", "voice:other", "secret:room"] {
        let error = user.refused("join", json!({"room": room}), "forbidden").await;
        assert_eq!(error["room"], room);
        user.refused("presence:get", json!({"room": room}), "forbidden").await;
        user.refused("history:get", json!({"room": room}), "forbidden").await;
    }
    admin.join("user:bob").await;
    admin.refused("join", json!({"room": "secret:room"}), "forbidden").await;
    admin.refused("publish", json!({"room": "secret:room", "type": "x", "data": {}}), "forbidden").await;
}

#[tokio::test]
async fn a_user_has_a_room_whatever_the_sub() {
    let server = TestServer::start().await;
    let mut odd = server.user("auth0|a b:c/ü").await;
    odd.join("user:auth0|a%20b%3Ac%2F%C3%BC").await;
    server.handle.send_to_user("auth0|a b:c/ü", "hi", &json!({})).await.unwrap();
    odd.expect("hi").await;
}

#[tokio::test]
async fn an_admin_publishes_and_every_member_gets_it_numbered() {
    let server = TestServer::start().await;
    let (mut admin, mut user) = (server.admin().await, server.user("ada").await);
    user.join("agent:7").await;
    let mut epoch = Value::Null;
    for expected in 1..=3 {
        let published = admin.request("publish", json!({"room": "agent:7", "type": "note", "data": {"n": expected}})).await;
        assert_eq!(published["type"], "published", "{published}");
        let place = &published["data"];
        assert_eq!((&place["room"], &place["offset"]), (&json!("agent:7"), &json!(expected)));
        let event = user.expect("note").await;
        assert_eq!(
            (&event["room"], &event["offset"], &event["data"]),
            (&json!("agent:7"), &json!(expected), &json!({"n": expected}))
        );
        assert_eq!(event["eventId"], place["eventId"]);
        assert!(event["timestamp"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')), "{event}");
        assert_eq!(event.get("snapshot"), None);
        epoch = place["epoch"].clone();
    }
    assert_eq!(user.join("agent:7").await["epoch"], epoch);
}

#[tokio::test]
async fn the_same_idempotency_key_stores_nothing_new() {
    let server = TestServer::start().await;
    let (mut admin, mut user) = (server.admin().await, server.user("ada").await);
    user.join("agent:7").await;
    let publish = |key: &str| json!({"room": "agent:7", "type": "note", "data": {}, "idempotencyKey": key});
    let first = admin.request("publish", publish("k1")).await["data"].clone();
    let again = admin.request("publish", publish("k1")).await["data"].clone();
    let other = admin.request("publish", publish("k2")).await["data"].clone();
    assert_eq!(first, again);
    assert_eq!(other["offset"], 2);
    assert_eq!(user.expect("note").await["offset"], 1);
    assert_eq!(user.expect("note").await["offset"], 2);
}

#[tokio::test]
async fn an_ephemeral_event_has_no_offset_and_no_history() {
    let server = TestServer::start().await;
    let (mut admin, mut user) = (server.admin().await, server.user("ada").await);
    user.join("agent:7").await;
    admin.request("publish", json!({"room": "agent:7", "type": "typing", "data": {}, "ephemeral": true})).await;
    let event = user.expect("typing").await;
    assert_eq!(event.get("offset"), None);
    let history = user.request("history:get", json!({"room": "agent:7"})).await;
    assert_eq!((&history["data"]["offset"], &history["data"]["events"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn a_join_brings_the_newest_of_each_key_as_a_snapshot() {
    let server = TestServer::start().await;
    for (metric, value) in [("calls", 1.0), ("cost", 2.0), ("calls", 3.0)] {
        server.handle.emit_metric_update(metric, [("v", value)]).await.unwrap();
    }
    server.handle.broadcast_to_room("dashboard:overview", "note", &json!({})).await.unwrap();
    let mut user = server.user("ada").await;
    let joined = user.join("dashboard:overview").await;
    assert_eq!((&joined["offset"], &joined["recovered"], &joined["replayed"]), (&json!(4), &json!(false), &json!(0)));
    for (offset, metric, value) in [(2, "cost", 2.0), (3, "calls", 3.0)] {
        let event = user.expect("metric_update").await;
        assert_eq!((&event["snapshot"], &event["offset"]), (&json!(true), &json!(offset)), "{event}");
        assert_eq!(event["data"], json!({"metric": metric, "values": {"v": value}}));
    }
    server.handle.emit_metric_update("calls", [("v", 4.0)]).await.unwrap();
    let live = user.expect("metric_update").await;
    assert_eq!((&live["offset"], live.get("snapshot")), (&json!(5), None));

    let mut without = server.user("bob").await;
    without.join_with(json!({"room": "dashboard:overview", "snapshot": false})).await;
    without.is_alive().await;
}

#[tokio::test]
async fn who_leaves_gets_nothing_more() {
    let server = TestServer::start().await;
    let mut user = server.user("ada").await;
    user.refused("leave", json!({"room": "agent:7"}), "not_joined").await;
    user.join("agent:7").await;
    let left = user.request("leave", json!({"room": "agent:7"})).await;
    assert_eq!((&left["type"], &left["data"]), (&json!("room_left"), &json!({"room": "agent:7", "reason": "requested"})));
    server.handle.broadcast_to_room("agent:7", "unheard", &json!({})).await.unwrap();
    user.is_alive().await;
    user.refused("leave", json!({"room": "agent:7"}), "not_joined").await;
    assert_eq!(user.join("agent:7").await["clientCount"], 1);
}

#[tokio::test]
async fn joining_twice_is_one_membership() {
    let server = TestServer::start().await;
    let mut user = server.user("ada").await;
    user.join("agent:7").await;
    assert_eq!(user.join("agent:7").await["clientCount"], 1);
    server.handle.broadcast_to_room("agent:7", "once", &json!({})).await.unwrap();
    user.expect("once").await;
    user.is_alive().await;
}
