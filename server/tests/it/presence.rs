//! Presence over sockets (§5): who is told of whom, when, and when not.

use std::time::Duration;

use osbackend_server::Realtime;
use osbackend_server::auth::mint::Token;
use osbackend_server::config::{Config, ConfigFile};
use serde_json::{Value, json};

use crate::support::{Client, TestServer, admin_token, request, token, user_token};

const ROOM: &str = "agent:7";

/// Short enough to wait for, long enough for a reconnect.
const GRACE: Duration = Duration::from_millis(400);

async fn server() -> TestServer {
    TestServer::with(|config| config.liveness.presence_grace = GRACE).await
}

/// A grace that no test waits for.
async fn patient_server() -> TestServer {
    TestServer::with(|config| config.liveness.presence_grace = Duration::from_secs(3600)).await
}

async fn member(server: &TestServer, user: &str) -> Client {
    let mut client = server.user(user).await.watching();
    client.join(ROOM).await;
    client
}

/// The next message, which must say that this user came or went.
async fn expect_change(client: &mut Client, kind: &str, user: &str) -> Value {
    let message = client.expect(kind).await;
    assert_eq!((&message["data"]["userId"], &message["data"]["room"]), (&json!(user), &json!(ROOM)), "{message}");
    assert_eq!((&message["room"], &message["offset"], &message["id"]), (&json!(ROOM), &Value::Null, &Value::Null));
    message
}

async fn users(client: &mut Client) -> Vec<(String, u64)> {
    let presence = client.request("presence:get", json!({"room": ROOM})).await;
    let users = presence["data"]["users"].as_array().unwrap().iter();
    users.map(|user| (user["userId"].as_str().unwrap().to_owned(), user["clients"].as_u64().unwrap())).collect()
}

fn named(users: &[(&str, u64)]) -> Vec<(String, u64)> {
    users.iter().map(|(user, clients)| ((*user).to_owned(), *clients)).collect()
}

/// Waits until the server knows that a connection is gone.
async fn gone(server: &TestServer, client: Client, left: usize) {
    drop(client);
    let room = osbackend_protocol::RoomName::parse(ROOM).unwrap();
    let until = async {
        while server.handle.client_count(&room) > left {
            tokio::task::yield_now().await;
        }
    };
    crate::support::soon("the server to notice", until).await;
}

#[tokio::test]
async fn a_user_comes_once_and_goes_after_the_grace() {
    let server = server().await;
    let mut ada = member(&server, "ada").await;
    let bob = member(&server, "bob").await;
    expect_change(&mut ada, "presence_join", "bob").await;
    let tab = member(&server, "bob").await;
    assert_eq!(users(&mut ada).await, named(&[("ada", 1), ("bob", 2)]), "a second tab is counted and makes no event");
    gone(&server, bob, 2).await;
    assert_eq!(users(&mut ada).await, named(&[("ada", 1), ("bob", 1)]));
    gone(&server, tab, 1).await;
    assert_eq!(users(&mut ada).await, named(&[("ada", 1), ("bob", 0)]), "missed, and still there");
    expect_change(&mut ada, "presence_leave", "bob").await;
    assert_eq!(users(&mut ada).await, named(&[("ada", 1)]));
}

#[tokio::test]
async fn a_reconnect_within_the_grace_makes_no_noise() {
    let server = patient_server().await;
    let mut ada = member(&server, "ada").await;
    let mut bob = server.connecting().query(&user_token("bob")).connect(json!({"rooms": [{"room": ROOM}]})).await;
    let greeting = bob.expect("connection_established").await;
    expect_change(&mut ada, "presence_join", "bob").await;
    gone(&server, bob, 1).await;
    let resume = json!({"clientId": greeting["data"]["clientId"], "token": greeting["data"]["resume"]["token"]});
    let again = json!({"rooms": [{"room": ROOM}], "resume": resume});
    let mut bob = server.connecting().query(&user_token("bob")).connect(again).await.watching();
    bob.expect("reconnected").await;
    bob.is_alive().await;
    // Had it been told, the answer would come later.
    assert_eq!(users(&mut ada).await, named(&[("ada", 1), ("bob", 1)]));
}

#[tokio::test]
async fn leaving_and_being_sent_away_are_told_at_once() {
    let server = patient_server().await;
    let mut ada = member(&server, "ada").await;
    let mut bob = member(&server, "bob").await;
    expect_change(&mut ada, "presence_join", "bob").await;
    bob.request("leave", json!({"room": ROOM})).await;
    expect_change(&mut ada, "presence_leave", "bob").await;
    bob.join(ROOM).await;
    expect_change(&mut ada, "presence_join", "bob").await;
    assert_eq!(server.handle.disconnect_user("bob"), 1);
    bob.expect_close(4505, "disconnected").await;
    drop(bob);
    expect_change(&mut ada, "presence_leave", "bob").await;
}

