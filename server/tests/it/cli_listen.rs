//! `osbackend listen`: what it prints in a pipe, over a restart of the server, and how it ends.

use osbackend_protocol::RoomName;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Running, SECRET, Served, TestServer, admin_token, osbackend, run_at, user_token};

fn listen(url: &str, args: &[&str]) -> Command {
    let mut command = osbackend(&["listen"]);
    command.args(args).env("OSBACKEND_URL", url).env("OSBACKEND_TOKEN", user_token("ada"));
    command
}

async fn note(server: &TestServer, room: &str, n: u64) {
    server.handle.publish(RoomName::parse(room).unwrap(), "note", &json!({"n": n}), None).await.unwrap();
}

#[tokio::test]
async fn events_in_a_pipe_are_a_json_object_a_line() {
    let server = TestServer::start().await;
    for n in 1..=3 {
        note(&server, "agent:7", n).await;
    }
    server.handle.emit_metric_update("voice_call", [("active", 3.0)]).await.unwrap();
    let url = format!("ws://{}/ws", server.ws);
    // What the room holds, and the snapshot of the other one.
    let mut listening = Running::start(listen(&url, &["agent:7", "--since", "1", "--count", "3"]));
    for n in 2..=3 {
        let event = listening.json().await;
        assert_eq!((&event["type"], &event["room"], &event["offset"]), (&json!("note"), &json!("agent:7"), &json!(n)));
        assert!(event["data"] == json!({"n": n}) && event["eventId"].is_string() && event["timestamp"].is_string(), "{event}");
    }
    note(&server, "agent:7", 4).await;
    assert_eq!(listening.json().await["data"]["n"], 4);
    let ended = listening.ended().await.ok();
    assert!(
        ended.out.is_empty() && ended.err.contains("connected as ada") && ended.err.contains("joined agent:7 at 3"),
        "{ended:?}"
    );
    assert!(!ended.err.contains('\x1b'), "no colour in a pipe");

    let mut listening = Running::start(listen(&url, &["dashboard:overview", "--quiet"]));
    let snapshot = listening.json().await;
    assert_eq!((&snapshot["snapshot"], &snapshot["data"]["metric"]), (&json!(true), &json!("voice_call")));
    listening.signal("INT");
    let ended = listening.ended().await.ok();
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("", ""));
    assert_eq!(server.handle.stats().total_clients, 0, "it said goodbye");
}

#[tokio::test]
async fn what_is_missed_while_the_server_restarts_is_printed_once() {
    let serve = |port: &str| {
        let mut command = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", port]);
        command.env("JWT_SECRET", SECRET).env("ENGINE", "memory");
        command
    };
    let served = Served::start(serve("0")).await;
    let (url, port) = (format!("http://{}", served.ws), served.ws.port().to_string());
    let admin = admin_token();
    let emit = async |n: u64| {
        let n = format!("n:={n}");
        run_at(&url, &["emit", "note", "--room", "agent:7", &n, "--token", &admin]).await.ok();
    };
    emit(1).await;
    let mut listening = Running::start(listen(&url, &["agent:7", "--since", "0", "--count", "6"]));
    assert_eq!(listening.json().await["data"]["n"], 1);
    emit(2).await;
    assert_eq!(listening.json().await["data"]["n"], 2);

    served.signal("KILL");
    served.ended().await;
    let _served = Served::start(serve(&port)).await;
    // Some of them before it is back, most likely; all of them once, in any case.
    for n in 3..=6 {
        emit(n).await;
    }
    let mut numbers = Vec::new();
    for _ in 3..=6 {
        numbers.push(listening.json().await["data"]["n"].clone());
    }
    assert_eq!(Value::from(numbers), json!([3, 4, 5, 6]));
    let ended = listening.ended().await.ok();
    assert!(ended.out.is_empty() && ended.err.contains("connecting again"), "{ended:?}");
}

#[tokio::test]
async fn what_is_refused_is_told_with_what_to_do() {
    let server = TestServer::start().await;
    let url = format!("http://{}", server.http);
    let run = async |url: &str, args: &[&str]| Running::start(listen(url, args)).ended().await;
    run(&url, &["user:bob"]).await.failed(1, &["room user:bob: forbidden", "may not join"]);
    run(&url, &["agent:7", "--token", "not-a-token"]).await.failed(1, &["4501", "osbackend token"]);
    run(&url, &["agent"]).await.failed(2, &["room: "]);
    run("http://127.0.0.1:1", &["agent:7"]).await.failed(1, &["can't connect to ws://127.0.0.1:1/ws", "--url"]);
}
