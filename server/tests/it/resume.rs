//! Resuming over sockets, and publishes that are retried: nobody takes over a session that isn't theirs, and nothing is stored
//! twice, over a restart either.

use serde_json::{Value, json};

use crate::support::{Client, Connecting, Served, TempDir, TestServer, admin_token, durable, user_token};

const ROOM: &str = "agent:7";

fn resume(greeting: &Value) -> Value {
    json!({"clientId": greeting["data"]["clientId"], "token": greeting["data"]["resume"]["token"]})
}

/// A live session of `ada`, and what someone who isn't her tries with it: they get a new session, and hers goes on.
async fn is_refused(who: &str, change: impl FnOnce(&mut Value, &Value)) {
    let server = TestServer::start().await;
    let mut ada = server.connecting().connect(json!({"token": user_token("ada")})).await;
    let greeting = ada.expect("connection_established").await;
    let mut stolen = resume(&greeting);
    let mut other = server.connecting().connect(json!({"token": user_token("ada")})).await;
    let others = other.expect("connection_established").await;
    change(&mut stolen, &others);
    let mut thief = server.connecting().connect(json!({"token": user_token(who), "resume": stolen})).await;
    let answer = thief.expect("connection_established").await;
    assert_ne!(answer["data"]["clientId"], greeting["data"]["clientId"]);
    assert_ne!(answer["data"]["clientId"], others["data"]["clientId"]);
    for client in [&mut ada, &mut other, &mut thief] {
        client.is_alive().await;
    }
}

#[tokio::test]
async fn another_user_with_a_stolen_token_gets_a_new_session() {
    is_refused("eve", |_, _| {}).await;
}

#[tokio::test]
async fn a_token_for_another_client_id_makes_a_new_session() {
    is_refused("ada", |stolen, others| stolen["clientId"] = others["data"]["clientId"].clone()).await;
}

#[tokio::test]
async fn a_tampered_token_makes_a_new_session() {
    is_refused("ada", |stolen, _| {
        let mut token = stolen["token"].as_str().unwrap().to_owned();
        let last = if token.pop() == Some('A') { 'B' } else { 'A' };
        stolen["token"] = json!(token + &last.to_string() + "A");
    })
    .await;
}

#[tokio::test]
async fn a_token_of_another_server_makes_a_new_session() {
    let foreign = TestServer::with(|config| config.auth.jwt_secret = Some("quite another secret of 32 bytes".into())).await;
    let theirs = osbackend_server::auth::mint::Token::for_user("ada").sign(&"quite another secret of 32 bytes".into()).unwrap();
    let mut client = foreign.connecting().connect(json!({"token": theirs})).await;
    let greeting = client.expect("connection_established").await;
    let server = TestServer::start().await;
    let payload = json!({"token": user_token("ada"), "resume": resume(&greeting)});
    let answer = server.connecting().connect(payload).await.expect("connection_established").await;
    assert_ne!(answer["data"]["clientId"], greeting["data"]["clientId"]);
}

#[tokio::test]
async fn of_two_live_sockets_with_one_id_the_newer_wins_and_the_older_closes() {
    let server = TestServer::start().await;
    let mut older = server.connecting().connect(json!({"token": user_token("ada")})).await;
    let greeting = older.expect("connection_established").await;
    let payload = json!({"token": user_token("ada"), "resume": resume(&greeting)});
    let mut newer = server.connecting().connect(payload).await;
    let answer = newer.expect("reconnected").await;
    assert_eq!(answer["data"]["clientId"], greeting["data"]["clientId"]);
    assert!(answer["data"]["resume"]["token"].is_string(), "refreshed: {answer}");
    assert_eq!(older.closed().await.0, 4004);
    newer.is_alive().await;
}

