//! The policy of a configuration file, from outside: sockets, the HTTP API, the greeting and `osbackend policy check`.

use osbackend_server::Realtime;
use osbackend_server::auth::mint::Token;
use osbackend_server::config::ConfigFile;
use serde_json::{Value, json};

use crate::support::{Client, SECRET, Served, TestServer, osbackend, request, soon, token};

const POLICY: &str = r#"
[policy]
[[policy.rooms]]
match = "team:{claim.team_id}"
join = "authenticated"
publish = "authenticated"
presence = "role:lead"
history = ["role:lead", "claim:app_metadata.plan=pro"]
history_size = 2
events = ["note", "agent_status_change"]

[[policy.rooms]]
match = "team:*"
join = "role:admin"

[[policy.rooms]]
match = "small:*"
join = "authenticated"
max_clients = 2

[[policy.rooms]]
match = "asked:*"
join = "webhook"

[[policy.rooms]]
match = "user:*"
join = "owner"

[[policy.rooms]]
match = "open:*"
join = "public"
publish = "nobody"
"#;

async fn server() -> TestServer {
    let policy = ConfigFile::parse("test", POLICY).unwrap().policy().unwrap().clone();
    // Port 1 of loopback: nobody listens there.
    TestServer::built(Realtime::builder().policy(policy), |config| {
        config.hooks.url = Some("http://127.0.0.1:1/".to_owned());
        config.hooks.secret = Some("nobody reads what this signs".into());
        config.hooks.events = Vec::new();
    })
    .await
}

fn member(sub: &str) -> Token {
    Token::for_user(sub).claim("team_id", json!([7, "a b"]))
}

async fn connect(server: &TestServer, claims: Token) -> (Client, Value) {
    let mut client = server.connecting().query(&token(claims)).open().await;
    let greeting = client.expect("connection_established").await;
    (client, greeting["data"].clone())
}

#[tokio::test]
async fn each_action_has_an_access_of_its_own_on_the_socket_and_over_http() {
    let server = server().await;
    let (mut ada, _) = connect(&server, member("ada")).await;
    ada.join("team:7").await;
    ada.join("team:a%20b").await;
    ada.refused("join", json!({"room": "team:70"}), "forbidden").await;
    ada.refused("join", json!({"room": "agent:7"}), "forbidden").await;
    for kind in ["presence:get", "history:get"] {
        let error = ada.refused(kind, json!({"room": "team:7"}), "forbidden").await;
        assert!(error["message"].as_str().unwrap().contains("the role lead"), "{error}");
    }
    let pro = member("bob").claim("app_metadata", json!({"plan": "pro"}));
    let (mut bob, _) = connect(&server, pro.clone()).await;
    bob.refused("presence:get", json!({"room": "team:7"}), "forbidden").await;
    assert_eq!(bob.request("history:get", json!({"room": "team:7"})).await["type"], "history");
    let bearer = token(pro);
    request(server.http, "GET", "/api/ws/rooms/team:7/presence", Some(&bearer), "").await.expect_error(403, "forbidden");
    request(server.http, "GET", "/api/ws/rooms/team:7/history", Some(&bearer), "").await.ok();
    let lead = token(member("eve").role("lead"));
    request(server.http, "GET", "/api/ws/rooms/team:7/presence", Some(&lead), "").await.ok();
    request(server.http, "GET", "/api/ws/rooms/open:1/presence", None, "").await.ok();
    request(server.http, "GET", "/api/ws/rooms/team:7/presence", None, "").await.expect_error(401, "unauthorized");
    // What the token can't match falls to the next rule.
    let (mut admin, _) = connect(&server, Token::for_user("root").role("admin")).await;
    admin.join("team:70").await;
}

#[tokio::test]
async fn clients_publish_what_is_listed_and_the_room_keeps_as_much_as_its_rule_says() {
    let server = server().await;
    let (mut ada, _) = connect(&server, member("ada").role("lead")).await;
    let error = ada.refused("publish", json!({"room": "team:7", "type": "other", "data": {}}), "forbidden").await;
    assert!(error["message"].as_str().unwrap().contains("note, agent_status_change"), "{error}");
    for n in 1..=3 {
        let published = ada.request("publish", json!({"room": "team:7", "type": "note", "data": {"n": n}})).await;
        assert_eq!(published["type"], "published", "{published}");
    }
    // The server's own process is not bound to the list.
    server.handle.broadcast_to_room("team:7", "other", &json!({})).await.unwrap();
    let history = ada.request("history:get", json!({"room": "team:7"})).await;
    let kinds: Vec<_> = history["data"]["events"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["note", "other"]);
    for n in 1..=3 {
        server.handle.broadcast_to_room("open:1", "note", &json!({"n": n})).await.unwrap();
    }
    let history = ada.request("history:get", json!({"room": "open:1"})).await;
    assert_eq!(history["data"]["events"].as_array().unwrap().len(), 3, "the server's own size");
}

