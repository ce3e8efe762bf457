//! The SQLite engine from outside: what was acknowledged is there after a crash, in the epoch that clients know.

use serde_json::{Value, json};

use crate::support::{
    Client, Connecting, Served, TempDir, admin_token, durable, durable_without_signal, request, soon, user_token,
};

const ROOM: &str = "dashboard:overview";

async fn user(served: &Served, user: &str) -> Client {
    let mut client = Connecting::new(served.ws).query(&user_token(user)).open().await;
    client.expect("connection_established").await;
    client
}

async fn admin(served: &Served) -> Client {
    let mut client = Connecting::new(served.ws).query(&admin_token()).open().await;
    client.expect("connection_established").await;
    client
}

async fn publish(client: &mut Client, n: u64) -> Value {
    let answer = client.request("publish", json!({"room": ROOM, "type": "note", "data": {"n": n}})).await;
    assert_eq!(answer["type"], "published", "{answer}");
    answer["data"].clone()
}

async fn expect_notes(client: &mut Client, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        let event = client.expect("note").await;
        assert_eq!((&event["offset"], &event["data"]["n"], event.get("snapshot")), (&json!(n), &json!(n), None));
    }
}

#[tokio::test]
async fn after_a_kill_the_stream_goes_on_and_who_comes_back_gets_what_was_missed() {
    let dir = TempDir::new();
    let served = Served::durable(dir.path(), &[]).await;
    let mut reader = user(&served, "ada").await;
    let epoch = reader.join(ROOM).await["epoch"].clone();
    let mut writer = admin(&served).await;
    for n in 1..=3 {
        assert_eq!(publish(&mut writer, n).await["epoch"], epoch);
    }
    expect_notes(&mut reader, 1..=3).await;
    reader.socket.close(None).await.unwrap();
    for n in 4..=9 {
        publish(&mut writer, n).await;
    }
    served.kill().await;

    let served = Served::durable(dir.path(), &[]).await;
    let mut reader = user(&served, "ada").await;
    let joined = reader.join_with(json!({"room": ROOM, "epoch": epoch, "offset": 3})).await;
    let recovered = json!({"room": ROOM, "epoch": epoch, "offset": 9, "recovered": true, "replayed": 6, "clientCount": 1});
    assert_eq!(joined, recovered);
    expect_notes(&mut reader, 4..=9).await;
    assert_eq!(publish(&mut admin(&served).await, 10).await["offset"], 10);
    expect_notes(&mut reader, 10..=10).await;
    reader.is_alive().await;

    let status = request(served.http, "GET", "/api/ws/status", None, "").await.json();
    assert_eq!(status["engine"], "sqlite");
}

#[tokio::test]
async fn a_stop_and_a_start_keep_the_epoch_and_the_snapshot() {
    let dir = TempDir::new();
    let served = Served::durable(dir.path(), &["--history-size", "2"]).await;
    let mut writer = admin(&served).await;
    let epoch = writer.join("agent:7").await["epoch"].clone();
    for status in ["idle", "busy"] {
        let payload = json!({"room": "agent:7", "type": "agent_status_change", "data": {"agentId": "7", "status": status}});
        writer.send("publish", payload).await;
        while writer.next().await["type"] != "agent_status_change" {}
    }
    served.signal("TERM");
    assert!(served.ended().await.0.success());

    let served = Served::durable(dir.path(), &["--history-size", "2"]).await;
    let mut back = admin(&served).await;
    let joined = back.join("agent:7").await;
    assert_eq!((&joined["epoch"], &joined["offset"], &joined["snapshot"]), (&epoch, &json!(2), &json!(1)));
    let event = back.expect("agent_status_change").await;
    assert_eq!((&event["data"]["status"], &event["snapshot"]), (&json!("busy"), &json!(true)));
}

#[tokio::test]
async fn a_publish_that_is_tried_again_after_a_kill_is_stored_once() {
    let dir = TempDir::new();
    let payload = json!({"room": ROOM, "type": "note", "data": {"n": 1}, "idempotencyKey": "order-1"});
    let served = Served::durable(dir.path(), &[]).await;
    let first = admin(&served).await.request("publish", payload.clone()).await["data"].clone();
    served.kill().await;

    let served = Served::durable(dir.path(), &[]).await;
    let mut client = admin(&served).await;
    assert_eq!(client.request("publish", payload).await["data"], first);
    let history = client.request("history:get", json!({"room": ROOM})).await;
    assert_eq!((&history["data"]["offset"], history["data"]["events"].as_array().unwrap().len()), (&json!(1), 1));
    assert_eq!(publish(&mut client, 2).await["offset"], 2);
}

#[tokio::test]
async fn without_a_file_a_restart_is_another_epoch() {
    let dir = TempDir::new();
    let memory = ["--engine", "memory"];
    let served = Served::durable(dir.path(), &memory).await;
    let published = publish(&mut admin(&served).await, 1).await;
    served.kill().await;

    let served = Served::durable(dir.path(), &memory).await;
    let mut client = user(&served, "ada").await;
    let joined = client.join_with(json!({"room": ROOM, "epoch": published["epoch"], "offset": 1})).await;
    assert_eq!((&joined["recovered"], &joined["offset"]), (&json!(false), &json!(0)));
    assert_ne!(joined["epoch"], published["epoch"]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the memory engine writes nothing");
}

#[tokio::test]
async fn a_deleted_file_is_another_epoch() {
    let dir = TempDir::new();
    let served = Served::durable(dir.path(), &[]).await;
    let published = publish(&mut admin(&served).await, 1).await;
    served.kill().await;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }

    let served = Served::durable(dir.path(), &[]).await;
    publish(&mut admin(&served).await, 1).await;
    let position = json!({"room": ROOM, "epoch": published["epoch"], "offset": 1});
    assert_eq!(user(&served, "ada").await.join_with(position).await["recovered"], false);
}

