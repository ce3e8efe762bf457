//! Rules that leave a decision to the backend, whatever `WEBHOOK_EVENTS` says.

use osbackend_protocol::{
    Policy,
    permission::{Access, AnyOf, Pattern, Rule},
};
use osbackend_server::config::Config;
use osbackend_server::realtime::{BuildError, Realtime};
use serde_json::json;

use crate::support::{Backend, SECRET, TestServer, user_token};

/// Everything in `chat:*` is the backend's to decide, and joining the users' own rooms too; admins need nobody's word.
fn policy() -> Policy {
    let asks = || AnyOf::new(vec![Access::Role("admin".to_owned()), Access::Webhook]).unwrap();
    let mut chat = Rule::new(Pattern::parse("chat:*").unwrap(), asks());
    (chat.publish, chat.presence, chat.history) = (asks(), asks(), asks());
    chat.options.events = Some(vec!["said".to_owned()]);
    let users = Rule::new(Pattern::parse("user:*").unwrap(), Access::Webhook);
    Policy { rules: vec![chat, users] }
}

#[tokio::test]
async fn a_rule_asks_about_each_action_of_its_rooms() {
    let mut backend = Backend::start().await;
    let server = TestServer::built(Realtime::builder().policy(policy()), |config| backend.settings(config, &[])).await;
    let greeting = json!({"token": user_token("ada"), "rooms": [{"room": "chat:1"}]});
    let mut client = server.connecting().connect(greeting).await;
    let asked = backend.next("join").await;
    assert_eq!((&asked.body["room"], &asked.body["userId"]), (&json!("chat:1"), &json!("ada")));
    asked.allow();
    let greeted = client.expect("connection_established").await;
    assert_eq!(greeted["data"]["rooms"][0]["room"], "chat:1", "{greeted}");
    assert_eq!(greeted["data"]["rooms"][1]["room"], "user:ada", "without a question: {greeted}");
    let requests = [
        ("join", "room_joined", json!({"room": "chat:2"})),
        ("publish", "published", json!({"room": "chat:2", "type": "said", "data": {"n": 1}})),
        ("presence:get", "presence", json!({"room": "chat:1"})),
        ("history:get", "history", json!({"room": "chat:2"})),
    ];
    for (kind, reply, payload) in requests {
        let event = kind.split(':').next().unwrap();
        client.send(kind, payload.clone()).await;
        backend.next(event).await.answer(json!({"deny": {"message": "not now"}}));
        assert_eq!(client.expect_error("forbidden").await["message"], "not now", "{kind}");
        client.send(kind, payload).await;
        backend.next(event).await.allow();
        while client.next().await["type"] != reply {}
    }
    client.join("user:ada").await;
    let other = json!({"room": "chat:2", "type": "shouted", "data": {}});
    client.refused("publish", other, "forbidden").await;
    server.admin().await.join("chat:1").await;
    backend.is_quiet();
}

#[tokio::test]
async fn a_rule_that_nobody_could_be_asked_for_stops_the_start() {
    let mut config = Config::default();
    config.auth.jwt_secret = Some(SECRET.into());
    config.engine.kind = osbackend_server::config::EngineKind::Memory;
    let error = Realtime::builder().config(config).policy(policy()).build().err().expect("an error");
    assert!(matches!(error, BuildError::NoBackend) && error.to_string().contains("WEBHOOK_URL"), "{error}");
}