/// Teams may be in the room, and only those of them who are told to watch see who else is.
const POLICY: &str = r#"
[policy]
[[policy.rooms]]
match = "agent:*"
join = "claim:team=7"
presence = "claim:watch=yes"

[[policy.rooms]]
match = "open:*"
join = "public"
"#;

/// §6: a logout says goodbye. Any other code may be a reload's, and has the grace.
#[tokio::test]
async fn a_client_that_says_goodbye_is_gone_at_once_and_no_other_close_is_a_goodbye() {
    let server = patient_server().await;
    let mut ada = member(&server, "ada").await;
    for user in ["bob", "cleo", "dan"] {
        let client = member(&server, user).await;
        expect_change(&mut ada, "presence_join", user).await;
        client
            .close_with(match user {
                "bob" => 1000,
                "cleo" => 4001,
                _ => 4000,
            })
            .await;
    }
    // Nothing was told of the two before, whose grace is an hour.
    expect_change(&mut ada, "presence_leave", "dan").await;
    assert_eq!(users(&mut ada).await, named(&[("ada", 1), ("bob", 0), ("cleo", 0)]));
    // Another connection of the same user goes on.
    let stays = member(&server, "dan").await;
    expect_change(&mut ada, "presence_join", "dan").await;
    member(&server, "dan").await.close_with(4000).await;
    assert_eq!(users(&mut ada).await[3], ("dan".to_owned(), 1));
    drop(stays);
}

async fn with_policy(change: impl FnOnce(&mut Config)) -> TestServer {
    let policy = ConfigFile::parse("test", POLICY).unwrap().policy().unwrap().clone();
    TestServer::built(Realtime::builder().policy(policy), change).await
}

fn of_team(user: &str) -> Token {
    Token::for_user(user).claim("team", "7")
}

#[tokio::test]
async fn who_may_not_see_presence_is_told_nothing_and_who_may_not_stay_is_gone() {
    let server = with_policy(|_| {}).await;
    let mut ada = server.with_token(&token(of_team("ada").claim("watch", "yes"))).await.watching();
    ada.join(ROOM).await;
    let mut bob = server.with_token(&token(of_team("bob"))).await.watching();
    bob.join(ROOM).await;
    expect_change(&mut ada, "presence_join", "bob").await;
    let mut eve = server.with_token(&token(of_team("eve"))).await;
    eve.join(ROOM).await;
    expect_change(&mut ada, "presence_join", "eve").await;
    bob.refused("presence:get", json!({"room": ROOM}), "forbidden").await;
    bob.is_alive().await;

    // A token that lets bob see: from then on.
    let more = token(of_team("bob").claim("watch", "yes"));
    bob.request("auth", json!({"token": more})).await;
    // One that no longer lets eve stay.
    eve.request("auth", json!({"token": user_token("eve")})).await;
    assert_eq!(eve.expect("room_left").await["data"]["reason"], "permission_lost");
    expect_change(&mut ada, "presence_leave", "eve").await;
    expect_change(&mut bob, "presence_leave", "eve").await;
}

#[tokio::test]
async fn in_a_large_room_there_are_counts_and_no_events() {
    let server = TestServer::with(|config| config.liveness.presence_limit = Some(2)).await;
    let mut ada = member(&server, "ada").await;
    let mut bob = member(&server, "bob").await;
    expect_change(&mut ada, "presence_join", "bob").await;
    assert_eq!(users(&mut ada).await, named(&[("ada", 1), ("bob", 1)]));
    let mut eve = member(&server, "eve").await;
    let presence = ada.expect("presence").await;
    assert_eq!((&presence["data"]["users"], &presence["room"], &presence["id"]), (&json!([]), &json!(ROOM), &Value::Null));
    assert_eq!(presence["data"]["counts"], json!({"users": 3, "clients": 3}));
    bob.is_alive().await;
    let mut joe = member(&server, "joe").await;
    ada.is_alive().await;
    let api = request(server.http, "GET", &format!("/api/ws/rooms/{ROOM}/presence"), Some(&user_token("zoe")), "").await.ok();
    assert_eq!((&api["users"], &api["counts"]), (&json!([]), &json!({"users": 4, "clients": 4})));
    // Smaller again: who has asked gets the list, and then events.
    for client in [&mut eve, &mut bob] {
        client.request("leave", json!({"room": ROOM})).await;
    }
    let presence = ada.expect("presence").await;
    assert_eq!(presence["data"]["users"].as_array().map(Vec::len), Some(2), "{presence}");
    assert_eq!(presence["data"]["counts"], Value::Null);
    joe.request("leave", json!({"room": ROOM})).await;
    expect_change(&mut ada, "presence_leave", "joe").await;
}

