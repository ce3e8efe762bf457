//! The five routes of a token (§1), and what happens to a bad one on each.

use osbackend_server::auth::mint::Token;
use serde_json::{Value, json};

use crate::support::{Client, Connecting, TestServer, admin_token, token, user_token};

fn now_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn assert_is_ada(greeting: &Value) {
    let data = &greeting["data"];
    assert_eq!((&data["authenticated"], &data["userId"], &data["role"]), (&json!(true), &json!("ada"), &json!("editor")));
    assert!(data["expiresAt"].as_str().is_some_and(|time| time.ends_with('Z')), "{data}");
    assert!(data["clientId"].is_string() && data["resume"]["token"].is_string(), "{data}");
    assert_eq!((&data["protocol"], &data["heartbeatIntervalMs"]), (&json!(1), &json!(25_000)));
    assert_eq!(data["rooms"][0]["room"], "user:ada", "the user's own room needs no join");
}

fn ada() -> String {
    token(Token::for_user("ada").role("editor"))
}

#[tokio::test]
async fn each_route_of_the_upgrade_request() {
    let server = TestServer::start().await;
    let routes: [fn(Connecting, &str) -> Connecting; 3] =
        [Connecting::query, Connecting::bearer, |connecting, token| connecting.header("x-auth-token", token)];
    for route in routes {
        let mut plain = route(server.connecting(), &ada()).open().await;
        assert_eq!(plain.protocol, None);
        assert_is_ada(&plain.expect("connection_established").await);

        let mut v1 = route(server.connecting(), &ada()).connect(json!({})).await;
        assert_is_ada(&v1.expect("connection_established").await);
    }
}

#[tokio::test]
async fn inside_connect() {
    let server = TestServer::start().await;
    let mut client = server.connecting().connect(json!({"token": ada()})).await;
    assert_is_ada(&client.expect("connection_established").await);
}

#[tokio::test]
async fn by_auth_on_a_plain_connection() {
    let server = TestServer::start().await;
    let mut client = server.connecting().open().await;
    let greeting = client.expect("connection_established").await;
    assert_eq!((&greeting["data"]["authenticated"], &greeting["data"]["userId"]), (&json!(false), &Value::Null));
    let answer = client.request("auth", json!({"token": ada()})).await;
    assert_eq!(answer["type"], "authenticated", "{answer}");
    assert_eq!((&answer["data"]["userId"], &answer["data"]["role"]), (&json!("ada"), &json!("editor")));
    client.join("dashboard:overview").await;
}

#[tokio::test]
async fn events_for_the_user_arrive_without_a_join() {
    let server = TestServer::start().await;
    let mut by_greeting = server.with_token(&ada()).await;
    let mut by_auth = server.connecting().open().await;
    by_auth.expect("connection_established").await;
    by_auth.request("auth", json!({"token": ada()})).await;
    server.handle.send_to_user("ada", "hello", &json!({"n": 1})).await.unwrap();
    for client in [&mut by_greeting, &mut by_auth] {
        let event = client.expect("hello").await;
        assert_eq!((&event["room"], &event["data"]), (&json!("user:ada"), &json!({"n": 1})));
    }
}

