//! A server whose users are a Supabase project's: connections over real sockets, an outage, a rotation, and a start without `JWT_SECRET`.

use std::time::Duration;

use serde_json::json;

use crate::support::keys::{IssuerKey, hs256};
use crate::support::supabase::{ANON_KEY, Mood, Supabase, now_seconds};
use crate::support::{Served, TestServer, osbackend, request, soon};

/// A server with the settings of `supabase` alone.
async fn server(supabase: &Supabase, with_anon_key: bool) -> TestServer {
    TestServer::with(|config| {
        config.auth.jwt_secret = None;
        config.auth.supabase_url = Some(supabase.url.clone());
        config.auth.supabase_anon_key = with_anon_key.then(|| ANON_KEY.into());
    })
    .await
}

#[tokio::test]
async fn users_connect_through_a_rotation_of_keys() {
    let (first, second) = (IssuerKey::es256("1"), IssuerKey::eddsa("2"));
    let supabase = Supabase::start(&[&first]).await;
    let server = server(&supabase, false).await;
    let mut ada = server.with_token(&first.sign(&supabase.claims("ada"))).await;
    ada.join("agent:7").await;
    supabase.rotate(&[&second]);
    let mut bob = server.with_token(&second.sign(&supabase.claims("bob"))).await;
    bob.join("agent:7").await;
    let answer = ada.request("auth", json!({"token": second.sign(&supabase.claims("ada"))})).await;
    assert_eq!((&answer["type"], &answer["data"]["userId"]), (&json!("authenticated"), &json!("ada")));
    ada.is_alive().await;
}

#[tokio::test]
async fn an_outage_closes_1013_and_a_bad_token_4501() {
    let key = IssuerKey::es256("1");
    let supabase = Supabase::start(&[&key]).await;
    let server = server(&supabase, true).await;
    let by_key = key.sign(&supabase.claims("ada"));
    let by_asking = supabase.session(&supabase.claims("ada"));
    supabase.mood(Mood::Failing(503));
    for token in [&by_key, &by_asking] {
        let mut plain = server.connecting().query(token).open().await;
        plain.expect_error("unavailable").await;
        plain.expect_close(1013, "try_later").await;
        let mut v1 = server.connecting().connect(json!({"token": token})).await;
        v1.expect_error("unavailable").await;
        v1.expect_close(1013, "try_later").await;
        let mut by_auth = server.connecting().open().await;
        by_auth.expect("connection_established").await;
        by_auth.send("auth", json!({"token": token})).await;
        by_auth.expect_error("unavailable").await;
        by_auth.expect_close(1013, "try_later").await;
        let answer = request(server.http, "GET", "/api/ws/rooms", Some(token), "").await;
        answer.expect_error(503, "unavailable");
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    }
    // What can be told without asking is told all the same.
    let mut expired = server.connecting().query(&supabase.session(&supabase.claims_with("ada", &json!({"exp": 1})))).open().await;
    expired.expect_error("unauthorized").await;
    expired.expect_close(4501, "unauthorized").await;

    supabase.mood(Mood::Well);
    server.with_token(&by_asking).await.is_alive().await;
    let mut forged =
        server.connecting().query(&hs256(b"a guess", &json!({"alg": "HS256"}), &supabase.claims("eve"))).open().await;
    forged.expect_error("unauthorized").await;
    forged.expect_close(4501, "unauthorized").await;
}

#[tokio::test]
async fn a_live_connection_survives_an_outage_at_its_refresh() {
    let supabase = Supabase::start(&[]).await;
    let server = server(&supabase, true).await;
    let mut ada = server.with_token(&supabase.session(&supabase.claims("ada"))).await;
    ada.join("agent:7").await;
    let fresh = supabase.session(&supabase.claims_with("ada", &json!({"exp": now_seconds() + 7200})));
    supabase.mood(Mood::Failing(500));
    ada.refused("auth", json!({"token": fresh}), "unavailable").await;
    server.handle.broadcast_to_room("agent:7", "still", &json!({})).await.unwrap();
    ada.expect("still").await;
    supabase.mood(Mood::Well);
    assert_eq!(ada.request("auth", json!({"token": fresh})).await["type"], "authenticated");
}

#[tokio::test]
async fn a_role_that_was_taken_away_loses_its_rooms_at_the_refresh() {
    let key = IssuerKey::es256("1");
    let supabase = Supabase::start(&[&key]).await;
    let server = server(&supabase, false).await;
    let admin = supabase.claims_with("root", &json!({"app_metadata": {"role": "admin"}}));
    let mut root = server.with_token(&key.sign(&admin)).await;
    root.join("user:bob").await;
    root.join("agent:7").await;
    let answer = root.request("auth", json!({"token": key.sign(&supabase.claims("root"))})).await;
    assert_eq!((&answer["type"], &answer["data"]["role"]), (&json!("authenticated"), &json!("authenticated")));
    let left = root.expect("room_left").await;
    assert_eq!(left["data"], json!({"room": "user:bob", "reason": "permission_lost"}));
    server.handle.send_to_user("bob", "private", &json!({})).await.unwrap();
    server.handle.broadcast_to_room("agent:7", "public", &json!({})).await.unwrap();
    root.expect("public").await;
}

