//! The HTTP API (§9): who may call what, answers, and an error for each bad body.

use osbackend_server::auth::mint::Token;
use serde_json::{Value, json};

use crate::support::{Answer, SECRET, TestServer, admin_token, request, send, token, user_token};

struct Api {
    server: TestServer,
    admin: String,
    user: String,
}

impl Api {
    async fn start() -> Self {
        Self { server: TestServer::start().await, admin: admin_token(), user: user_token("ada") }
    }

    async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        request(self.server.http, "GET", path, token, "").await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        request(self.server.http, "POST", path, Some(&self.admin), body.to_string()).await
    }

    async fn offset(&self, room: &str) -> Value {
        self.get(&format!("/api/ws/rooms/{room}/history"), Some(&self.admin)).await.ok()["offset"].clone()
    }
}

const BROADCAST: &str = "/api/ws/broadcast";
const EVENTS: &str = "/api/ws/events";

#[tokio::test]
async fn status_has_totals_for_anyone_and_rooms_for_admins() {
    let api = Api::start().await;
    let mut member = api.server.user("bob").await;
    member.join("agent:7").await;
    let anonymous = api.get("/api/ws/status", None).await.ok();
    assert_eq!((&anonymous["status"], &anonymous["engine"]), (&json!("ok"), &json!("memory")));
    assert_eq!((&anonymous["totalClients"], &anonymous["authenticatedClients"]), (&json!(1), &json!(1)));
    assert!(anonymous["uptimeSeconds"].is_u64() && anonymous["version"].is_string() && anonymous["node"].is_string());
    assert_eq!(anonymous.get("rooms"), None);
    assert_eq!(api.get("/api/ws/status", Some(&api.user)).await.ok().get("rooms"), None);
    let admin = api.get("/api/ws/status", Some(&api.admin)).await.ok();
    assert_eq!(admin["rooms"]["agent:7"], json!({"clientCount": 1}));
}

#[tokio::test]
async fn both_ports_answer_and_both_take_sockets() {
    let api = Api::start().await;
    for address in [api.server.http, api.server.ws] {
        assert_eq!(request(address, "GET", "/healthz", None, "").await.ok(), json!({"status": "ok"}));
        assert_eq!(request(address, "GET", "/readyz", None, "").await.status, 200);
        assert_eq!(request(address, "GET", "/api/ws/status", None, "").await.status, 200);
        let mut client = crate::support::Connecting::new(address).query(&api.user).open().await;
        client.expect("connection_established").await;
    }
}

#[tokio::test]
async fn a_list_of_rooms_ends_at_a_thousand() {
    let api = Api::start().await;
    for n in 0..1_001 {
        api.server.handle.broadcast_to_room(&format!("agent:{n}"), "note", &json!({})).await.unwrap();
    }
    let page = api.get("/api/ws/rooms?limit=5000", Some(&api.admin)).await.ok();
    assert_eq!((page["rooms"].as_array().unwrap().len(), &page["more"]), (1_000, &json!(true)));
}

