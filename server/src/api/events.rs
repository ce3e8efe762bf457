//! `POST /api/ws/events`: typed domain events, one or an array, all of them or none.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use osbackend_protocol::JsonObject;
use osbackend_protocol::permission::within_token;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::body::{JsonText, not_null, object};
use super::caller::Admin;
use super::publish::{check_key, check_size};
use super::query::{Asked, Nothing};
use super::{Api, ApiError};
use crate::realtime::{Emission, Emitted};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Given {
    #[serde(rename = "type")]
    kind: String,
    data: JsonObject,
    #[serde(default, deserialize_with = "not_null")]
    idempotency_key: Option<String>,
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

pub(super) async fn events(
    State(api): State<Api>,
    admin: Admin,
    _: Asked<Nothing>,
    body: JsonText,
) -> Result<Response, ApiError> {
    if !body.as_str().trim_start().starts_with('[') {
        let emission = check(&api, &admin, "", body.as_str())?;
        let one = api.handle.emit_all(vec![emission]).await?.into_iter().next();
        return Ok(Json(one.map(Taken::from)).into_response());
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
    let taken = api.handle.emit_all(checked?).await?;
    Ok(Json(taken.into_iter().map(Taken::from).collect::<Vec<_>>()).into_response())
}

fn check(api: &Api, admin: &Admin, prefix: &str, text: &str) -> Result<Emission, ApiError> {
    let given: Given = object(prefix, text)?;
    check_size(api, &given.data)?;
    check_key(prefix, given.idempotency_key.as_deref())?;
    let emission = api.handle.check_json(&given.kind, given.data).map_err(|error| ApiError::of_event(prefix, &error))?;
    // No policy decides here, but a `rooms` claim narrows an admin's token as well.
    let caller = admin.identity();
    emission.rooms().iter().try_for_each(|room| within_token(Some(&caller), room))?;
    Ok(match given.idempotency_key {
        Some(key) => emission.with_key(admin.publisher(), &key),
        None => emission,
    })
}