#[tokio::test]
async fn a_session_is_resumed_without_a_secret_of_the_servers() {
    let key = IssuerKey::es256("1");
    let supabase = Supabase::start(&[&key]).await;
    let server = server(&supabase, false).await;
    let token = key.sign(&supabase.claims("ada"));
    let mut client = server.connecting().connect(json!({"token": token})).await;
    let greeting = client.expect("connection_established").await;
    let resume = json!({"clientId": greeting["data"]["clientId"], "token": greeting["data"]["resume"]["token"]});
    drop(client);
    let mut again = server.connecting().connect(json!({"token": token, "resume": resume})).await;
    assert_eq!(again.expect("reconnected").await["data"]["clientId"], greeting["data"]["clientId"]);
}

#[tokio::test]
async fn serve_starts_with_supabase_alone_and_says_what_is_missing() {
    let key = IssuerKey::eddsa("1");
    let supabase = Supabase::start(&[&key]).await;
    let mut command = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--drain", "50ms"]);
    command.env("SUPABASE_URL", &supabase.url);
    let served = Served::start(command).await;
    let mut client = crate::support::Connecting::new(served.ws).query(&key.sign(&supabase.claims("ada"))).open().await;
    assert_eq!(client.expect("connection_established").await["data"]["userId"], "ada");
    served.signal("TERM");
    assert!(served.ended().await.0.success());

    let mut command = osbackend(&["serve", "--port", "0", "--ws-port", "0"]);
    command.env("SUPABASE_ANON_KEY", ANON_KEY).env("JWT_SECRET", "a secret of at least 32 bytes, kept");
    let output = soon("serve to refuse", command.output()).await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("SUPABASE_URL") && !error.contains(ANON_KEY), "{error}");

    let output = soon("serve to refuse", osbackend(&["serve"]).output()).await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    for name in ["JWT_SECRET", "SUPABASE_URL", "SUPABASE_JWT_SECRET", "--dev"] {
        assert!(error.contains(name), "{name}: {error}");
    }
    let mut anonymous = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--allow-anonymous"]);
    anonymous.env("DRAIN", "0");
    let served = Served::start(anonymous).await;
    crate::support::Connecting::new(served.ws).open().await.expect("connection_established").await;
}

/// The time that a slow issuer may take is bounded by less than a client waits for its greeting.
#[tokio::test]
async fn a_slow_issuer_closes_1013() {
    let key = IssuerKey::es256("1");
    let supabase = Supabase::start(&[&key]).await;
    supabase.mood(Mood::Hanging);
    let server = TestServer::with(|config| {
        config.auth.jwt_secret = None;
        config.auth.supabase_url = Some(supabase.url.clone());
        config.auth.fetch_timeout = Duration::from_millis(50);
    })
    .await;
    let mut client = server.connecting().query(&key.sign(&supabase.claims("ada"))).open().await;
    client.expect_error("unavailable").await;
    client.expect_close(1013, "try_later").await;
    let defaults = osbackend_server::config::Config::default();
    assert!(defaults.auth.fetch_timeout < defaults.limits.handshake_timeout.unwrap());
}

#[tokio::test]
async fn neither_tokens_nor_the_projects_key_reach_the_log() {
    let key = IssuerKey::eddsa("1");
    let supabase = Supabase::start(&[&key]).await;
    let mut command = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--drain", "0"]);
    command.env("SUPABASE_URL", &supabase.url).env("SUPABASE_ANON_KEY", ANON_KEY).env("RUST_LOG", "trace");
    let served = Served::start(command).await;
    let connecting = || crate::support::Connecting::new(served.ws);
    let (by_key, by_asking) = (key.sign(&supabase.claims("ada")), supabase.session(&supabase.claims("bob")));
    let forged = hs256(b"a guess", &json!({"alg": "HS256"}), &supabase.claims("eve"));
    for token in [&by_key, &by_asking] {
        connecting().query(token).open().await.expect("connection_established").await;
    }
    connecting().bearer(&forged).open().await.expect_error("unauthorized").await;
    supabase.mood(Mood::Failing(500));
    let later = supabase.session(&supabase.claims("dan"));
    connecting().query(&later).open().await.expect_error("unavailable").await;
    supabase.mood(Mood::RefusingTheKey);
    connecting().query(&later).open().await.expect_error("unavailable").await;
    served.signal("TERM");
    let (_, log) = served.ended().await;
    assert!(log.contains("SUPABASE_ANON_KEY") && log.contains("/auth/v1/user"), "what went wrong is there: {log}");
    for token in [&by_key, &by_asking, &forged, &later] {
        let (claims, signature) = token.rsplit_once('.').unwrap();
        assert!(!log.contains(signature) && !log.contains(claims), "a token in {log}");
    }
    assert!(!log.contains(ANON_KEY), "{log}");
}