#[tokio::test]
async fn rooms_are_those_that_one_may_join() {
    let api = Api::start().await;
    for room in ["agent:7", "user:ada", "user:bob"] {
        api.server.handle.broadcast_to_room(room, "note", &json!({})).await.unwrap();
    }
    let names = |answer: Value| -> Vec<String> {
        answer["rooms"].as_array().unwrap().iter().map(|room| room["room"].as_str().unwrap().to_owned()).collect()
    };
    let all = api.get("/api/ws/rooms", Some(&api.admin)).await.ok();
    assert_eq!((&all["rooms"][0]["offset"], &all["rooms"][0]["clientCount"]), (&json!(1), &json!(0)));
    assert!(all["rooms"][0]["epoch"].is_string());
    assert_eq!(names(all), ["agent:7", "user:ada", "user:bob"]);
    assert_eq!(names(api.get("/api/ws/rooms", Some(&api.user)).await.ok()), ["agent:7", "user:ada"]);
    // By pages, each of which says whether there is another.
    let page = api.get("/api/ws/rooms?limit=2", Some(&api.admin)).await.ok();
    assert_eq!(page["more"], json!(true));
    assert_eq!(names(page), ["agent:7", "user:ada"]);
    let rest = api.get("/api/ws/rooms?limit=2&after=user:ada", Some(&api.admin)).await.ok();
    assert!(rest.get("more").is_none(), "{rest}");
    assert_eq!(names(rest), ["user:bob"]);
    let own = api.get("/api/ws/rooms?limit=2", Some(&api.user)).await.ok();
    assert!(own.get("more").is_none(), "a room that one may not see is no reason to ask again: {own}");
    api.get("/api/ws/rooms?limit=0", Some(&api.admin)).await.expect_error(400, "bad_request");
    // An admin's token that its `rooms` claim narrows is told of no other rooms, by neither call.
    let narrow = Token::for_user("root").role("admin").claim("rooms", json!(["agent:*"])).sign(&SECRET.into()).unwrap();
    assert_eq!(names(api.get("/api/ws/rooms", Some(&narrow)).await.ok()), ["agent:7"]);
    let status = api.get("/api/ws/status", Some(&narrow)).await.ok();
    assert_eq!(status["rooms"], json!({"agent:7": {"clientCount": 0}}));
    // Nor does it publish there: this event would go to dashboard:overview too, and none of the array is published.
    let events = json!([
        {"type": "agent_status_change", "data": {"agentId": "7", "status": "busy"}},
        {"type": "clip_played", "data": {"clipId": "c", "plays": 1}},
    ]);
    for body in [events[0].to_string(), events[1].to_string(), events.to_string()] {
        request(api.server.http, "POST", EVENTS, Some(&narrow), body).await.expect_error(403, "forbidden");
    }
    assert_eq!((api.offset("agent:7").await, api.offset("clips:analytics").await), (json!(1), json!(0)));
    api.get("/api/ws/rooms", None).await.expect_error(401, "unauthorized");
}

#[tokio::test]
async fn presence_and_history_are_for_who_may_join() {
    let api = Api::start().await;
    let mut member = api.server.user("bob").await;
    member.join("agent:7").await;
    for n in 1..=3 {
        api.server.handle.broadcast_to_room("agent:7", "note", &json!({"n": n})).await.unwrap();
    }
    let presence = api.get("/api/ws/rooms/agent:7/presence", Some(&api.user)).await.ok();
    assert_eq!((&presence["room"], &presence["users"][0]["userId"]), (&json!("agent:7"), &json!("bob")));
    let history = api.get("/api/ws/rooms/agent:7/history?since=1&limit=1", Some(&api.user)).await.ok();
    assert_eq!((&history["offset"], &history["events"][0]["offset"]), (&json!(3), &json!(2)));
    let newest = api.get("/api/ws/rooms/agent%3A7/history?reverse=true", Some(&api.user)).await.ok();
    assert_eq!(newest["events"][0]["offset"], 3);

    api.get("/api/ws/rooms/agent:7/history", None).await.expect_error(401, "unauthorized");
    api.get("/api/ws/rooms/user:bob/history", Some(&api.user)).await.expect_error(403, "forbidden");
    api.get("/api/ws/rooms/secret:room/presence", Some(&api.admin)).await.expect_error(403, "forbidden");
    for room in ["nonsense", "agent:a%20b", "%ff", "agent%00"] {
        let answer = api.get(&format!("/api/ws/rooms/{room}/presence"), Some(&api.admin)).await;
        answer.expect_error(400, "bad_request");
    }
    for query in ["limit=ten", "limit=0", "since=-1", "reverse=perhaps"] {
        let answer = api.get(&format!("/api/ws/rooms/agent:7/history?{query}"), Some(&api.user)).await;
        answer.expect_error(400, "bad_request");
    }
}

