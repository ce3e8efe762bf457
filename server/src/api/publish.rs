//! `POST /api/ws/broadcast`: an event of any name into one room.

use axum::Json;
use axum::extract::State;
use osbackend_protocol::event::{check_event_name, classify};
use osbackend_protocol::limits::MAX_IDEMPOTENCY_KEY_BYTES;
use osbackend_protocol::{Action, JsonObject, RoomName};
use serde::{Deserialize, Serialize};

use super::body::JsonText;
use super::caller::Admin;
use super::{Api, ApiError};

/// Where a broadcast goes that names no room.
const DEFAULT_ROOM: &str = "admin:broadcast";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Broadcast {
    room: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    data: JsonObject,
    user_id: Option<String>,
    idempotency_key: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Taken {
    room: RoomName,
    offset: Option<u64>,
    epoch: String,
    event_id: String,
    recipients: usize,
}

pub(super) async fn broadcast(State(api): State<Api>, admin: Admin, body: JsonText) -> Result<Json<Taken>, ApiError> {
    let asked: Broadcast = body.object()?;
    let room = room_of(&asked)?;
    api.handle.allowed(Some(&admin.identity()), &room, Action::Publish)?;
    check_size(&api, &asked.data)?;
    check_event_name(&asked.kind).map_err(ApiError::bad_request)?;
    classify(&asked.kind, &asked.data).map_err(|error| ApiError::of_event("", &error))?;
    if asked.idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES) {
        return Err(ApiError::invalid("idempotencyKey", "must be 1 to 128 bytes"));
    }
    let recipients = api.handle.client_count(&room);
    let published = api.handle.publish_as(admin.publisher(), room, &asked.kind, &asked.data, asked.idempotency_key).await?;
    let (offset, epoch, event_id) = (published.offset, published.epoch, published.event_id);
    Ok(Json(Taken { room: published.room, offset, epoch, event_id, recipients }))
}

fn room_of(asked: &Broadcast) -> Result<RoomName, ApiError> {
    match (&asked.room, &asked.user_id) {
        (Some(_), Some(_)) => Err(ApiError::bad_request("give `room` or `userId`, not both")),
        (None, Some(user)) => Ok(RoomName::of_user(user).map_err(|error| ApiError::bad_request(format!("userId: {error}")))?),
        (room, None) => Ok(RoomName::parse(room.as_deref().unwrap_or(DEFAULT_ROOM))?),
    }
}

/// An event that clients could not send may not be sent to them either (§1).
pub(super) fn check_size(api: &Api, data: &JsonObject) -> Result<(), ApiError> {
    let limit = api.handle.shared().settings.limits.max_message_bytes as usize;
    if limit > 0 && data.get().len() > limit { Err(ApiError::too_large(limit)) } else { Ok(()) }
}
