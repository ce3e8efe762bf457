//! Metrics of the running binary: in its file over a kill, and on their way to a database that was away.

use crate::support::{Client, Connecting, Postgres, Served, TempDir, admin_token, durable, request, user_token};
use osbackend_protocol::Timestamp;
use serde_json::{Value, json};

async fn publish(served: &Served, values: std::ops::Range<u64>) {
    for value in values {
        let body = json!({"type": "metric_update", "data": {"metric": "calls", "values": {"active": value}}});
        request(served.http, "POST", "/api/ws/events", Some(&admin_token()), body.to_string()).await.ok();
    }
}

async fn by_day(served: &Served) -> Vec<Value> {
    let mut user = client(served).await;
    let reply = user.request("metrics:get", json!({"type": "calls", "interval": "1d"})).await;
    reply["data"]["points"].as_array().unwrap_or_else(|| panic!("{reply}")).clone()
}

async fn client(served: &Served) -> Client {
    let mut client = Connecting::new(served.ws).query(&user_token("ada")).open().await;
    client.expect("connection_established").await;
    client
}

/// Over midnight it is two days.
fn counted(days: &[Value]) -> u64 {
    days.iter().map(|day| day["values"]["active"]["count"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn a_killed_servers_metrics_are_all_there_after_its_return() {
    let dir = TempDir::new();
    let served = Served::start(durable(dir.path(), &[])).await;
    publish(&served, 0..20).await;
    served.kill().await;
    let served = Served::start(durable(dir.path(), &[])).await;
    publish(&served, 20..25).await;
    assert_eq!(counted(&by_day(&served).await), 25);
    // The points themselves, the newest last, and each with the time of its event.
    let mut user = client(&served).await;
    let reply = user.request("metrics:get", json!({"limit": 2})).await;
    let points = reply["data"]["points"].as_array().unwrap();
    assert_eq!([&points[0]["values"]["active"], &points[1]["values"]["active"]], [&json!(23), &json!(24)]);
    let room = user.join("dashboard:overview").await;
    assert_eq!(room["snapshot"], 1);
    let newest = user.expect("metric_update").await;
    assert_eq!(newest["timestamp"], points[1]["timestamp"], "history and live meet without a seam");
    assert!(Timestamp::parse(newest["timestamp"].as_str().unwrap()).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_database_they_are_there_after_its_outage_and_a_kill_of_the_server() {
    let (dir, database) = (TempDir::new(), Postgres::start());
    let command = || {
        let mut command = durable(dir.path(), &[]);
        command.env("DATABASE_URL", database.url());
        command
    };
    let served = Served::start(command()).await;
    publish(&served, 0..10).await;
    assert_eq!(counted(&by_day(&served).await), 10);
    database.crash();
    // Publishing goes on: the points wait in the engine's file, over a kill of the server too.
    publish(&served, 10..20).await;
    served.kill().await;
    database.resume();
    let served = Served::start(command()).await;
    publish(&served, 20..21).await;
    assert_eq!(counted(&by_day(&served).await), 21);
}

#[tokio::test]
async fn a_database_that_can_not_be_used_stops_the_start_and_its_password_is_not_told() {
    let dir = TempDir::new();
    let mut command = durable(dir.path(), &[]);
    command.env("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:1/metrics");
    let output = command.output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("DATABASE_URL") && !said.contains("hunter2"), "{said}");
}