#[tokio::test]
async fn a_full_room_refuses_and_a_members_join_again_does_not_count() {
    let server = server().await;
    let mut first = server.user("ada").await;
    let mut second = server.user("ada").await;
    let mut third = server.user("bob").await;
    first.join("small:1").await;
    second.join("small:1").await;
    let error = third.refused("join", json!({"room": "small:1"}), "limit_reached").await;
    assert!(error["room"] == "small:1" && error["message"].as_str().unwrap().contains("2 connections"), "{error}");
    assert!(error["retryAfterMs"].as_u64().is_some(), "time may help: {error}");
    first.join("small:1").await;
    third.refused("leave", json!({"room": "small:1"}), "not_joined").await;
    // In `connect` it is refused like any other, and the connection goes on.
    let mut late = server.connecting().bearer(&token(Token::for_user("eve"))).v1().open().await;
    let greeting = late.request("connect", json!({"protocol": 1, "rooms": [{"room": "small:1"}, {"room": "small:2"}]})).await;
    let rooms = greeting["data"]["rooms"].as_array().unwrap();
    assert_eq!((&rooms[0]["error"]["code"], &rooms[1]["clientCount"]), (&json!("limit_reached"), &json!(1)), "{greeting}");
    assert!(rooms[0]["error"]["retryAfterMs"].is_u64(), "{greeting}");
    second.request("leave", json!({"room": "small:1"})).await;
    third.join("small:1").await;
}

#[tokio::test]
async fn of_many_that_join_at_once_as_many_get_in_as_may() {
    let server = server().await;
    let mut joins = tokio::task::JoinSet::new();
    for number in 0..12 {
        let mut client = server.user(&format!("u{number}")).await;
        joins.spawn(async move {
            let answer = client.request("join", json!({"room": "small:race"})).await;
            (answer["type"] == "room_joined", client)
        });
    }
    let results = joins.join_all().await;
    assert_eq!(results.iter().filter(|(joined, _)| *joined).count(), 2);
    assert_eq!(server.handle.client_count(&"small:race".parse().unwrap()), 2);
}

#[tokio::test]
async fn a_rooms_claim_narrows_and_a_refresh_with_it_leaves_the_others() {
    let server = server().await;
    let narrow = || Token::for_user("ada").claim("rooms", json!(["small:*", "secret:*"]));
    let (mut ada, greeting) = connect(&server, narrow()).await;
    assert_eq!(greeting["rooms"], json!([]), "not even its own");
    assert_eq!(greeting["policy"]["within"], json!(["small:*", "secret:*"]));
    ada.join("small:1").await;
    let error = ada.refused("join", json!({"room": "open:1"}), "forbidden").await;
    assert!(error["message"].as_str().unwrap().contains("`rooms` claim"), "{error}");
    ada.refused("join", json!({"room": "secret:1"}), "forbidden").await;

    let (mut wide, greeting) = connect(&server, member("ada")).await;
    assert_eq!(greeting["rooms"][0]["room"], "user:ada");
    for room in ["open:1", "small:1", "team:7"] {
        wide.join(room).await;
    }
    let answer = wide.request("auth", json!({"token": token(narrow())})).await;
    assert_eq!(answer["data"]["policy"]["within"], json!(["small:*", "secret:*"]), "{answer}");
    let mut left = Vec::new();
    for _ in 0..3 {
        let message = wide.expect("room_left").await;
        assert_eq!(message["data"]["reason"], "permission_lost");
        left.push(message["data"]["room"].as_str().unwrap().to_owned());
    }
    left.sort_unstable();
    assert_eq!(left, ["open:1", "team:7", "user:ada"]);
    server.handle.broadcast_to_room("small:1", "still", &json!({})).await.unwrap();
    wide.expect("still").await;
}