#[tokio::test]
async fn who_authenticates_later_resumes_as_that_user() {
    let server = TestServer::with(|config| config.auth.allow_anonymous = true).await;
    let mut client = server.connecting().connect(json!({})).await;
    let greeting = client.expect("connection_established").await;
    let answer = client.request("auth", json!({"token": user_token("ada")})).await;
    let (id, as_nobody) = (&greeting["data"]["clientId"], resume(&greeting));
    let as_ada = json!({"clientId": id, "token": answer["data"]["resume"]["token"]});
    for (resume, kind) in [(as_nobody, "connection_established"), (as_ada, "reconnected")] {
        let mut again = server.connecting().connect(json!({"token": user_token("ada"), "resume": resume})).await;
        again.expect(kind).await;
    }
}

#[tokio::test]
async fn without_any_secret_a_client_without_a_user_resumes_after_a_kill() {
    let dir = TempDir::new();
    let serve = || {
        let mut command = durable(dir.path(), &[]);
        command.env_remove("JWT_SECRET").env("ALLOW_ANONYMOUS", "true");
        Served::start(command)
    };
    let served = serve().await;
    let greeting = Connecting::new(served.ws).connect(json!({})).await.expect("connection_established").await;
    served.kill().await;
    let served = serve().await;
    let mut again = Connecting::new(served.ws).connect(json!({"resume": resume(&greeting)})).await;
    assert_eq!(again.expect("reconnected").await["data"]["clientId"], greeting["data"]["clientId"]);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(dir.path().join("resume.key")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

async fn admin(served: &Served) -> Client {
    let mut client = Connecting::new(served.ws).query(&admin_token()).open().await;
    client.expect("connection_established").await;
    client
}

fn keyed(n: u64) -> Value {
    json!({"room": ROOM, "type": "note", "data": {"n": n}, "idempotencyKey": "k"})
}

#[tokio::test]
async fn a_publish_retried_after_a_kill_is_stored_once_and_answered_as_at_first() {
    let dir = TempDir::new();
    let served = Served::durable(dir.path(), &[]).await;
    let first = admin(&served).await.request("publish", keyed(1)).await["data"].clone();
    assert_eq!(first["offset"], 1);
    served.kill().await;
    let served = Served::durable(dir.path(), &[]).await;
    let mut client = admin(&served).await;
    assert_eq!(client.request("publish", keyed(1)).await["data"], first);
    let history = client.request("history:get", json!({"room": ROOM})).await;
    assert_eq!(history["data"]["events"].as_array().unwrap().len(), 1, "{history}");
}

#[tokio::test]
async fn a_retry_while_the_first_is_under_way_makes_one_event_and_the_same_answer() {
    let dir = TempDir::new();
    let served = Served::durable(dir.path(), &[]).await;
    let (mut one, mut two) = (admin(&served).await, admin(&served).await);
    // Both of a client's are published together, before any of them is committed.
    let twice = json!([{"type": "publish", "payload": keyed(1)}, {"type": "publish", "payload": keyed(1)}]).to_string();
    one.send_text(twice.clone()).await;
    two.send_text(twice).await;
    let mut answers = Vec::new();
    for client in [&mut one, &mut two] {
        answers.push(client.expect("published").await["data"].clone());
        answers.push(client.expect("published").await["data"].clone());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let history = one.request("history:get", json!({"room": ROOM})).await;
    assert_eq!(history["data"]["events"].as_array().unwrap().len(), 1, "{history}");
}

#[tokio::test]
async fn another_user_can_neither_suppress_nor_read_a_publish_by_guessing_its_key() {
    let server = TestServer::start().await;
    let eve = osbackend_server::auth::mint::Token::for_user("eve").role("admin").sign(&crate::support::SECRET.into()).unwrap();
    let (mut root, mut eve) = (server.admin().await, server.with_token(&eve).await);
    let first = root.request("publish", keyed(1)).await["data"].clone();
    let guessed = eve.request("publish", keyed(2)).await["data"].clone();
    assert_eq!((&first["offset"], &guessed["offset"]), (&json!(1), &json!(2)));
    assert_ne!(guessed["eventId"], first["eventId"]);
    let again = server.admin().await.request("publish", keyed(1)).await["data"].clone();
    assert_eq!(again, first, "by another connection of the same user");
}
