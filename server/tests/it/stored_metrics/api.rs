//! What clients and callers of the API get of the stored metrics.

use crate::support::{Client, TestServer, request, user_token};
use osbackend_protocol::event::MetricValue;
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
    assert_eq!(lines[0], "\u{feff}metric,timestamp,name,value");
    // Published within one millisecond they are in the order of their names.
    let line = |begin: &str| *lines.iter().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{begin}: {lines:?}"));
    assert!(line("voice_call,20").ends_with(",active,3.0"));
    assert!(line("\"quo\"\"te,d\",20").ends_with(",active,4.5"));
    let csv = get("/api/ws/metrics?format=csv&interval=1m").await;
    assert!(csv.body.starts_with("\u{feff}metric,timestamp,name,min,max,avg,sum,last,count\r\n"), "{}", csv.body);

    for (query, field) in [
        ("startDate=yesterday", "startDate"),
        ("startDate=2026-02-01&endDate=2026-01-01", "endDate"),
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=many", "limit"),
        ("tz=Mars/Olympus&interval=1d", "tz"),
        ("tz=Europe/Berlin", "tz"),
        ("cursor=4", "cursor"),
        ("format=csv&limit=5", "limit"),
        ("interval=2m", "interval"),
        ("format=xml", "format"),
    ] {
        let bad = get(&format!("/api/ws/metrics?{query}")).await;
        let message = bad.expect_error(400, "bad_request");
        assert!(message.starts_with(field), "{query}: {message}");
    }
    // A misspelt name would be another question.
    let bad = get("/api/ws/metrics?startdate=2026-01-01").await;
    assert!(bad.expect_error(400, "bad_request").contains("`startdate`"), "{}", bad.body);
    assert_eq!(request(server.http, "GET", "/api/ws/metrics", None, "").await.status, 401);
}

