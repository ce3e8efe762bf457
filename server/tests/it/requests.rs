//! What can be asked on a socket: `metrics:get`, `presence:get`, `history:get` (§3).

use serde_json::{Value, json};

use crate::support::TestServer;

fn offsets(answer: &Value) -> Vec<u64> {
    answer["data"]["events"].as_array().unwrap().iter().map(|event| event["offset"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn metrics_of_a_range() {
    let server = TestServer::start().await;
    let mut user = server.user("ada").await;
    for (metric, value) in [("voice_call", 1.0), ("call_cost", 2.0), ("voice_call", 3.0)] {
        server.handle.emit_metric_update(metric, [("v", value)]).await.unwrap();
    }
    let all = user.request("metrics:get", json!({})).await;
    assert_eq!((&all["type"], all["data"]["points"].as_array().map(Vec::len)), (&json!("metrics"), Some(3)), "{all}");
    assert!(all["data"]["from"].as_str() < all["data"]["to"].as_str());

    let one = user.request("metrics:get", json!({"type": "voice_call"})).await;
    let points = one["data"]["points"].as_array().unwrap();
    assert_eq!(one["data"]["type"], "voice_call");
    assert_eq!([&points[0]["values"], &points[1]["values"]], [&json!({"v": 1.0}), &json!({"v": 3.0})], "newest last");
    assert!(points.iter().all(|point| point["metric"] == "voice_call" && point["timestamp"].is_string()));

    let newest = user.request("metrics:get", json!({"limit": 1})).await;
    assert_eq!(newest["data"]["points"][0]["values"], json!({"v": 3.0}));
    let past = user.request("metrics:get", json!({"startDate": "2020-01-01", "endDate": "2020-01-02T00:00:00Z"})).await;
    assert_eq!(past["data"]["points"], json!([]));
    assert_eq!(
        (&past["data"]["from"], &past["data"]["to"]),
        (&json!("2020-01-01T00:00:00.000Z"), &json!("2020-01-02T00:00:00.000Z"))
    );
}

#[tokio::test]
async fn history_by_pages() {
    let server = TestServer::start().await;
    let mut user = server.user("ada").await;
    for n in 1..=5 {
        server.handle.broadcast_to_room("agent:7", "note", &json!({"n": n})).await.unwrap();
    }
    let all = user.request("history:get", json!({"room": "agent:7"})).await;
    assert_eq!((&all["type"], &all["data"]["room"], &all["data"]["offset"]), (&json!("history"), &json!("agent:7"), &json!(5)));
    assert_eq!(offsets(&all), [1, 2, 3, 4, 5]);
    assert_eq!(all["data"]["events"][0]["data"], json!({"n": 1}));
    let page = user.request("history:get", json!({"room": "agent:7", "since": 2, "limit": 2})).await;
    assert_eq!(offsets(&page), [3, 4]);
    let newest = user.request("history:get", json!({"room": "agent:7", "limit": 2, "reverse": true})).await;
    assert_eq!(offsets(&newest), [5, 4]);
    let joined = user.join("agent:7").await;
    assert_eq!(joined["epoch"], all["data"]["epoch"]);
}

#[tokio::test]
async fn presence_counts_users_and_their_connections() {
    let server = TestServer::start().await;
    let mut ada = server.user("ada").await;
    let mut again = server.user("ada").await;
    let mut bob = server.user("bob").await;
    for client in [&mut ada, &mut again, &mut bob] {
        client.join("agent:7").await;
    }
    let presence = ada.request("presence:get", json!({"room": "agent:7"})).await;
    assert_eq!((&presence["type"], &presence["data"]["anonymous"]), (&json!("presence"), &json!(0)), "{presence}");
    let users = presence["data"]["users"].as_array().unwrap();
    let clients = |user: &str| users.iter().find(|who| who["userId"] == user).map(|who| who["clients"].clone());
    assert_eq!((clients("ada"), clients("bob"), users.len()), (Some(json!(2)), Some(json!(1)), 2), "{presence}");
    assert!(users.iter().all(|who| who["joinedAt"].as_str().is_some_and(|time| time.ends_with('Z'))));
}

#[tokio::test]
async fn a_heartbeat_tells_the_servers_time() {
    let server = TestServer::start().await;
    let mut user = server.user("ada").await;
    let answer = user.request("heartbeat", json!({})).await;
    assert!(answer["data"]["serverTime"].as_str().is_some_and(|time| time.ends_with('Z')), "{answer}");
}

/// docs/MIGRATION.md: a client of the old system is told what its messages are called now.
#[tokio::test]
async fn messages_of_the_old_system_are_answered_with_their_new_names() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    for (old, new) in [("subscribe", "\"join\""), ("unsubscribe", "\"leave\""), ("ping", "heartbeat"), ("nonsense", "nonsense")] {
        client.send_text(format!(r#"{{"type":"{old}","room":"agent:7"}}"#)).await;
        let error = client.expect_error("unknown_type").await;
        assert!(error["message"].as_str().unwrap().contains(new), "{old}: {error}");
    }
}
