//! `osbackend status`, `completions` and `config check` and `show`: what they print and how they end.

use serde_json::json;

use crate::support::{Served, TempDir, TestServer, admin_token, osbackend, run_at, run_with};

#[tokio::test]
async fn status_is_a_table_or_json_and_has_rooms_for_admins() {
    let server = TestServer::start().await;
    let url = format!("http://{}", server.http);
    let mut client = server.user("ada").await;
    client.join("agent:7").await;
    let table = run_at(&url, &["status"]).await.ok().out;
    assert!(table.contains("status    ok") && table.contains("clients   1 (1 authenticated)"), "{table}");
    assert!(!table.contains("agent:7"), "{table}");
    // What goes on in rooms that nobody is in.
    server.handle.broadcast_to_room("agent:9", "note", &json!({})).await.unwrap();
    let table = run_at(&url, &["status"]).await.ok().out;
    assert!(table.contains("events    1 published"), "{table}");
    let admin = admin_token();
    let table = run_at(&url, &["status", "--token", &admin]).await.ok().out;
    assert!(table.lines().any(|line| line.starts_with("agent:7 ") && line.ends_with(" 1")), "{table}");
    let status = run_at(&url, &["status", "--json", "--token", &admin]).await.ok().json();
    assert_eq!((&status["status"], &status["rooms"]["agent:7"]["clientCount"]), (&json!("ok"), &json!(1)));
    run_at(&url, &["status", "--token", "nonsense"]).await.failed(1, &["osbackend token"]);
}

#[tokio::test]
async fn status_fails_where_nobody_answers_or_the_server_is_going_away() {
    run_at("http://127.0.0.1:1", &["status"]).await.failed(1, &["can't reach", "Is the server running?"]);
    let server = TestServer::start().await;
    let _client = server.user("ada").await;
    let draining = tokio::spawn({
        let handle = server.handle.clone();
        async move { handle.drain(std::time::Duration::from_secs(60)).await }
    });
    while !server.handle.is_draining() {
        tokio::task::yield_now().await;
    }
    let ended = run_at(&format!("http://{}", server.http), &["status", "--json"]).await;
    ended.failed(1, &["draining"]);
    assert_eq!(ended.json()["status"], "draining");
    draining.abort();
}

#[tokio::test]
async fn each_shell_has_its_completions() {
    for (shell, word) in
        [("bash", "complete"), ("zsh", "#compdef"), ("fish", "complete -c"), ("elvish", "edit:"), ("powershell", "Register-")]
    {
        let script = run_at("", &["completions", shell]).await.ok().out;
        assert!(script.contains(word) && script.contains("listen") && script.contains("keep-going"), "{shell}: {script:.300}");
    }
    run_at("", &["completions", "tcsh"]).await.failed(2, &["bash"]);
}

#[tokio::test]
async fn given_settings_are_checked_and_shown_with_their_source() {
    let file = std::env::temp_dir().join(format!("osbackend-cli-{}.toml", std::process::id()));
    std::fs::write(&file, "[limits]\nmax_rooms = 7\n[auth]\njwt_secret = \"in-the-file\"\n").unwrap();
    let path = file.to_str().unwrap().to_owned();
    let run = async |args: &[&str]| {
        let mut command = osbackend(&[&["config"], args, &["--config", &path]].concat());
        command.env("MESSAGE_RATE", "9");
        run_with(command, "").await
    };
    assert!(run(&["check"]).await.ok().out.contains("can start with these settings: 3 given"));
    let shown = run(&["show", "--max-message-bytes", "2048"]).await.ok().out;
    std::fs::write(&file, "[limits]\nmax_room = 7\n").unwrap();
    let unknown = run(&["check"]).await;
    std::fs::remove_file(&file).unwrap();
    unknown.failed(2, &["limits.max_room: unknown key", "max_rooms"]);
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.trim_start().starts_with(&format!("{name} "))).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("MAX_ROOMS"), ["7", "file"]);
    assert_eq!(line("MESSAGE_RATE"), ["9", "environment"]);
    assert_eq!(line("MAX_MESSAGE_BYTES"), ["2048", "flag"]);
    assert_eq!(line("MESSAGE_BURST"), ["100", "default"]);
    assert_eq!(line("JWT_SECRET"), ["[redacted]", "file"]);
    assert!(!shown.contains("in-the-file"));
}

#[tokio::test]
async fn a_development_server_gives_its_tokens_to_the_command_line() {
    let served = Served::dev().await;
    let url = format!("http://{}", served.http);
    assert!(run_at(&url, &["status", "--dev", "--json"]).await.ok().json()["rooms"].is_object());
    run_at(&url, &["emit", "note", "--room", "agent:mine", "text=hi", "--dev"]).await.ok();
    let heard = run_at(&url, &["listen", "agent:mine", "--dev", "--since", "0", "--count", "1"]).await.ok();
    assert_eq!(heard.json()["data"], json!({"text": "hi"}));
    assert!(heard.err.contains("connected as demo-user"), "{heard:?}");
    let server = TestServer::start().await;
    run_at(&format!("http://{}", server.http), &["status", "--dev"]).await.failed(1, &["--dev"]);
}

/// `config check` and `serve` ask the same function: what the one refuses the other does, in the same words.
#[tokio::test]
async fn config_check_refuses_what_serve_refuses() {
    let dir = TempDir::new();
    let policy = dir.path().join("policy.toml");
    std::fs::write(&policy, "[[policy.rooms]]\nmatch = \"agent:*\"\njoin = \"webhook\"\n").unwrap();
    let secret = ("JWT_SECRET", "a secret of at least 32 bytes, kept");
    let policy = ("OSBACKEND_CONFIG", policy.to_str().unwrap());
    for (settings, named) in [
        (&[][..], "JWT_SECRET"),
        (&[("SUPABASE_ANON_KEY", "public"), secret], "SUPABASE_URL"),
        (&[secret, ("WEBHOOK_URL", "http://127.0.0.1:9/hook")], "WEBHOOK_SECRET"),
        (&[secret, policy], "webhook"),
        (&[secret, ("TLS_CERT", "/nowhere/cert.pem"), ("TLS_KEY", "/nowhere/key.pem")], "/nowhere"),
        (&[secret, ("DATABASE_URL", "postgres://host/db"), ("DATABASE_CA", "/nowhere/ca.pem")], "/nowhere"),
    ] {
        let run = async |arguments: &[&str]| {
            let mut command = osbackend(arguments);
            command.envs(settings.iter().copied()).env("PORT", "0").env("WS_PORT", "0").env("ENGINE", "memory");
            run_with(command, "").await
        };
        let (checked, served) = (run(&["config", "check"]).await, run(&["serve"]).await);
        assert!(checked.code != Some(0) && checked.err.contains(named), "{settings:?}: {checked:?}");
        assert!(served.code != Some(0), "{settings:?}: {served:?}");
        assert!(served.err.contains(checked.err.trim().trim_start_matches("osbackend: ")), "{checked:?}\n{served:?}");
    }
}

/// The example stands in the documents as a file to begin with.
#[tokio::test]
async fn config_check_takes_the_example_file() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/osbackend.example.toml");
    let check = async |settings: &[(&str, &str)]| {
        let mut command = osbackend(&["config", "check", "--config", example]);
        command.envs(settings.iter().copied());
        run_with(command, "").await
    };
    let checked = check(&[("JWT_SECRET", "a secret of at least 32 bytes, kept")]).await.ok();
    assert!(checked.out.contains("`serve` can start"), "{checked:?}");
    check(&[]).await.failed(2, &["JWT_SECRET", "SUPABASE_URL"]);
}