/// Every point of the pages of `metrics:get`, oldest first, and how many pages there were.
async fn paged(user: &mut Client, mut query: Value) -> (Vec<Value>, usize) {
    let (mut all, mut pages) = (Vec::new(), 0);
    loop {
        let reply = user.request("metrics:get", query.clone()).await;
        let data = &reply["data"];
        assert_eq!(data["truncated"].as_bool().unwrap_or(false), data["cursor"].is_string(), "{}", data["cursor"]);
        assert!(data["points"].to_string().len() <= 256 * 1024, "a page of {} bytes", data["points"].to_string().len());
        let mut points = data["points"].as_array().unwrap().clone();
        points.append(&mut all);
        (all, pages) = (points, pages + 1);
        match data["cursor"].as_str() {
            Some(cursor) => query["cursor"] = json!(cursor),
            None => return (all, pages),
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_says_so_and_where_to_go_on() {
    let server = TestServer::start().await;
    // More than a page of 256 KiB holds, many of them in one millisecond, of two metrics.
    let text = "x".repeat(200);
    for number in 0..1_500_u64 {
        let metric = if number % 3 == 0 { "clips" } else { "calls" };
        let values: [(&str, MetricValue); 2] = [("number", number.into()), ("text", text.as_str().into())];
        server.handle.emit_metric_update(metric, values).await.unwrap();
    }
    let mut user = server.user("ada").await;
    let numbers =
        |points: &[Value]| points.iter().map(|point| point["values"]["number"].as_u64().unwrap()).collect::<BTreeSet<_>>();
    let (all, pages) = paged(&mut user, json!({})).await;
    assert!(pages > 1 && all.len() == 1_500, "{} points on {pages} pages", all.len());
    assert_eq!(numbers(&all), (0..1_500).collect());
    assert!(all.is_sorted_by_key(|point| point["timestamp"].as_str().unwrap().to_owned()));
    let (some, pages) = paged(&mut user, json!({"type": "calls", "limit": 300})).await;
    assert_eq!((some.len(), pages), (1_000, 4));

    // Over HTTP a page is larger: here all of it. As CSV it is all of it however much that is.
    let token = user_token("ada");
    let all = request(server.http, "GET", "/api/ws/metrics?limit=5000", Some(&token), "").await;
    assert_eq!((all.json()["points"].as_array().unwrap().len(), all.json().get("truncated")), (1_500, None));
    let some = request(server.http, "GET", "/api/ws/metrics?limit=7", Some(&token), "").await.json();
    assert_eq!((some["points"].as_array().unwrap().len(), &some["truncated"]), (7, &json!(true)));
    let path = format!("/api/ws/metrics?limit=7&cursor={}", some["cursor"].as_str().unwrap());
    let before = request(server.http, "GET", &path, Some(&token), "").await.json();
    assert!(numbers(before["points"].as_array().unwrap()).is_disjoint(&numbers(some["points"].as_array().unwrap())), "{before}");
    let csv = request(server.http, "GET", "/api/ws/metrics?format=csv", Some(&token), "").await;
    assert_eq!(csv.body.lines().filter(|line| line.contains(",number,")).count(), 1_500);
}

#[tokio::test]
async fn a_plus_in_a_url_is_what_was_typed() {
    let server = TestServer::start().await;
    let token = user_token("ada");
    let get = async |query: &str| request(server.http, "GET", &format!("/api/ws/metrics?{query}"), Some(&token), "").await;
    let typed = get("startDate=2026-03-29T00:00:00+02:00&endDate=2026-03-30T00:00:00+02:00").await;
    let escaped = get("startDate=2026-03-29T00:00:00%2B02:00&endDate=2026-03-30T00:00:00%2B02:00").await;
    assert_eq!((typed.status, &typed.json()["from"]), (200, &json!("2026-03-28T22:00:00.000Z")));
    assert_eq!(typed.json(), escaped.json());
    assert_eq!(get("interval=1d&tz=Etc/GMT+5").await.json()["tz"], "Etc/GMT+5");
}

#[tokio::test]
async fn days_of_a_zone_over_both_doors() {
    let server = TestServer::start().await;
    server.handle.emit_metric_update("voice_call", [("active", 3.0)]).await.unwrap();
    let token = user_token("ada");
    let path = "/api/ws/metrics?interval=1d&tz=Asia/Kolkata";
    let http = request(server.http, "GET", path, Some(&token), "").await.json();
    let at = http["points"][0]["timestamp"].as_str().unwrap();
    assert!(at.ends_with("T18:30:00.000Z") && http["tz"] == "Asia/Kolkata", "{http}");
    let mut user = server.user("ada").await;
    let reply = user.request("metrics:get", json!({"interval": "1d", "tz": "asia/kolkata"})).await;
    assert_eq!(reply["data"]["points"], http["points"]);
    let bad = user.request("metrics:get", json!({"interval": "1d", "tz": "Mars/Olympus"})).await;
    let message = bad["data"]["message"].as_str().unwrap();
    assert!(bad["data"]["code"] == "bad_request" && message.starts_with("payload.tz: no such time zone"), "{bad}");
}

#[tokio::test]
async fn numbers_that_come_as_text_are_counted() {
    let server = TestServer::start().await;
    let values: [(&str, MetricValue); 3] = [("total", "12.50".into()), ("calls", 3_u64.into()), ("region", "eu".into())];
    for _ in 0..2 {
        server.handle.emit_metric_update("revenue", values.clone()).await.unwrap();
    }
    let text = request(server.http, "GET", "/metrics", None, "").await.body;
    assert!(text.lines().any(|line| line == "osbackend_metric_text_numbers_total 2"), "{text}");
}

#[tokio::test]
async fn a_dashboard_of_many_charts_is_answered_and_more_than_that_is_refused() {
    let server = TestServer::start().await;
    server.handle.emit_metric_update("voice_call", [("active", 3.0)]).await.unwrap();
    let mut user = server.user("ada").await;
    let asked = |count: u64| -> String {
        let one = |id: u64| json!({"type": "metrics:get", "payload": {"type": "voice_call"}, "id": id});
        json!((0..count).map(one).collect::<Vec<_>>()).to_string()
    };
    user.send_text(asked(24)).await;
    let mut answered = BTreeSet::new();
    while answered.len() < 24 {
        let reply = user.expect("metrics").await;
        assert_eq!(reply["data"]["points"].as_array().unwrap().len(), 1);
        answered.insert(reply["id"].as_u64().unwrap());
    }
}
