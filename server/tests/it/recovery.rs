//! Coming back to a room (§5): what was missed, each once and in order, or the truth that it is lost.

use serde_json::{Value, json};

use crate::support::{Client, TestServer, user_token};

const ROOM: &str = "dashboard:overview";

async fn publish(server: &TestServer, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        let published = server.handle.broadcast_to_room(ROOM, "note", &json!({"n": n})).await.unwrap();
        assert_eq!(published.offset, Some(n));
    }
}

async fn expect_notes(client: &mut Client, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        let event = client.expect("note").await;
        assert_eq!((&event["offset"], &event["data"]["n"], event.get("snapshot")), (&json!(n), &json!(n), None));
    }
}

#[tokio::test]
async fn what_was_missed_is_replayed_once_and_in_order_before_anything_newer() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    let epoch = client.join(ROOM).await["epoch"].clone();
    publish(&server, 1..=3).await;
    expect_notes(&mut client, 1..=3).await;
    client.socket.close(None).await.unwrap();
    publish(&server, 4..=9).await;

    // By join, and by connect.
    let mut by_join = server.user("ada").await;
    let joined = by_join.join_with(json!({"room": ROOM, "epoch": epoch, "offset": 3})).await;
    let recovered = json!({"room": ROOM, "epoch": epoch, "offset": 9, "recovered": true, "replayed": 6, "clientCount": 1});
    assert_eq!(joined, recovered);
    let rooms = json!([{"room": ROOM, "epoch": epoch, "offset": 3}]);
    let mut by_connect = server.connecting().connect(json!({"token": user_token("bob"), "rooms": rooms})).await;
    let greeting = by_connect.expect("connection_established").await;
    assert_eq!(
        (&greeting["data"]["rooms"][0]["recovered"], &greeting["data"]["rooms"][0]["replayed"]),
        (&json!(true), &json!(6))
    );
    publish(&server, 10..=10).await;
    for client in [&mut by_join, &mut by_connect] {
        expect_notes(client, 4..=10).await;
        client.is_alive().await;
    }
}

#[tokio::test]
async fn who_missed_nothing_recovers_with_nothing() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    let epoch = client.join(ROOM).await["epoch"].clone();
    let fresh = client.join_with(json!({"room": ROOM, "epoch": epoch, "offset": 0})).await;
    assert_eq!((&fresh["recovered"], &fresh["replayed"]), (&json!(true), &json!(0)));
    publish(&server, 1..=2).await;
    expect_notes(&mut client, 1..=2).await;
    let joined = client.join_with(json!({"room": ROOM, "epoch": epoch, "offset": 2})).await;
    assert_eq!((&joined["recovered"], &joined["replayed"]), (&json!(true), &json!(0)));
    client.is_alive().await;
}

#[tokio::test]
async fn a_recovered_join_has_no_snapshot() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    let epoch = client.join(ROOM).await["epoch"].clone();
    server.handle.emit_metric_update("calls", [("v", 1.0)]).await.unwrap();
    server.handle.emit_metric_update("calls", [("v", 2.0)]).await.unwrap();
    let mut back = server.user("bob").await;
    let joined = back.join_with(json!({"room": ROOM, "epoch": epoch, "offset": 1})).await;
    assert_eq!((&joined["recovered"], &joined["replayed"]), (&json!(true), &json!(1)));
    let event = back.expect("metric_update").await;
    assert_eq!((&event["offset"], event.get("snapshot")), (&json!(2), None));
    back.is_alive().await;
}

#[tokio::test]
async fn a_position_that_can_not_be_recovered_is_told_and_gets_the_snapshot() {
    let server = TestServer::with(|config| config.engine.history_size = Some(3)).await;
    let mut client = server.user("ada").await;
    let epoch = client.join(ROOM).await["epoch"].clone();
    server.handle.emit_metric_update("calls", [("v", 1.0)]).await.unwrap();
    publish(&server, 2..=6).await;

    let positions: [(Value, u64, bool); 6] = [
        (epoch.clone(), 1, false),
        (epoch.clone(), 2, false),
        (epoch.clone(), 3, true),
        (epoch.clone(), 7, false),
        (json!("another epoch"), 6, false),
        (json!(""), 6, false),
    ];
    for (epoch, offset, recovered) in positions {
        let mut back = server.user("bob").await;
        let joined = back.join_with(json!({"room": ROOM, "epoch": epoch, "offset": offset})).await;
        assert_eq!((&joined["recovered"], &joined["offset"]), (&json!(recovered), &json!(6)), "from {offset} of {epoch}");
        if recovered {
            expect_notes(&mut back, offset + 1..=6).await;
        } else {
            assert_eq!(joined["replayed"], 0);
            let event = back.expect("metric_update").await;
            assert_eq!((&event["snapshot"], &event["offset"]), (&json!(true), &json!(1)), "a snapshot outlives the history");
        }
        back.is_alive().await;
    }
}

#[tokio::test]
async fn another_process_has_another_epoch() {
    let (one, two) = (TestServer::start().await, TestServer::start().await);
    let epoch = one.user("ada").await.join(ROOM).await["epoch"].clone();
    publish(&two, 1..=3).await;
    let joined = two.user("ada").await.join_with(json!({"room": ROOM, "epoch": epoch, "offset": 1})).await;
    assert_eq!(joined["recovered"], false, "the same numbers of another stream are not the missed events");
}
