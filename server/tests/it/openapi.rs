//! `/openapi.json` against the running API: every answer has a status that the document names, in the form that it has for it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Answer, TestServer, admin_token, mismatches, request, user_token};

async fn document(server: &TestServer) -> Value {
    let answer = request(server.http, "GET", "/openapi.json", None, "").await;
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    answer.ok()
}

/// The schema of an operation's answer.
fn schema_of(document: &Value, operation: &Value, status: u16) -> Option<Value> {
    let mut answer = operation["responses"].get(status.to_string())?.clone();
    if let Some(target) = answer["$ref"].as_str() {
        answer = document.pointer(&target[1..]).unwrap().clone();
    }
    answer["content"]["application/json"].get("schema").cloned()
}

fn check(document: &Value, method: &str, path: &str, answer: &Answer) {
    let operation = &document["paths"][path][method.to_lowercase()];
    let schema = schema_of(document, operation, answer.status).unwrap_or_else(|| {
        panic!("{method} {path} answers {}, which the document does not have: {}", answer.status, answer.body)
    });
    let wrong = mismatches(document, &schema, &answer.json());
    assert!(wrong.is_empty(), "{method} {path} {}: {wrong:#?}", answer.status);
}

#[tokio::test]
async fn real_answers_are_as_the_document_says() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let mut member = server.user("ada").await;
    member.join("agent:7").await;
    let (admin, user) = (admin_token(), user_token("ada"));
    let (admin, user) = (Some(admin.as_str()), Some(user.as_str()));
    let event = json!({"type": "agent_status_change", "data": {"agentId": "7", "status": "busy"}});
    let note = |room: &str| json!({"room": room, "type": "note", "data": {"a": 1}});
    let large = json!({"room": "agent:7", "type": "note", "data": {"a": "x".repeat(70_000)}});
    let mut seen = BTreeSet::new();
    for (method, path, real, token, body, status) in [
        ("POST", "/api/ws/broadcast", "/api/ws/broadcast", admin, note("agent:7"), 200),
        ("POST", "/api/ws/broadcast", "/api/ws/broadcast", admin, json!([note("agent:7"), note("agent:7")]), 200),
        ("POST", "/api/ws/broadcast", "/api/ws/broadcast", admin, note("no room"), 400),
        ("POST", "/api/ws/broadcast", "/api/ws/broadcast", None, note("agent:7"), 401),
        ("POST", "/api/ws/broadcast", "/api/ws/broadcast", user, note("agent:7"), 403),
        ("POST", "/api/ws/broadcast", "/api/ws/broadcast", admin, large, 413),
        ("POST", "/api/ws/broadcast", "/api/ws/broadcast", admin, json!({"type": 7}), 422),
        ("POST", "/api/ws/events", "/api/ws/events", admin, event.clone(), 200),
        ("POST", "/api/ws/events", "/api/ws/events", admin, json!([event, event]), 200),
        ("POST", "/api/ws/events", "/api/ws/events", admin, json!([]), 422),
        ("POST", "/api/ws/events", "/api/ws/events", user, event.clone(), 403),
        ("POST", "/api/ws/events", "/api/ws/events", admin, json!({"type": "clip_played", "data": {}}), 422),
        ("POST", "/api/ws/disconnect", "/api/ws/disconnect", admin, json!({"userId": "nobody"}), 200),
        ("POST", "/api/ws/disconnect", "/api/ws/disconnect", admin, json!({}), 400),
        ("POST", "/api/ws/disconnect", "/api/ws/disconnect", admin, json!({"userId": 7}), 422),
        ("GET", "/api/ws/status", "/api/ws/status", None, Value::Null, 200),
        ("GET", "/api/ws/status", "/api/ws/status", admin, Value::Null, 200),
        ("GET", "/api/ws/status", "/api/ws/status", Some("a.b.c"), Value::Null, 401),
        ("GET", "/api/ws/rooms", "/api/ws/rooms", user, Value::Null, 200),
        ("GET", "/api/ws/rooms", "/api/ws/rooms", None, Value::Null, 401),
        ("GET", "/api/ws/rooms/{room}/presence", "/api/ws/rooms/agent:7/presence", user, Value::Null, 200),
        ("GET", "/api/ws/rooms/{room}/presence", "/api/ws/rooms/nothing/presence", user, Value::Null, 400),
        ("GET", "/api/ws/rooms/{room}/presence", "/api/ws/rooms/user:bob/presence", user, Value::Null, 403),
        ("GET", "/api/ws/rooms/{room}/history", "/api/ws/rooms/agent:7/history?limit=5&reverse=true", user, Value::Null, 200),
        ("GET", "/api/ws/rooms/{room}/history", "/api/ws/rooms/agent:7/history?limit=0", user, Value::Null, 400),
        ("GET", "/api/ws/metrics", "/api/ws/metrics?interval=1h", user, Value::Null, 200),
        ("GET", "/api/ws/metrics", "/api/ws/metrics?interval=2h", user, Value::Null, 400),
        ("GET", "/api/ws/metrics", "/api/ws/metrics", None, Value::Null, 401),
        ("GET", "/healthz", "/healthz", None, Value::Null, 200),
        ("GET", "/readyz", "/readyz", None, Value::Null, 200),
        ("GET", "/openapi.json", "/openapi.json", None, Value::Null, 200),
    ] {
        // An empty array of events is an answer of its own: an empty array.
        let status = if body == json!([]) { 200 } else { status };
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = request(server.http, method, real, token, text).await;
        assert_eq!(answer.status, status, "{method} {real}: {}", answer.body);
        check(&document, method, path, &answer);
        seen.insert(path);
    }
    let documented: BTreeSet<_> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(documented.difference(&seen).collect::<Vec<_>>(), [&"/metrics"], "a call that is not tried");

    server.handle.drain(std::time::Duration::ZERO).await;
    let draining = request(server.http, "GET", "/readyz", None, "").await;
    assert_eq!(draining.status, 503);
    check(&document, "GET", "/readyz", &draining);
    let status = request(server.http, "GET", "/api/ws/status", None, "").await;
    check(&document, "GET", "/api/ws/status", &status);
    assert_eq!(status.ok()["status"], "draining");
}