#[tokio::test]
async fn only_admins_change_anything() {
    let api = Api::start().await;
    for path in [BROADCAST, EVENTS, "/api/ws/disconnect"] {
        let call = |token| request(api.server.http, "POST", path, token, "{}");
        let needed = call(None).await;
        needed.expect_error(401, "unauthorized");
        assert!(needed.head.contains("www-authenticate: bearer"), "{}", needed.head);
        call(Some("nonsense")).await.expect_error(401, "unauthorized");
        call(Some(&api.user)).await.expect_error(403, "forbidden");
    }
    api.get("/api/ws/status", Some("nonsense")).await.expect_error(401, "unauthorized");
    let expired = osbackend_server::auth::mint::Token::for_user("root").role("admin").claim("exp", 1);
    api.get("/api/ws/status", Some(&crate::support::token(expired))).await.expect_error(401, "token_expired");
}

#[tokio::test]
async fn a_token_comes_by_each_route_of_a_request() {
    let api = Api::start().await;
    let rooms = async |path: String, header: String| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
        send(api.server.http, head.as_bytes()).await
    };
    let (token, other) = (&api.user, &api.admin);
    rooms(format!("/api/ws/rooms?token={token}"), String::new()).await.ok();
    rooms("/api/ws/rooms".into(), format!("x-auth-token: {token}\r\n")).await.ok();
    rooms("/api/ws/rooms".into(), format!("authorization: Bearer {token}\r\n")).await.ok();
    let both = rooms(format!("/api/ws/rooms?token={token}"), format!("x-auth-token: {other}\r\n")).await;
    both.expect_error(401, "unauthorized");
}

#[tokio::test]
async fn a_broadcast_reaches_the_room_or_the_user() {
    let api = Api::start().await;
    let mut ada = api.server.user("ada").await;
    ada.join("admin:broadcast").await;
    let sent = api.post(BROADCAST, &json!({"type": "admin_broadcast", "data": {"message": "hi"}})).await.ok();
    assert_eq!((&sent["room"], &sent["offset"], &sent["recipients"]), (&json!("admin:broadcast"), &json!(1), &json!(1)));
    let event = ada.expect("admin_broadcast").await;
    assert_eq!((&event["eventId"], &event["data"]), (&sent["eventId"], &json!({"message": "hi"})));
    assert!(sent["epoch"].is_string());

    let to_user = api.post(BROADCAST, &json!({"userId": "ada", "type": "note", "data": {}})).await.ok();
    assert_eq!((&to_user["room"], &to_user["recipients"]), (&json!("user:ada"), &json!(1)));
    assert_eq!(ada.expect("note").await["room"], "user:ada");

    let to_room = api.post(BROADCAST, &json!({"room": "agent:7", "type": "note", "data": {}, "idempotencyKey": "k"})).await.ok();
    let again = api.post(BROADCAST, &json!({"room": "agent:7", "type": "note", "data": {}, "idempotencyKey": "k"})).await.ok();
    assert_eq!((&to_room["offset"], &to_room["recipients"], &again["eventId"]), (&json!(1), &json!(0), &to_room["eventId"]));
    assert_eq!(api.offset("agent:7").await, 1);
}

#[tokio::test]
async fn bad_broadcasts() {
    let api = Api::start().await;
    let good = json!({"room": "agent:7", "type": "note", "data": {}});
    let with = |changes: Value| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body
    };
    for (body, status, code) in [
        (json!({"room": "agent:7", "data": {}}), 422, "bad_request"),
        (json!({"room": "agent:7", "type": "x"}), 422, "bad_request"),
        (with(json!({"data": []})), 422, "bad_request"),
        (with(json!({"type": 7})), 422, "bad_request"),
        (with(json!({"type": "clip_played", "data": {"clipId": "c", "plays": -1}})), 422, "bad_request"),
        (with(json!({"idempotencyKey": ""})), 422, "bad_request"),
        (with(json!({"type": "room_joined"})), 400, "bad_request"),
        (with(json!({"type": ""})), 400, "bad_request"),
        (with(json!({"room": "nonsense"})), 400, "bad_request"),
        (with(json!({"userId": "ada"})), 400, "bad_request"),
        (json!({"userId": "", "type": "x", "data": {}}), 400, "bad_request"),
        (with(json!({"room": "secret:room"})), 403, "forbidden"),
        (with(json!({"data": {"x": "y".repeat(70_000)}})), 413, "too_large"),
        (json!("note"), 422, "bad_request"),
    ] {
        let answer = api.post(BROADCAST, &body).await;
        answer.expect_error(status, code);
    }
    assert_eq!(api.offset("agent:7").await, 0, "nothing of it was published");
}