#[tokio::test]
async fn anonymous_clients_are_counted_and_become_users_when_they_say_who_they_are() {
    let server = with_policy(|config| config.auth.allow_anonymous = true).await;
    let get = json!({"room": "open:door"});
    let mut ada = server.user("ada").await.watching();
    ada.join("open:door").await;
    let mut nobody = server.connecting().open().await;
    nobody.expect("connection_established").await;
    nobody.join("open:door").await;
    let presence = ada.request("presence:get", get.clone()).await;
    assert_eq!((presence["data"]["users"].as_array().map(Vec::len), &presence["data"]["anonymous"]), (Some(1), &json!(1)));
    nobody.request("auth", json!({"token": user_token("bob")})).await;
    assert_eq!(ada.expect("presence_join").await["data"]["userId"], "bob");
    let presence = ada.request("presence:get", get).await;
    assert_eq!((presence["data"]["users"].as_array().map(Vec::len), &presence["data"]["anonymous"]), (Some(2), &json!(0)));
}

#[tokio::test]
async fn name_and_picture_come_from_the_token_and_nothing_else() {
    let server = server().await;
    let mut ada = member(&server, "ada").await;
    let metadata = json!({"full_name": "Bob B.", "avatar_url": "https://example.org/b.png", "phone": "1"});
    let bob = token(Token::for_user("bob").claim("email", "bob@example.org").claim("user_metadata", metadata));
    let mut bob = server.with_token(&bob).await;
    bob.join(ROOM).await;
    let info = json!({"name": "Bob B.", "avatarUrl": "https://example.org/b.png"});
    assert_eq!(expect_change(&mut ada, "presence_join", "bob").await["data"]["info"], info);
    let presence = ada.request("presence:get", json!({"room": ROOM})).await;
    assert_eq!(presence["data"]["users"][1]["info"], info, "{presence}");
    bob.request("leave", json!({"room": ROOM})).await;
    assert_eq!(expect_change(&mut ada, "presence_leave", "bob").await["data"]["info"], info);
}

/// The resume token is good on a server that starts later with the same secret: clients come back to it as after a crash.
#[tokio::test]
async fn a_restart_leaves_no_ghosts_and_who_comes_back_is_no_news() {
    let before = server().await;
    let mut greetings = Vec::new();
    for user in ["ada", "bob"] {
        let mut client = before.connecting().query(&user_token(user)).connect(json!({"rooms": [{"room": ROOM}]})).await;
        greetings.push((user, client.expect("connection_established").await));
    }
    member(&before, "eve").await;

    let after = TestServer::with(|config| config.liveness.presence_grace = Duration::from_secs(2)).await;
    let mut back = Vec::new();
    for (user, greeting) in greetings {
        let resume = json!({"clientId": greeting["data"]["clientId"], "token": greeting["data"]["resume"]["token"]});
        let connect = json!({"rooms": [{"room": ROOM}], "resume": resume});
        let mut client = after.connecting().query(&user_token(user)).connect(connect).await.watching();
        client.expect("reconnected").await;
        if back.is_empty() {
            assert_eq!(users(&mut client).await, named(&[("ada", 1)]), "no ghosts");
        }
        back.push(client);
    }
    let ada = &mut back[0];
    ada.is_alive().await;
    // Once, when all had the time to come back.
    let presence = ada.expect("presence").await;
    let told: Vec<_> = presence["data"]["users"].as_array().unwrap().iter().map(|user| user["userId"].clone()).collect();
    assert_eq!(told, [json!("ada"), json!("bob")], "{presence}");
    let _eve = member(&after, "eve").await;
    expect_change(ada, "presence_join", "eve").await;
}

#[tokio::test]
async fn an_admin_who_disconnects_by_http_makes_the_user_leave_at_once() {
    let server = patient_server().await;
    let mut ada = member(&server, "ada").await;
    let bob = member(&server, "bob").await;
    expect_change(&mut ada, "presence_join", "bob").await;
    let metrics = server.handle.exposition().text();
    assert!(metrics.contains("\nosbackend_presence_users 4\n"), "two users in the room and in their own: {metrics}");
    let body = json!({"userId": "bob"}).to_string();
    request(server.http, "POST", "/api/ws/disconnect", Some(&admin_token()), body).await.ok();
    // The socket ends when its client answers the close frame, or after a while.
    drop(bob);
    expect_change(&mut ada, "presence_leave", "bob").await;
}
