//! Attacks on who is let in, what is told about them, and what of the server's code they reach.

use serde_json::json;

use crate::support::{Bystander, Connecting, Served, TestServer, admin_token, osbackend, request, send, soon, token, user_token};
use osbackend_server::auth::mint::Token;

#[tokio::test]
async fn a_panic_in_a_handler_closes_only_its_connection() {
    let server = TestServer::start().await;
    server.handle.on_custom_message("boom:at_once", |_| -> std::future::Ready<_> { panic!("on purpose, at once") });
    server.handle.on_custom_message("boom:later", |_| async {
        tokio::task::yield_now().await;
        panic!("on purpose, later")
    });
    let mut bystander = Bystander::join(&server).await;
    for kind in ["boom:at_once", "boom:later"] {
        let mut client = server.user("eve").await;
        client.join("agent:7").await;
        client.send(kind, json!({})).await;
        client.expect_close(1011, "internal").await;
        bystander.goes_on().await;
    }
    soon("the places to be given back", async {
        while server.handle.stats().total_clients > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Whoever is no trusted proxy can't take another's address, nor a new one for each connection.
#[tokio::test]
async fn spoofed_x_forwarded_for() {
    let server = TestServer::with(|config| config.limits.max_connections_per_ip = Some(2)).await;
    let mut bystander = Bystander::join(&server).await;
    let from = |forwarded: &str| server.connecting().query(&user_token("eve")).header("x-forwarded-for", forwarded);
    let mut first = from("192.0.2.1").open().await;
    first.expect("connection_established").await;
    for forged in ["192.0.2.2", "192.0.2.3, 192.0.2.4", "127.0.0.2", "::1", "garbage"] {
        let mut one_more = from(forged).open().await;
        let error = one_more.expect_error("limit_reached").await;
        assert!(error["retryAfterMs"].is_u64(), "{error}");
        one_more.expect_close(4005, "connection_limit").await;
    }
    bystander.goes_on().await;
}

/// Behind a trusted proxy the address that it added counts, and not what the client wrote before it.
#[tokio::test]
async fn x_forwarded_for_behind_a_trusted_proxy() {
    let server = TestServer::with(|config| {
        config.limits.max_connections_per_ip = Some(1);
        config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    })
    .await;
    // No header: the proxy's own address.
    let mut bystander = Bystander::join(&server).await;
    let from = |forwarded: &str| server.connecting().query(&user_token("eve")).header("x-forwarded-for", forwarded);
    let mut first = from("192.0.2.1").open().await;
    first.expect("connection_established").await;
    for same in ["6.6.6.6, 192.0.2.1", "192.0.2.1, 10.0.0.9", "192.0.2.9,192.0.2.1:4711", "::ffff:192.0.2.1"] {
        let mut second = from(same).open().await;
        second.expect_error("limit_reached").await;
        second.expect_close(4005, "connection_limit").await;
    }
    // Two headers are one list.
    let mut second = from("6.6.6.6").header("x-forwarded-for", "192.0.2.1").open().await;
    second.expect_error("limit_reached").await;
    let mut other = from("192.0.2.1, 192.0.2.2").open().await;
    other.expect("connection_established").await;
    let mut v6 = from("2001:db8::1").open().await;
    v6.expect("connection_established").await;
    from("2001:db8::ffff:2").open().await.expect_error("limit_reached").await;
    first.is_alive().await;
    bystander.goes_on().await;
}

/// With every line that the log can have, over every way in.
#[tokio::test]
async fn a_token_in_the_url_is_never_logged() {
    const SECRET: &str = "a secret of this test alone, and long enough";
    let sign = |token: Token| token.sign(&SECRET.into()).unwrap();
    let (user, admin) = (sign(Token::for_user("ada")), sign(Token::for_user("root").role("admin")));
    let forged = token(Token::for_user("mallory"));
    let mut command = osbackend(&["serve", "--port", "0", "--ws-port", "0", "--drain", "0"]);
    command.env("JWT_SECRET", SECRET).env("RUST_LOG", "trace").env("HOST", "127.0.0.1");
    let served = Served::start(command).await;

    for good in [&user, &admin] {
        let mut by_url = Connecting::new(served.ws).query(good).open().await;
        by_url.expect("connection_established").await;
        by_url.send("auth", json!({"token": good})).await;
        by_url.expect("authenticated").await;
        let mut by_header = Connecting::new(served.ws).header("x-auth-token", good.as_str()).open().await;
        by_header.expect("connection_established").await;
        let mut connect = Connecting::new(served.ws).connect(json!({"token": good})).await;
        let greeting = connect.expect("connection_established").await;
        assert!(greeting["data"]["resume"]["token"].is_string());
    }
    for address in [served.ws, served.http] {
        for path in ["/api/ws/status", "/api/ws/rooms", "/ws", "/nowhere"] {
            let path = format!("{path}?token={user}");
            request(address, "GET", &path, Some(&user), "").await;
        }
        // No HTTP at all, with a token in it.
        send(address, format!("GET /ws?token={admin} HTTP/9.9\r\n\r\n").as_bytes()).await;
    }
    let mut bad = Connecting::new(served.ws).query(&forged).open().await;
    bad.expect_error("unauthorized").await;
    bad.expect_close(4501, "unauthorized").await;
    request(served.http, "POST", "/api/ws/broadcast", Some(&forged), "{}").await;

    served.signal("TERM");
    let (status, log) = served.ended().await;
    assert!(status.success());
    assert!(log.contains("stopping"), "there is a log: {log}");
    for secret in [SECRET, &user, &admin, &forged] {
        assert!(!log.contains(secret), "{secret} is in the log");
        // Nor a part of it: the signature alone is as good as useless, but nobody has looked.
        for part in secret.split('.').filter(|part| part.len() > 40) {
            assert!(!log.contains(part), "{part} is in the log");
        }
    }
}

#[tokio::test]
async fn non_admin_broadcast() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let body = json!({"room": "agent:7", "type": "forged", "data": {}}).to_string();
    for address in [server.http, server.ws] {
        let broadcast = async |token: Option<&str>| request(address, "POST", "/api/ws/broadcast", token, &body).await;
        broadcast(Some(&user_token("eve"))).await.expect_error(403, "forbidden");
        broadcast(Some(&token(Token::for_user("eve").role("administrator")))).await.expect_error(403, "forbidden");
        broadcast(None).await.expect_error(401, "unauthorized");
    }
    let mut eve = server.user("eve").await;
    eve.refused("publish", serde_json::from_str(&body).unwrap(), "forbidden").await;
    // The next that comes is the test's own.
    bystander.goes_on().await;
    assert_eq!(request(server.http, "POST", "/api/ws/broadcast", Some(&admin_token()), &body).await.status, 200);
}
