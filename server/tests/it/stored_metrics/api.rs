//! What clients and callers of the API get of the stored metrics.

use crate::support::{TestServer, request, user_token};
use serde_json::json;

#[tokio::test]
async fn aggregates_on_the_socket() {
    let server = TestServer::start().await;
    for active in [1.0, 3.0] {
        server.handle.emit_metric_update("voice_call", [("active", active)]).await.unwrap();
    }
    let mut user = server.user("ada").await;
    let reply = user.request("metrics:get", json!({"type": "voice_call", "interval": "1d"})).await;
    let (data, points) = (&reply["data"], reply["data"]["points"].as_array().unwrap());
    // At midnight the two may fall into two days.
    let count: u64 = points.iter().map(|point| point["values"]["active"]["count"].as_u64().unwrap()).sum();
    assert_eq!((&data["interval"], count), (&json!("1d"), 2), "{reply}");
    assert_eq!(points.last().unwrap()["values"]["active"]["last"], json!(3.0), "{reply}");

    let bad = user.request("metrics:get", json!({"interval": "2m"})).await;
    assert_eq!(bad["data"]["code"], "bad_request");
    assert!(bad["data"]["message"].as_str().unwrap().starts_with("payload.interval"), "{bad}");
}

#[tokio::test]
async fn a_private_rooms_metrics_are_not_for_everyone() {
    let server = TestServer::start().await;
    let data = json!({"metric": "secret", "values": {"a": 1}});
    server.handle.broadcast_to_room("user:ada", "metric_update", &data).await.unwrap();
    let mut user = server.user("bob").await;
    let reply = user.request("metrics:get", json!({})).await;
    assert_eq!(reply["data"]["points"], json!([]));
}

#[tokio::test]
async fn the_same_over_http_as_json_and_csv() {
    let server = TestServer::start().await;
    server.handle.emit_metric_update("voice_call", [("active", 3.0)]).await.unwrap();
    server.handle.emit_metric_update("quo\"te,d", [("active", 4.5)]).await.unwrap();
    let token = user_token("ada");
    let get = async |path: &str| request(server.http, "GET", path, Some(&token), "").await;

    let all = get("/api/ws/metrics").await;
    assert_eq!((all.status, all.json()["points"].as_array().unwrap().len()), (200, 2));
    let one = get("/api/ws/metrics?type=voice_call&interval=1h&limit=5").await;
    assert_eq!(one.json()["points"][0]["values"]["active"]["max"], json!(3.0));

    let csv = get("/api/ws/metrics?format=csv").await;
    assert!(csv.head.contains("content-type: text/csv"), "{}", csv.head);
    let lines: Vec<_> = csv.body.lines().collect();
    assert_eq!(lines[0], "metric,timestamp,name,value");
    // Published within one millisecond they are in the order of their names.
    let line = |begin: &str| *lines.iter().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{begin}: {lines:?}"));
    assert!(line("voice_call,20").ends_with(",active,3.0"));
    assert!(line("\"quo\"\"te,d\",20").ends_with(",active,4.5"));
    let csv = get("/api/ws/metrics?format=csv&interval=1m").await;
    assert!(csv.body.starts_with("metric,timestamp,name,min,max,avg,sum,last,count\r\n"), "{}", csv.body);

    for (query, field) in [
        ("startDate=yesterday", "startDate"),
        ("startDate=2026-02-01&endDate=2026-01-01", "endDate"),
        ("limit=0", "limit"),
        ("interval=2m", "interval"),
        ("format=xml", "format"),
    ] {
        let bad = get(&format!("/api/ws/metrics?{query}")).await;
        let message = bad.expect_error(400, "bad_request");
        assert!(message.starts_with(field), "{query}: {message}");
    }
    assert_eq!(request(server.http, "GET", "/api/ws/metrics", None, "").await.status, 401);
}
