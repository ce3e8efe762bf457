//! `GET /api/ws/status`, `/healthz` and `/readyz`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::{Api, ApiError};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    status: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    node: String,
    engine: &'static str,
    total_clients: usize,
    authenticated_clients: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<BTreeMap<String, RoomTotals>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RoomTotals {
    client_count: usize,
}

pub(super) async fn status(State(api): State<Api>, Caller(caller): Caller) -> Json<Status> {
    let stats = api.handle.stats();
    let sees_rooms = caller.is_some_and(|caller| caller.is_admin());
    let rooms = sees_rooms.then(|| {
        let rooms = stats.rooms.into_iter();
        rooms.map(|room| (room.room.to_string(), RoomTotals { client_count: room.client_count })).collect()
    });
    Json(Status {
        status: "ok",
        version: stats.version,
        uptime_seconds: stats.uptime_seconds,
        node: api.node.to_string(),
        engine: stats.engine,
        total_clients: stats.total_clients,
        authenticated_clients: stats.authenticated_clients,
        rooms,
    })
}

/// The process answers.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// New connections are welcome; 503 once the server is going away.
pub(super) async fn readyz(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    if api.handle.is_draining() {
        Err(ApiError::unavailable("the server is going away"))
    } else {
        Ok(Json(json!({"status": "ready"})))
    }
}
