//! Metrics of the running binary: in its file over a kill, and on their way to a database that was away.

use crate::support::{Client, Connecting, Postgres, Served, TempDir, admin_token, durable, request, user_token};
use osbackend_protocol::Timestamp;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

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

#[tokio::test(flavor = "multi_thread")]
async fn questions_end_with_their_connection_in_the_database_too() {
    let (dir, database) = (TempDir::new(), Postgres::start());
    let mut command = durable(dir.path(), &[]);
    command.env("DATABASE_URL", database.url());
    let served = Served::start(command).await;
    publish(&served, 0..1).await;
    assert_eq!(counted(&by_day(&served).await), 1);

    // Nobody reads the metrics' names while this is open: the first question waits in the database, the others behind it.
    let (blocker, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let table = blocker.query_one("SELECT 'osbackend.metric_series'::regclass::oid", &[]).await.unwrap().get::<_, u32>(0);
    blocker.batch_execute("BEGIN; LOCK TABLE osbackend.metric_series IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut user = client(&served).await;
    for id in 0..20 {
        user.send_text(json!({"type": "metrics:get", "payload": {}, "id": id}).to_string()).await;
    }
    let waits = async || {
        let sql = "SELECT count(*) FROM pg_locks WHERE relation = $1 AND NOT granted";
        blocker.query_one(sql, &[&table]).await.unwrap().get::<_, i64>(0)
    };
    let all_wait = async || while (questions(&served).await, waits().await) != ((1, 19), 1) {};
    // Each alone would take the time limit of 10 s, one after the other.
    let gone = async || {
        let gone = async { while (questions(&served).await, waits().await) != ((0, 0), 0) {} };
        tokio::time::timeout(std::time::Duration::from_secs(120), gone).await.unwrap();
    };
    all_wait().await;
    drop(user);
    gone().await;

    // Over HTTP, too.
    let mut calls = Vec::new();
    for _ in 0..20 {
        let mut call = TcpStream::connect(served.http).await.unwrap();
        let head = format!("GET /api/ws/metrics?token={} HTTP/1.1\r\nhost: {}\r\n\r\n", user_token("ada"), served.http);
        call.write_all(head.as_bytes()).await.unwrap();
        calls.push(call);
    }
    all_wait().await;
    drop(calls);
    gone().await;
    blocker.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(counted(&by_day(&served).await), 1);
}

/// Questions that are answered, and that wait.
async fn questions(served: &Served) -> (u64, u64) {
    let text = request(served.http, "GET", "/metrics", None, "").await.body;
    let value = |state: &str| {
        let begin = format!("osbackend_metric_questions{{state=\"{state}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_else(|| panic!("{text}")).parse().unwrap()
    };
    (value("running"), value("waiting"))
}
