//! `POST /api/ws/broadcast`: events of any name, each into one room, one or an array, all of them or none.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use osbackend_protocol::event::{check_event_name, classify};
use osbackend_protocol::limits::MAX_IDEMPOTENCY_KEY_BYTES;
use osbackend_protocol::{Action, JsonObject, Published, RoomName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::body::{JsonText, not_null, object};
use super::caller::Admin;
use super::query::{Asked, Nothing};
use super::{Api, ApiError};
use crate::hub::event::NewEvent;

/// Where a broadcast goes that names no room.
const DEFAULT_ROOM: &str = "admin:broadcast";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Broadcast {
    #[serde(default, deserialize_with = "not_null")]
    room: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    data: JsonObject,
    #[serde(default, deserialize_with = "not_null")]
    user_id: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
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

/// One event, or an array of them: all are published, in this order, or none.
pub(super) async fn broadcast(
    State(api): State<Api>,
    admin: Admin,
    _: Asked<Nothing>,
    body: JsonText,
) -> Result<Response, ApiError> {
    if !body.as_str().trim_start().starts_with('[') {
        let event = check(&api, &admin, "", body.as_str())?;
        let one = publish(&api, vec![event]).await?.into_iter().next();
        return Ok(Json(one).into_response());
    }
    let given: Vec<Box<RawValue>> = body.parse()?;
    let checked: Result<Vec<_>, _> = given
        .iter()
        .enumerate()
        .map(|(index, one)| {
            let prefix = format!("[{index}].");
            check(&api, &admin, &prefix, one.get()).map_err(|error| error.within(&prefix))
        })
        .collect();
    Ok(Json(publish(&api, checked?).await?).into_response())
}

async fn publish(api: &Api, events: Vec<(RoomName, NewEvent)>) -> Result<Vec<Taken>, ApiError> {
    let recipients: Vec<usize> = events.iter().map(|(room, _)| api.handle.client_count(room)).collect();
    let published = api.handle.publish_events(events).await?;
    let taken = published.into_iter().zip(recipients).map(|(published, recipients)| {
        let Published { room, offset, epoch, event_id } = published;
        Taken { room, offset, epoch, event_id, recipients }
    });
    Ok(taken.collect())
}

fn check(api: &Api, admin: &Admin, prefix: &str, text: &str) -> Result<(RoomName, NewEvent), ApiError> {
    let asked: Broadcast = object(prefix, text)?;
    let room = room_of(&asked)?;
    api.handle.allowed(Some(&admin.identity()), &room, Action::Publish)?;
    check_size(api, &asked.data)?;
    check_event_name(&asked.kind).map_err(ApiError::bad_request)?;
    let classified = classify(&asked.kind, &asked.data).map_err(|error| ApiError::of_event(prefix, &error))?;
    check_key(prefix, asked.idempotency_key.as_deref())?;
    let mut event = api.handle.shared().hub.new_event(&asked.kind, asked.data, classified);
    event.idempotency_key = asked.idempotency_key.map(|key| admin.publisher().key(&key));
    Ok((room, event))
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

/// As on the socket: 1 to 128 bytes (§4).
pub(super) fn check_key(prefix: &str, key: Option<&str>) -> Result<(), ApiError> {
    match key {
        Some(key) if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES => {
            Err(ApiError::invalid(format!("{prefix}idempotencyKey"), "must be 1 to 128 bytes"))
        }
        _ => Ok(()),
    }
}