/// SQLite takes a log that ends too early for all that there ever was; the mark of the process is at its beginning.
#[tokio::test]
async fn a_log_that_lost_its_last_commits_is_another_epoch() {
    type Damage = fn(&mut Vec<u8>);
    let cut: Damage = |log| log.truncate(log.len() - 3 * (4096 + 24));
    let flipped: Damage = |log| {
        let place = log.len() - 2 * (4096 + 24) + 2_000;
        log[place] ^= 0xff;
    };
    let whole: Damage = |_| {};
    for (damage, goes_on) in [(whole, true), (cut, false), (flipped, false)] {
        let dir = TempDir::new();
        let served = Served::durable(dir.path(), &[]).await;
        let mut writer = admin(&served).await;
        let mut epoch = Value::Null;
        for n in 1..=10 {
            epoch = publish(&mut writer, n).await["epoch"].clone();
        }
        served.kill().await;
        let path = dir.path().join("osbackend.db-wal");
        let mut log = std::fs::read(&path).unwrap();
        damage(&mut log);
        std::fs::write(&path, log).unwrap();

        let served = Served::durable(dir.path(), &[]).await;
        let mut client = user(&served, "ada").await;
        let joined = client.join_with(json!({"room": ROOM, "epoch": epoch, "offset": 7})).await;
        assert_eq!((joined["epoch"] == epoch, &joined["recovered"]), (goes_on, &json!(goes_on)), "{joined}");
        // And it stays so: the next start finds what this one noted.
        let epoch = joined["epoch"].clone();
        served.kill().await;
        let served = Served::durable(dir.path(), &[]).await;
        assert_eq!(user(&served, "ada").await.join(ROOM).await["epoch"], epoch);
    }
}

async fn refusal(mut command: tokio::process::Command) -> String {
    let output = soon("osbackend to end", command.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_directory_is_for_one_process() {
    let dir = TempDir::new();
    let _served = Served::durable(dir.path(), &[]).await;
    let error = refusal(durable(dir.path(), &[])).await;
    assert!(error.contains("in use by another osbackend") && error.contains("DATA_DIR"), "{error}");
}

#[tokio::test]
async fn a_file_that_can_not_be_used_is_named_with_what_to_do() {
    let dir = TempDir::new();
    std::fs::write(dir.path().join("osbackend.db"), "no database at all, and longer than its header").unwrap();
    let error = refusal(durable(dir.path(), &[])).await;
    assert!(error.contains("osbackend.db is damaged") && error.contains("backup"), "{error}");

    let file = dir.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let error = refusal(durable(&file.join("below"), &[])).await;
    assert!(error.contains("the data directory") && error.contains("DATA_DIR"), "{error}");
}

/// Asks until it is so: nothing tells when a server's readiness changes.
async fn ready(served: &Served, status: u16) {
    let changed = async {
        while request(served.http, "GET", "/readyz", None, "").await.status != status {
            tokio::task::yield_now().await;
        }
    };
    soon("/readyz to change", changed).await;
}

#[tokio::test]
async fn a_disk_that_refuses_makes_publishes_unavailable_and_nothing_else_until_it_takes_them_again() {
    let dir = TempDir::new();
    let served = Served::start(durable_without_signal(dir.path())).await;
    let mut reader = user(&served, "ada").await;
    let epoch = reader.join(ROOM).await["epoch"].clone();
    let mut writer = admin(&served).await;
    publish(&mut writer, 1).await;
    expect_notes(&mut reader, 1..=1).await;
    ready(&served, 200).await;

    served.limit_files(Some(4096));
    let note = json!({"room": ROOM, "type": "note", "data": {"n": 0}});
    let refused = writer.refused("publish", note, "unavailable").await;
    assert!(refused["message"].as_str().unwrap().contains("try again later"), "{refused}");
    ready(&served, 503).await;
    reader.is_alive().await;
    let mut back = user(&served, "bob").await;
    let joined = back.join_with(json!({"room": ROOM, "epoch": epoch, "offset": 0})).await;
    assert_eq!((&joined["recovered"], &joined["offset"]), (&json!(true), &json!(1)), "reads and joins go on");
    expect_notes(&mut back, 1..=1).await;
    back.join("agent:7").await;

    served.limit_files(None);
    ready(&served, 200).await;
    assert_eq!(publish(&mut writer, 2).await["offset"], 2, "what was refused took no offset");
    expect_notes(&mut reader, 2..=2).await;
    served.kill().await;
    let served = Served::durable(dir.path(), &[]).await;
    let mut back = user(&served, "ada").await;
    assert_eq!(back.join_with(json!({"room": ROOM, "epoch": epoch, "offset": 0})).await["replayed"], 2);
    expect_notes(&mut back, 1..=2).await;
}
