//! `POST /api/ws/events`: typed domain events, one or an array, all of them or none.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use osbackend_protocol::permission::within_token;
use osbackend_protocol::{Identity, JsonObject};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::body::{JsonText, object};
use super::caller::Admin;
use super::{Api, ApiError};
use crate::realtime::Emitted;

#[derive(Deserialize)]
struct Given {
    #[serde(rename = "type")]
    kind: String,
    data: JsonObject,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Taken {
    rooms: Vec<Place>,
    event_id: String,
}

#[derive(Serialize)]
struct Place {
    room: String,
    offset: Option<u64>,
}

impl From<Emitted> for Taken {
    fn from(emitted: Emitted) -> Self {
        let rooms = emitted.rooms.into_iter().map(|place| Place { room: place.room.to_string(), offset: place.offset });
        Self { rooms: rooms.collect(), event_id: emitted.event_id }
    }
}

pub(super) async fn events(State(api): State<Api>, admin: Admin, body: JsonText) -> Result<Response, ApiError> {
    let caller = admin.identity();
    if !body.as_str().trim_start().starts_with('[') {
        let event = check(&api, &caller, "", body.as_str())?;
        return Ok(Json(Taken::from(api.handle.emit_json(&event.kind, event.data).await?)).into_response());
    }
    let given: Vec<Box<RawValue>> = body.parse()?;
    let checked: Result<Vec<_>, _> =
        given.iter().enumerate().map(|(index, one)| check(&api, &caller, &format!("[{index}]."), one.get())).collect();
    let mut taken = Vec::with_capacity(given.len());
    for event in checked? {
        taken.push(Taken::from(api.handle.emit_json(&event.kind, event.data).await?));
    }
    Ok(Json(taken).into_response())
}

fn check(api: &Api, caller: &Identity, prefix: &str, text: &str) -> Result<Given, ApiError> {
    let given: Given = object(prefix, text)?;
    super::publish::check_size(api, &given.data)?;
    let rooms = api.handle.check_json(&given.kind, &given.data).map_err(|error| ApiError::of_event(prefix, &error))?;
    // No policy decides here, but a `rooms` claim narrows an admin's token as well.
    rooms.iter().try_for_each(|room| within_token(Some(caller), room))?;
    Ok(given)
}
