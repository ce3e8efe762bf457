//! A backend that a server asks and tells by webhook (docs/PROTOCOL.md, "Webhooks"): it lets people into their team's rooms,
//! keeps bad words out of a chat, answers a message of its own, and announces who comes and goes.
//!
//! ```sh
//! WEBHOOK_SECRET='an example secret, 32 bytes or more' cargo run --package osbackend-server --example webhook_backend
//! WEBHOOK_SECRET='an example secret, 32 bytes or more' WEBHOOK_URL=http://127.0.0.1:3001/hook \
//!   WEBHOOK_EVENTS=connect,disconnect,join,publish,custom osbackend serve --dev
//! ```

use std::net::{Ipv4Addr, SocketAddr};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use osbackend_server::hooks::{SIGNATURE_HEADER, TIMESTAMP_HEADER, verify};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = std::env::var("WEBHOOK_SECRET").map_err(|_| "set WEBHOOK_SECRET to the server's")?;
    let port: u16 = std::env::var("BACKEND_PORT").map_or(Ok(3001), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    println!("webhook backend: http://{}/hook", listener.local_addr()?);
    axum::serve(listener, app(secret)).await?;
    Ok(())
}

pub(crate) fn app(secret: String) -> Router {
    Router::new().route("/hook", post(hook)).with_state(secret)
}

async fn hook(State(secret): State<String>, headers: HeaderMap, body: Bytes) -> (StatusCode, Json<Value>) {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Over the bytes as they came, before anything is believed.
    if let Err(error) = verify(&secret, header(TIMESTAMP_HEADER), &body, header(SIGNATURE_HEADER)) {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": error.to_string() })));
    }
    match serde_json::from_slice(&body) {
        Ok(asked) => (StatusCode::OK, Json(decide(&asked))),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))),
    }
}

fn decide(asked: &Value) -> Value {
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let user = asked["userId"].as_str().unwrap_or("somebody");
    match text("event") {
        "connect" if user == "mallory" => json!({"deny": {"message": "this account is suspended"}}),
        "connect" => {
            let news = json!({"room": "admin:broadcast", "type": "user_came", "data": {"user": user}});
            json!({"allow": true, "publish": [news]})
        }
        // Once for each departure; the answer's body doesn't matter.
        "disconnect" => {
            println!("{user} went away");
            json!({})
        }
        "join" => json!({"allow": text("room") != "agent:secret" || text("role") == "admin"}),
        "publish" if asked["data"].to_string().contains("spam") => {
            json!({"deny": {"code": "forbidden", "message": "no advertising here"}})
        }
        "publish" => json!({"allow": true}),
        "custom" if text("type") == "time:get" => json!({"reply": {"data": {"asked": asked["timestamp"], "by": user}}}),
        "custom" => json!({"deny": {"code": "unknown_type", "message": "this backend has no such message"}}),
        _ => json!({"deny": {}}),
    }
}