/// Tokens that must be refused, each with what is wrong.
fn bad_tokens() -> Vec<(&'static str, String)> {
    let now = now_seconds();
    let mut claims = vec![
        ("expired", Token::for_user("ada").claim("exp", now - 60)),
        ("not valid yet", Token::for_user("ada").claim("nbf", now + 600)),
        ("exp is a text", Token::for_user("ada").claim("exp", (now + 600).to_string())),
        ("exp is null", Token::for_user("ada").claim("exp", Value::Null)),
        ("sub is null: an anon key", Token::for_user("x").claim("sub", Value::Null).role("anon")),
        ("sub is null: a service key", Token::for_user("x").claim("sub", Value::Null).role("service_role")),
        ("sub is a number", Token::for_user("x").claim("sub", 7)),
        ("sub is empty", Token::for_user("")),
    ];
    let mut all: Vec<_> = claims.drain(..).map(|(what, claims)| (what, token(claims))).collect();
    all.push(("another secret", Token::for_user("ada").sign(&"another secret, longer than 32 bytes".into()).unwrap()));
    let good = user_token("ada");
    let (claims, _) = good.rsplit_once('.').unwrap();
    let payload = claims.split_once('.').unwrap().1;
    all.push(("no signature", format!("{claims}.")));
    all.push(("alg none", format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.")));
    all.push(("no JWT", "nonsense".to_owned()));
    all.push(("empty", String::new()));
    all
}

async fn expect_refusal(client: &mut Client, what: &str) {
    let error = client.expect_error("unauthorized").await;
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}");
    client.expect_close(4501, "unauthorized").await;
}

#[tokio::test]
async fn a_bad_token_is_refused_on_every_route_and_never_becomes_anonymous() {
    for allow_anonymous in [false, true] {
        let server = TestServer::with(|config| config.auth.allow_anonymous = allow_anonymous).await;
        let mut bystander = server.user("bystander").await;
        for (what, bad) in bad_tokens() {
            expect_refusal(&mut server.connecting().query(&bad).open().await, what).await;
            expect_refusal(&mut server.connecting().bearer(&bad).open().await, what).await;
            expect_refusal(&mut server.connecting().header("x-auth-token", &bad).open().await, what).await;
            expect_refusal(&mut server.connecting().connect(json!({"token": bad})).await, what).await;
            let mut by_auth = server.connecting().open().await;
            by_auth.expect("connection_established").await;
            by_auth.send("auth", json!({"token": bad})).await;
            expect_refusal(&mut by_auth, what).await;
        }
        bystander.is_alive().await;
    }
}

#[tokio::test]
async fn different_tokens_at_once_are_refused() {
    let server = TestServer::start().await;
    let (one, two) = (user_token("ada"), user_token("bob"));
    expect_refusal(&mut server.connecting().query(&one).bearer(&two).open().await, "query and bearer").await;
    expect_refusal(&mut server.connecting().query(&one).header("x-auth-token", &two).open().await, "query and header").await;
    expect_refusal(&mut server.connecting().query(&one).connect(json!({"token": two})).await, "query and connect").await;
    let mut same = server.connecting().query(&one).bearer(&one).connect(json!({"token": one})).await;
    same.expect("connection_established").await;
}

#[tokio::test]
async fn a_token_is_refreshed_in_place_for_the_same_user_only() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    client.join("agent:7").await;
    let exp = now_seconds() + 7200;
    let answer = client.request("auth", json!({"token": token(Token::for_user("ada").claim("exp", exp))})).await;
    assert_eq!(answer["type"], "authenticated", "{answer}");
    let expires_at = osbackend_protocol::Timestamp(exp * 1000).to_string();
    assert_eq!(answer["data"]["expiresAt"], expires_at.as_str());
    client.refused("auth", json!({"token": user_token("bob")}), "forbidden").await;
    client.refused("auth", json!({"token": "nonsense"}), "unauthorized").await;
    let expired = token(Token::for_user("ada").claim("exp", now_seconds() - 60));
    client.refused("auth", json!({"token": expired}), "token_expired").await;
    // It is still ada's connection, in its room.
    server.handle.broadcast_to_room("agent:7", "still", &json!({})).await.unwrap();
    client.expect("still").await;
}

#[tokio::test]
async fn a_refresh_that_allows_less_leaves_what_is_not_allowed_any_more() {
    let server = TestServer::start().await;
    let mut client = server.admin().await;
    client.join("user:bob").await;
    client.join("agent:7").await;
    let answer = client.request("auth", json!({"token": user_token("root")})).await;
    assert_eq!(answer["type"], "authenticated", "{answer}");
    let left = client.expect("room_left").await;
    assert_eq!(left["data"], json!({"room": "user:bob", "reason": "permission_lost"}));
    server.handle.send_to_user("bob", "private", &json!({})).await.unwrap();
    server.handle.broadcast_to_room("agent:7", "public", &json!({})).await.unwrap();
    client.expect("public").await;
    client.refused("publish", json!({"room": "agent:7", "type": "x", "data": {}}), "forbidden").await;
}

#[tokio::test]
async fn a_token_near_its_end_is_announced() {
    let server = TestServer::start().await;
    let mut client = server.connecting().query(&token(Token::for_user("ada").claim("exp", now_seconds() + 30))).open().await;
    let greeting = client.expect("connection_established").await;
    let expiring = client.expect("token_expiring").await;
    assert_eq!(expiring["data"]["expiresAt"], greeting["data"]["expiresAt"]);
    client.request("auth", json!({"token": user_token("ada")})).await;
    client.is_alive().await;
}

#[tokio::test]
async fn an_admin_is_one_by_role_or_app_metadata_and_not_by_user_metadata() {
    let server = TestServer::start().await;
    let publish = json!({"room": "agent:7", "type": "x", "data": {}});
    for admin in [
        admin_token(),
        token(Token::for_user("root").role("service_role")),
        token(Token::for_user("root").claim("app_metadata", json!({"role": "admin"})).role("authenticated")),
    ] {
        let answer = server.with_token(&admin).await.request("publish", publish.clone()).await;
        assert_eq!(answer["type"], "published", "{answer}");
    }
    let edited = token(Token::for_user("eve").role("authenticated").claim("user_metadata", json!({"role": "admin"})));
    server.with_token(&edited).await.refused("publish", publish, "forbidden").await;
}
