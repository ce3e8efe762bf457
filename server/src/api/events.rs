//! `POST /api/ws/events`: typed domain events, one or an array, all of them or none.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use osbackend_protocol::JsonObject;
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

pub(super) async fn events(State(api): State<Api>, _: Admin, body: JsonText) -> Result<Response, ApiError> {
    if !body.as_str().trim_start().starts_with('[') {
        let event = check(&api, "", body.as_str())?;
        return Ok(Json(Taken::from(api.handle.emit_json(&event.kind, event.data).await?)).into_response());
    }
    let given: Vec<Box<RawValue>> = body.parse()?;
    let checked: Result<Vec<_>, _> =
        given.iter().enumerate().map(|(index, one)| check(&api, &format!("[{index}]."), one.get())).collect();
    let mut taken = Vec::with_capacity(given.len());
    for event in checked? {
        taken.push(Taken::from(api.handle.emit_json(&event.kind, event.data).await?));
    }
    Ok(Json(taken).into_response())
}

fn check(api: &Api, prefix: &str, text: &str) -> Result<Given, ApiError> {
    let given: Given = object(prefix, text)?;
    super::publish::check_size(api, &given.data)?;
    api.handle.check_json(&given.kind, &given.data).map_err(|error| ApiError::of_event(prefix, &error))?;
    Ok(given)
}
