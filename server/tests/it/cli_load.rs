//! `osbackend load`: a small run against a real server, its report, and what it refuses to do.

use serde_json::Value;

use crate::support::{SECRET, Served, TestServer, osbackend, run_at, run_with};

fn assert_clean(report: &Value, clients: u64) {
    assert_eq!((&report["clients"], &report["connected"]), (&clients.into(), &clients.into()), "{report}");
    for nothing in ["lost", "duplicated", "misplaced", "reconnects"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report}");
    }
    let (published, expected) = (report["published"].as_u64().unwrap(), report["expected"].as_u64().unwrap());
    assert!(published > 0 && report["delivered"] == expected && report["errors"] == serde_json::json!([]), "{report}");
    let at = |name: &str| report["latencyMs"][name].as_f64().unwrap();
    assert!(at("p50") > 0.0 && at("p50") <= at("p99") && at("p99") <= at("max"), "{report}");
}

#[tokio::test]
async fn a_small_run_loses_and_doubles_nothing() {
    let server = TestServer::start().await;
    let mut command = osbackend(&["load", "--clients", "12", "--rooms", "3", "--rate", "60", "--seconds", "1", "--json"]);
    command.env("OSBACKEND_URL", format!("http://{}", server.http)).env("JWT_SECRET", SECRET);
    let report = run_with(command, "").await.ok().json();
    assert_clean(&report, 12);
    assert_eq!(report["expected"], report["published"].as_u64().unwrap() * 4, "four members a room");
    assert_eq!(server.handle.stats().total_clients, 0, "all said goodbye");
}

#[tokio::test]
async fn tokens_of_a_development_server_do_and_events_may_go_by_socket() {
    let served = Served::dev().await;
    let url = format!("http://{}", served.http);
    let args = ["load", "--dev", "--clients", "6", "--rooms", "2", "--rate", "20", "--seconds", "1", "--via-socket", "--json"];
    assert_clean(&run_at(&url, &args).await.ok().json(), 6);
    let text = run_at(&url, &["load", "--dev", "--clients", "2", "--rate", "10", "--seconds", "1"]).await.ok().out;
    assert!(text.contains("2 of 2 connected") && text.contains("p99.9") && !text.contains('\x1b'), "{text}");
}

#[tokio::test]
async fn another_machine_is_not_loaded_and_bounds_hold() {
    run_at("http://192.0.2.1", &["load", "--dev"]).await.failed(2, &["192.0.2.1", "--i-own-this-host"]);
    run_at("http://127.0.0.1:1", &["load"]).await.failed(2, &["--jwt-secret", "--dev"]);
    for bound in [["--clients", "10001"], ["--seconds", "3601"], ["--rate", "0"]] {
        run_at("http://127.0.0.1:1", &["load", "--dev", bound[0], bound[1]]).await.failed(2, &[bound[0]]);
    }
    run_at("http://127.0.0.1:1", &["load", "--token", "x", "--seconds", "1"]).await.failed(1, &["no client", "refused"]);
}