#[tokio::test]
async fn typed_events_go_to_their_rooms() {
    let api = Api::start().await;
    let one = json!({"type": "agent_status_change", "data": {"agentId": "7", "status": "busy", "details": {"name": "Ava"}}});
    let sent = api.post(EVENTS, &one).await.ok();
    assert_eq!(sent["rooms"], json!([{"room": "agent:7", "offset": 1}, {"room": "dashboard:overview", "offset": 1}]));
    assert!(sent["eventId"].is_string());

    let many = json!([
        {"type": "metric_update", "data": {"metric": "m", "values": {"a": 1, "b": "x", "c": true, "d": null}}},
        {"type": "voice_clone_progress", "data": {"userId": "ada", "jobId": "j", "status": "processing", "progress": 12.5}},
        {"type": "training_milestone", "data": {"userId": "ada", "milestone": "half"}},
        {"type": "clip_played", "data": {"clipId": "c", "plays": 3, "location": "Oslo"}}
    ]);
    let sent = api.post(EVENTS, &many).await.ok();
    assert_eq!(
        sent.as_array().unwrap().iter().map(|event| event["rooms"].clone()).collect::<Vec<_>>(),
        [
            json!([{"room": "dashboard:overview", "offset": 2}]),
            json!([{"room": "user:ada", "offset": 1}, {"room": "voice:training", "offset": 1}]),
            json!([{"room": "voice:training", "offset": 2}, {"room": "user:ada", "offset": 2}]),
            json!([{"room": "clips:analytics", "offset": 1}]),
        ]
    );
    assert_eq!(api.post(EVENTS, &json!([])).await.ok(), json!([]));
}

#[tokio::test]
async fn a_bad_event_is_named_by_its_path_and_nothing_is_published() {
    let api = Api::start().await;
    let good = json!({"type": "clip_played", "data": {"clipId": "c", "plays": 1}});
    for (bad, path) in [
        (json!({"type": "clip_played", "data": {"clipId": "c"}}), "data.plays"),
        (json!({"type": "clip_played", "data": {"clipId": "c", "plays": "many"}}), "data.plays"),
        (json!({"type": "clip_played", "data": {"clipId": "", "plays": 1}}), "data.clipId"),
        (json!({"type": "metric_update", "data": {"metric": "m", "values": {"a": [1]}}}), "data.values.a"),
        (json!({"type": "metric_update", "data": {"values": {}}}), "data.metric"),
        (json!({"type": "agent_status_change", "data": {"agentId": 7, "status": "busy"}}), "data.agentId"),
        (json!({"type": "agent_status_change", "data": {"agentId": "x".repeat(200), "status": "busy"}}), "data.agentId"),
        (json!({"type": "voice_clone_progress", "data": {"userId": "u", "status": "done", "progress": 1}}), "data.status"),
        (
            json!({"type": "voice_clone_progress", "data": {"userId": "u", "status": "queued", "progress": 100.5}}),
            "data.progress",
        ),
        (json!({"type": "training_milestone", "data": {"userId": "u", "milestone": "m", "details": 7}}), "data.details"),
        (json!({"type": "clip_played"}), "data"),
        (json!({"type": "clip_played", "data": 7}), "data"),
        (json!({"data": {}}), "type"),
        (json!({"type": "note", "data": {}}), "type"),
    ] {
        let alone = api.post(EVENTS, &bad).await;
        alone.expect_error(422, "bad_request");
        assert_eq!(alone.json()["error"]["path"], path, "{bad}");
        let among = api.post(EVENTS, &json!([good, bad, good])).await;
        among.expect_error(422, "bad_request");
        assert_eq!(among.json()["error"]["path"], format!("[1].{path}"), "{bad}");
    }
    let among = api.post(EVENTS, &json!([good, 7])).await;
    assert!(among.expect_error(422, "bad_request").starts_with("[1]"));
    assert_eq!(api.offset("clips:analytics").await, 0);
}