#[tokio::test]
async fn the_greeting_tells_what_this_user_may_do_and_nothing_of_others() {
    let server = server().await;
    let (mut ada, greeting) = connect(&server, member("ada")).await;
    let policy = json!({"rules": [
        {"rooms": ["team:7", "team:a%20b"], "can": ["join", "publish"]},
        {"rooms": ["small:*", "user:ada", "open:*"], "can": ["join", "presence", "history"]},
    ]});
    // The rules between them allow this user nothing, and shadow nothing that a later one allows.
    assert_eq!(greeting["policy"], policy, "{greeting}");
    let answer = ada.request("auth", json!({"token": token(Token::for_user("ada").role("admin"))})).await;
    assert_eq!(answer["data"]["policy"]["rules"][0]["rooms"], json!(["team:*", "small:*"]), "{answer}");
    // Who may do nothing before `auth` is told so.
    let mut nobody = server.connecting().open().await;
    let greeting = nobody.expect("connection_established").await;
    assert_eq!(greeting["data"]["policy"], json!({"rules": []}));
}

#[tokio::test]
async fn what_only_the_backend_decides_is_refused_where_it_can_not_be_asked() {
    let server = server().await;
    let error = server.user("ada").await.refused("join", json!({"room": "asked:1"}), "unavailable").await;
    assert!(error["message"].as_str().unwrap().contains("backend"), "{error}");
}

/// A policy in a file that goes away with this.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("osbackend-policy-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn the_server_starts_with_the_files_policy_or_says_what_is_wrong_with_it() {
    let file = File::new("serve", POLICY);
    let mut command = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--config", file.path()]);
    command.env("WEBHOOK_URL", "http://127.0.0.1:1/").env("WEBHOOK_SECRET", "nobody reads what this signs");
    command.env("JWT_SECRET", SECRET);
    let served = Served::start(command).await;
    let bearer = token(member("ada"));
    request(served.http, "GET", "/api/ws/rooms/small:1/presence", Some(&bearer), "").await.ok();
    request(served.http, "GET", "/api/ws/rooms/agent:7/presence", Some(&bearer), "").await.expect_error(403, "forbidden");
    served.signal("TERM");
    served.ended().await;

    let file = File::new("bad", &POLICY.replace("publish = \"nobody\"", "publish = \"no one\""));
    let mut command = osbackend(&["serve", "--config", file.path()]);
    command.env("JWT_SECRET", SECRET);
    let output = soon("the command to end", command.output()).await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("policy.rooms[5].publish: \"no one\"") && error.contains("nobody"), "{error}");
}

#[tokio::test]
async fn policy_check_explains_and_its_status_tells() {
    let file = File::new("check", POLICY);
    let check = async |more: &[&str]| {
        let mut command = osbackend(&["policy", "check", "--config", file.path()]);
        command.env("JWT_SECRET", SECRET).args(more);
        let output = soon("the command to end", command.output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let ada = token(member("ada"));
    let (status, out, _) = check(&["--token", &ada, "--room", "team:7"]).await;
    assert_eq!(status, Some(0), "{out}");
    assert!(out.contains("policy.rooms[0] team:{claim.team_id}: matches (claim team_id: 7, a b)"), "{out}");
    assert!(out.contains("presence for role:lead: denied: not allowed with this token: it takes the role lead"), "{out}");
    assert!(out.contains("history_size = 2") && out.ends_with("join: allowed\n"), "{out}");
    assert!(!out.contains(&ada), "no token in the output");
    let (status, out, _) = check(&["--token", &ada, "--room", "team:7", "--action", "presence"]).await;
    assert!(status == Some(1) && out.ends_with("presence: denied\n"), "{out}");
    let (status, out, _) =
        check(&["--sub", "eve", "--role", "lead", "--claims", "{\"team_id\": 9}", "--room", "team:9", "--action", "presence"])
            .await;
    assert_eq!(status, Some(0), "{out}");
    let (status, out, _) = check(&["--room", "asked:1"]).await;
    assert!(status == Some(1) && out.contains("anonymous asks") && out.contains("the backend is asked"), "{out}");
    let (status, _, error) = check(&["--token", &format!("{ada}x"), "--room", "team:7"]).await;
    assert!(status == Some(2) && error.contains("signature") && !error.contains(&ada), "{error}");
    let (status, _, error) = check(&["--sub", "eve", "--claims", "[1]", "--room", "team:9"]).await;
    assert!(status == Some(2) && error.contains("--claims"), "{error}");
}
