//! What the protocol marks as secret is all that is secret: tokens of users and sessions, in every message that has one.

use osbackend_protocol::{SECRET_FIELDS, decode_client, decode_server, encode_client, encode_server};
use serde_json::Value;

/// Names of the fields whose text is `secret`, at any depth.
fn fields_with(secret: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if field.as_str() == Some(secret) {
                    found.push(name.clone());
                }
                fields_with(secret, field, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields_with(secret, item, found)),
        _ => {}
    }
}

#[test]
fn every_message_with_a_token_has_it_in_a_marked_field() {
    let secret = "s3cret";
    let grant = r#"{"token":"s3cret","expiresAt":"2026-11-24T00:00:00.000Z"}"#;
    let greeting = format!(
        r#"{{"clientId":"c","authenticated":true,"protocol":1,"schema":"s","heartbeatIntervalMs":25000,"limits":{{"maxMessageBytes":0,"maxRooms":0,"messageRate":0,"messageBurst":0,"joinRate":0,"joinBurst":0}},"rooms":[],"resume":{grant}}}"#
    );
    let client = [
        r#"{"type":"connect","payload":{"protocol":1,"token":"s3cret","resume":{"clientId":"c","token":"s3cret"}}}"#.to_owned(),
        r#"{"type":"auth","payload":{"token":"s3cret"}}"#.to_owned(),
    ];
    let at = "2026-11-24T00:00:00.000Z";
    let server = [
        format!(r#"{{"type":"connection_established","data":{greeting},"timestamp":"{at}"}}"#),
        format!(r#"{{"type":"reconnected","data":{greeting},"timestamp":"{at}"}}"#),
        format!(r#"{{"type":"authenticated","data":{{"userId":"u","expiresAt":"{at}","resume":{grant}}},"timestamp":"{at}"}}"#),
        format!(r#"{{"type":"heartbeat","data":{{"serverTime":"{at}","resume":{grant}}},"timestamp":"{at}"}}"#),
    ];
    // Through the types and back: a field that they don't know would be dropped, and with it the test's meaning.
    let mut texts: Vec<(String, usize)> = Vec::new();
    for (text, tokens) in client.iter().zip([2, 1]) {
        texts.push((encode_client(decode_client(text)[0].as_ref().expect("a golden form")), tokens));
    }
    for text in &server {
        texts.push((encode_server(&decode_server(text).expect("a golden form")[0]), 1));
    }
    for (text, tokens) in texts {
        let mut found = Vec::new();
        fields_with(secret, &serde_json::from_str(&text).expect("JSON"), &mut found);
        assert_eq!(found.len(), tokens, "{text}");
        assert!(found.iter().all(|name| SECRET_FIELDS.contains(&name.as_str())), "{found:?} in {text}");
    }
}