#[tokio::test]
async fn bodies_that_are_no_json_or_too_large() {
    let api = Api::start().await;
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for body in ["", "nonsense", "{", "{} {}", "\u{feff}{}", deep.as_str()] {
        let answer = request(api.server.http, "POST", EVENTS, Some(&api.admin), body).await;
        answer.expect_error(400, "bad_request");
    }
    let bytes = request(api.server.http, "POST", EVENTS, Some(&api.admin), b"{\"type\":\"\xff\"}").await;
    bytes.expect_error(400, "bad_request");
    for body in ["null", "7", "\"text\""] {
        request(api.server.http, "POST", EVENTS, Some(&api.admin), body).await.expect_error(422, "bad_request");
    }
    let large = vec![b' '; 2 * 1024 * 1024];
    request(api.server.http, "POST", EVENTS, Some(&api.admin), large).await.expect_error(413, "too_large");
    api.get("/healthz", None).await.ok();
}

#[tokio::test]
async fn an_array_of_its_fields_is_no_object() {
    let api = Api::start().await;
    for (path, body) in [
        ("/api/ws/broadcast", json!(["agent:7", "note", {}, null, null])),
        ("/api/ws/disconnect", json!(["ada", null])),
        (EVENTS, json!([["clip_played", {"clipId": "c", "plays": 1}]])),
    ] {
        let message = api.post(path, &body).await.expect_error(422, "bad_request");
        assert!(message.ends_with("must be an object"), "{path}: {message}");
    }
    let value = json!({"type": "metric_update", "data": {"metric": "calls", "values": {"a": []}}});
    let message = api.post(EVENTS, &value).await.expect_error(422, "bad_request");
    assert_eq!(message, "data.values.a: expected a number, a string, a boolean or null");
}

#[tokio::test]
async fn an_admin_who_is_narrowed_to_rooms_disconnects_nobody_else() {
    let api = Api::start().await;
    let narrowed = token(Token::for_user("root").role("admin").claim("rooms", json!(["agent:*"])));
    let mut ada = api.server.connecting().query(&user_token("ada")).open().await;
    let greeting = ada.expect("connection_established").await;
    let of = |body: Value| {
        let (http, narrowed) = (api.server.http, narrowed.clone());
        async move { request(http, "POST", "/api/ws/disconnect", Some(&narrowed), body.to_string()).await }
    };
    let client_id = &greeting["data"]["clientId"];
    for whom in [json!({"userId": "ada"}), json!({"clientId": client_id})] {
        let message = of(whom).await.expect_error(403, "forbidden");
        assert!(message.contains("`rooms`"), "{message}");
    }
    ada.is_alive().await;
    assert_eq!(of(json!({"userId": "root"})).await.ok()["disconnected"], 0, "itself it may");
}

#[tokio::test]
async fn disconnect_takes_one_of_two() {
    let api = Api::start().await;
    for body in [json!({}), json!({"userId": "a", "clientId": "b"})] {
        api.post("/api/ws/disconnect", &body).await.expect_error(400, "bad_request");
    }
    api.post("/api/ws/disconnect", &json!({"userId": 7})).await.expect_error(422, "bad_request");
}