#[tokio::test]
async fn the_examples_of_the_document_fit_its_schemas_and_its_checker_finds_what_does_not() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let mut tried = 0;
    let mut waiting = vec![&document];
    while let Some(part) = waiting.pop() {
        if let (Some(schema), Some(example)) = (part.get("schema"), part.get("example")) {
            // Bodies have lengths and keys of their own rules; answers are checked here.
            if schema["$ref"] != "#/components/schemas/Broadcast" {
                assert_eq!(mismatches(&document, schema, example), Vec::<String>::new());
                tried += 1;
            }
        }
        match part {
            Value::Object(fields) => waiting.extend(fields.values()),
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    assert!(tried > 15, "{tried}");

    let status = json!({"$ref": "#/components/schemas/Status"});
    let good = request(server.http, "GET", "/api/ws/status", None, "").await.ok();
    for (field, value) in [("status", json!("well")), ("uptimeSeconds", json!(-1)), ("node", json!(7)), ("more", json!(1))] {
        let mut bad = good.clone();
        bad[field] = value;
        assert_eq!(mismatches(&document, &status, &bad).len(), 1, "{field}");
    }
    let mut bad = good.clone();
    bad.as_object_mut().unwrap().remove("engine");
    assert_eq!(mismatches(&document, &status, &bad).len(), 1);
}

#[tokio::test]
async fn other_methods_than_the_documented_ones_are_refused() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        let real = path.replace("{room}", "agent:7");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let status = request(server.http, method, &real, None, "").await.status;
            let documented = item.get(method.to_lowercase()).is_some();
            assert_eq!(status != 405, documented, "{method} {path} answers {status}");
        }
    }
}

#[tokio::test]
async fn the_page_reads_the_document_and_may_load_nothing_from_elsewhere() {
    let server = TestServer::start().await;
    let page = request(server.http, "GET", "/openapi", None, "").await;
    assert!(page.head.contains("content-type: text/html") && page.head.contains("default-src 'none'"), "{}", page.head);
    // The files that it names are there, and come from this server.
    for (path, kind) in [
        ("openapi/page.js", "text/javascript"),
        ("openapi/swagger-ui-bundle.js", "text/javascript"),
        ("openapi/swagger-ui.css", "text/css"),
    ] {
        assert!(page.body.contains(&format!("=\"{path}\"")), "{path}");
        let file = request(server.http, "GET", &format!("/{path}"), None, "").await;
        assert!(file.status == 200 && file.head.contains(&format!("content-type: {kind}")), "{path}: {}", file.head);
    }
    let script = request(server.http, "GET", "/openapi/page.js", None, "").await.body;
    assert!(script.contains("url: \"openapi.json\"") && script.contains("SwaggerUIBundle"));
}
