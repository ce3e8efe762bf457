//! The realtime layer inside an axum application of one's own: the application changes an agent's status, and every
//! dashboard that has joined `agent:{id}` or `dashboard:overview` hears of it.
//!
//! ```sh
//! cargo run --package osbackend-server --example agent_status
//! curl -X PUT localhost:3000/agents/7/status -d busy
//! curl -X PUT localhost:3000/users/ada/note -d 'your call is ready'
//! curl localhost:3000/stats
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use osbackend_protocol::event::AgentStatusChange;
use osbackend_server::auth::mint::Token;
use osbackend_server::handlers::CustomReply;
use osbackend_server::{Handle, Realtime};
use serde_json::{Value, json};

const SECRET: &str = "an example's secret: take one of your own, 32 bytes or more";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let realtime = Realtime::builder().jwt_secret(SECRET).build()?;
    let handle = realtime.handle();

    // A message type of the application's own: {"type":"agent:greet","payload":{"name":"Ava"},"id":1}
    handle.on_custom_message("agent:greet", |request| async move {
        let user = request.identity.map_or("somebody".to_owned(), |identity| identity.sub);
        CustomReply::json(&json!({ "from": user, "payload": request.payload }))
    });

    // `/ws` and `/api/ws/…` beside the application's own routes.
    let own = Router::new()
        .route("/agents/{id}/status", put(set_status))
        .route("/users/{sub}/note", put(send_note))
        .route("/stats", get(stats))
        .with_state(handle.clone());
    let app = own.merge(realtime.router());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let token = Token::for_user("ada").sign(&SECRET.into())?;
    println!("npx wscat -c 'ws://{}/ws?token={token}'", listener.local_addr()?);
    println!(r#"then type: {{"type":"join","payload":{{"room":"agent:7"}}}}"#);

    // With the peer's address, so that the limits per address count.
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            // Graceful shutdown waits for requests only; sockets are sent away like this.
            handle.drain(Duration::from_secs(2)).await;
        })
        .await?;
    Ok(())
}

/// The body is the status, as plain text.
async fn set_status(State(handle): State<Handle>, Path(agent_id): Path<String>, status: String) -> (StatusCode, String) {
    let change = AgentStatusChange { agent_id, status: status.trim().to_owned(), message: None, details: None };
    match handle.emit_agent_status_change(change).await {
        Ok(emitted) => (StatusCode::OK, format!("event {}\n", emitted.event_id)),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")),
    }
}

/// To every page that the user has open: `user:{sub}` needs no join.
async fn send_note(State(handle): State<Handle>, Path(sub): Path<String>, text: String) -> (StatusCode, String) {
    match handle.send_to_user(&sub, "note", &json!({ "text": text })).await {
        Ok(published) => (StatusCode::OK, format!("event {}\n", published.event_id)),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")),
    }
}

async fn stats(State(handle): State<Handle>) -> Json<Value> {
    let stats = handle.stats();
    let rooms: Vec<_> = stats.rooms.iter().map(|room| json!({"room": room.room, "clients": room.client_count})).collect();
    Json(json!({"clients": stats.total_clients, "published": stats.published, "rooms": rooms}))
}
