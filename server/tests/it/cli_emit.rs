//! `osbackend emit`: from words, from stdin, and what it says of events that are refused.

use osbackend_server::auth::api_key::generate;
use osbackend_server::config::Config;
use serde_json::json;

use crate::support::{Ended, TestServer, admin_token, osbackend, run_at, run_with, user_token};

async fn emit(server: &TestServer, args: &[&str], input: &str) -> Ended {
    let mut command = osbackend(&["emit"]);
    command.args(args).env("OSBACKEND_URL", format!("http://{}", server.http)).env("OSBACKEND_TOKEN", admin_token());
    run_with(command, input).await
}

#[tokio::test]
async fn an_event_from_words_reaches_its_rooms() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    client.join("agent:7").await;
    client.join("dashboard:overview").await;
    let ended =
        emit(&server, &["agent_status_change", "--data", r#"{"agentId":"7"}"#, "status=busy", "details.calls:=3"], "").await.ok();
    assert!(ended.err.contains("agent:7 at 1") && ended.err.contains("dashboard:overview at 1"), "{ended:?}");
    let event = client.expect("agent_status_change").await;
    assert_eq!(event["data"], json!({"agentId": "7", "status": "busy", "details": {"calls": 3}}));

    let summary = emit(&server, &["deploy", "--room", "agent:7", "version=1.4", "--json"], "").await.ok().json();
    assert_eq!((&summary["published"], &summary["recipients"]), (&json!(1), &json!(1)));
    assert_eq!(summary["rooms"], json!([{"room": "agent:7", "offset": 2}]));
    client.expect("agent_status_change").await;
    assert_eq!(client.expect("deploy").await["data"], json!({"version": "1.4"}));
}

#[tokio::test]
async fn lines_of_stdin_are_published_in_order() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    client.join("agent:7").await;
    let mut input: String = (1..=250)
        .map(|n| format!("{{\"type\":\"agent_status_change\",\"data\":{{\"agentId\":\"7\",\"status\":\"s{n}\"}}}}\n"))
        .collect();
    input += "\n{\"type\":\"deploy\",\"room\":\"agent:7\",\"data\":{\"n\":251}}\n";
    let summary = emit(&server, &["--json"], &input).await.ok().json();
    assert_eq!((&summary["published"], &summary["refused"]), (&json!(251), &json!(0)));
    for n in 1..=250 {
        assert_eq!(client.expect("agent_status_change").await["data"]["status"], format!("s{n}"));
    }
    assert_eq!(client.expect("deploy").await["data"]["n"], 251);

    let data = "{\"agentId\":\"7\",\"status\":\"x\"}\n{\"agentId\":\"7\",\"status\":\"y\"}\n";
    let ended = emit(&server, &["agent_status_change", "--stdin"], data).await.ok();
    assert!(ended.err.contains("2 events published"), "{ended:?}");
    assert_eq!(client.expect("agent_status_change").await["data"]["status"], "x");
}

#[tokio::test]
async fn a_bad_line_is_named_and_ends_it_or_not() {
    let server = TestServer::start().await;
    let good = |n: u32| format!("{{\"type\":\"agent_status_change\",\"data\":{{\"agentId\":\"7\",\"status\":\"s{n}\"}}}}\n");
    let bad = "{\"type\":\"voice_clone_progress\",\"data\":{\"userId\":\"a\",\"status\":\"queued\",\"progress\":101}}\n";
    let input = [good(1).as_str(), bad, &good(2), "{\"type\":\n", &good(3)].concat();

    let ended = emit(&server, &["--json"], &input).await;
    ended.failed(1, &["line 2: data.progress: ", "--keep-going"]);
    assert_eq!((&ended.json()["published"], &ended.json()["refused"]), (&json!(1), &json!(1)), "those before it, none behind");

    let ended = emit(&server, &["--json", "--keep-going"], &input).await;
    ended.failed(1, &["line 2: data.progress: ", "line 4: ", "2 of 5 events were refused"]);
    assert_eq!((&ended.json()["published"], &ended.json()["refused"]), (&json!(3), &json!(2)));
    let mut client = server.user("ada").await;
    let history = client.request("history:get", json!({"room": "agent:7"})).await;
    let statuses: Vec<_> =
        history["data"]["events"].as_array().unwrap().iter().map(|event| event["data"]["status"].clone()).collect();
    assert_eq!(statuses, ["s1", "s1", "s2", "s3"]);
}

#[tokio::test]
async fn who_may_not_is_told_what_to_do() {
    let server = TestServer::start().await;
    let url = format!("http://{}", server.http);
    let event = ["emit", "agent_status_change", "agentId=7", "status=busy"];
    run_at(&url, &event).await.failed(1, &["--token", "--api-key"]);
    let user = user_token("ada");
    let ended = run_at(&url, &[&event[..], &["--token", &user]].concat()).await;
    ended.failed(1, &["role", "osbackend token --role admin"]);
    assert!(!ended.err.contains(&user));
    run_at("http://127.0.0.1:1", &event).await.failed(1, &["can't reach http://127.0.0.1:1/", "--url"]);
    run_at("127.0.0.1", &event).await.failed(2, &["--url=", "http://"]);
    run_at(&url, &["emit", "agent_status_change", "busy"]).await.failed(2, &["\"busy\" is no field", "name=text"]);
    run_at(&url, &["emit", "agent_status_change", "--data", "[1]"]).await.failed(2, &["--data"]);
}

#[tokio::test]
async fn an_api_key_publishes_by_flag_and_by_variable() {
    let made = generate("deployer").unwrap();
    let keys = Config::resolve(false, |name| (name == "API_KEYS").then(|| made.entry.clone())).unwrap().auth.api_keys;
    let server = TestServer::with(|config| config.auth.api_keys = keys).await;
    let url = format!("http://{}", server.http);
    let mut client = server.user("ada").await;
    client.join("agent:7").await;
    let event = ["emit", "deploy", "--room", "agent:7", "version=1.4"];
    run_at(&url, &[&event[..], &["--api-key", &made.key]].concat()).await.ok();
    assert_eq!(client.expect("deploy").await["data"], json!({"version": "1.4"}));
    let by_variable = |args: &[&str]| {
        let mut command = osbackend(args);
        command.env("OSBACKEND_URL", &url).env("OSBACKEND_API_KEY", &made.key);
        command
    };
    let line = "{\"type\":\"agent_status_change\",\"data\":{\"agentId\":\"7\",\"status\":\"busy\"}}\n";
    run_with(by_variable(&["emit", "--json"]), line).await.ok();
    assert_eq!(client.expect("agent_status_change").await["offset"], 2);
    let status = run_with(by_variable(&["status", "--json"]), "").await.ok().json();
    assert_eq!(status["rooms"]["agent:7"], json!({"clientCount": 1}));

    let wrong = format!("{}x", made.key);
    let ended = run_at(&url, &[&event[..], &["--api-key", &wrong]].concat()).await;
    ended.failed(1, &["API key", "API_KEYS"]);
    assert!(!ended.err.contains(&made.key), "{ended:?}");
}