#[tokio::test]
async fn what_there_is_not() {
    let api = Api::start().await;
    api.get("/api/ws/nothing", None).await.expect_error(404, "not_found");
    request(api.server.http, "DELETE", "/api/ws/status", None, "").await.expect_error(405, "method_not_allowed");
    assert_eq!(api.get("/dev/session", None).await.status, 404, "only with --dev");
    let upgrade_needed = api.get("/ws", Some(&api.user)).await;
    assert!((400..500).contains(&upgrade_needed.status), "{}", upgrade_needed.status);
}

#[tokio::test]
async fn an_array_that_is_sent_again_with_its_keys_is_published_once() {
    let api = Api::start().await;
    let status =
        |key: &str| json!({"type": "agent_status_change", "data": {"agentId": "7", "status": "busy"}, "idempotencyKey": key});
    let clip = json!({"type": "clip_played", "data": {"clipId": "c", "plays": 1}, "idempotencyKey": "k1"});
    let events = json!([status("k1"), clip, status("k2")]);
    let first = api.post(EVENTS, &events).await.ok();
    assert_eq!(first[0]["rooms"], json!([{"room": "agent:7", "offset": 1}, {"room": "dashboard:overview", "offset": 1}]));
    assert_eq!(first[2]["rooms"], json!([{"room": "agent:7", "offset": 2}, {"room": "dashboard:overview", "offset": 2}]));
    assert_eq!(api.post(EVENTS, &events).await.ok(), first);
    // Alone it is the same event still, and another key is another event.
    assert_eq!(api.post(EVENTS, &status("k2")).await.ok(), first[2]);
    assert_eq!(api.post(EVENTS, &status("k3")).await.ok()["rooms"][0]["offset"], 3);
    assert_eq!(api.offset("clips:analytics").await, 1);

    let note = |key: &str| json!({"room": "agent:7", "type": "note", "data": {}, "idempotencyKey": key});
    let notes = json!([note("n1"), note("n2"), {"userId": "ada", "type": "note", "data": {}}]);
    let first = api.post(BROADCAST, &notes).await.ok();
    assert_eq!((&first[1]["offset"], &first[2]["room"]), (&json!(5), &json!("user:ada")));
    let again = api.post(BROADCAST, &notes).await.ok();
    assert_eq!((&again[0], &again[1]), (&first[0], &first[1]));
    // Without a key it is a new one.
    assert_eq!(again[2]["offset"], 2);
}

#[tokio::test]
async fn one_refused_event_of_an_array_is_named_and_none_is_published() {
    let api = Api::start().await;
    let good = json!({"room": "agent:7", "type": "note", "data": {}});
    for (bad, status, code, path) in [
        (json!({"room": "agent 7", "type": "note", "data": {}}), 400, "bad_request", "[1]"),
        (json!({"room": "agent:7", "type": "heartbeat", "data": {}}), 400, "bad_request", "[1]"),
        (json!({"room": "secret:7", "type": "note", "data": {}}), 403, "forbidden", "[1]"),
        (json!({"room": "agent:7", "type": "note", "data": {"a": "x".repeat(70_000)}}), 413, "too_large", "[1]"),
        (json!({"room": "agent:7", "type": "note", "data": {}, "idempotencyKey": ""}), 422, "bad_request", "[1].idempotencyKey"),
        (json!({"room": "agent:7", "type": "note"}), 422, "bad_request", "[1].data"),
        (json!("note"), 422, "bad_request", "[1]"),
    ] {
        let answer = api.post(BROADCAST, &json!([good, bad, good])).await;
        answer.expect_error(status, code);
        assert_eq!(answer.json()["error"]["path"], path, "{}", answer.body);
    }
    let key = json!({"type": "clip_played", "data": {"clipId": "c", "plays": 1}, "idempotencyKey": "k".repeat(129)});
    let answer = api.post(EVENTS, &json!([key])).await;
    answer.expect_error(422, "bad_request");
    assert_eq!(answer.json()["error"]["path"], "[0].idempotencyKey");
    assert_eq!((api.offset("agent:7").await, api.offset("clips:analytics").await), (json!(0), json!(0)));
    assert_eq!(api.post(BROADCAST, &json!([])).await.ok(), json!([]));
}
