//! `GET /api/ws/rooms`, and who is in a room and what was said there.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use osbackend_protocol::limits::MAX_PAGE;
use osbackend_protocol::permission::within_token;
use osbackend_protocol::server_msg::{History, Presence};
use osbackend_protocol::{Action, Identity, RoomName};
use serde::{Deserialize, Serialize};

use super::caller::{Caller, User};
use super::limits::{UNIT_OF_MANY, Whence};
use super::query::{Asked, Nothing};
use super::{Api, ApiError};

#[derive(Serialize)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Room {
    room: RoomName,
    client_count: usize,
    epoch: String,
    offset: u64,
}

pub(super) async fn rooms(
    State(api): State<Api>,
    User(user): User,
    Whence(address): Whence,
    _: Asked<Nothing>,
) -> Result<Json<Rooms>, ApiError> {
    // Every room is looked at.
    let units = api.handle.totals().rooms as u64 / UNIT_OF_MANY;
    if !user.is_admin() && units > 0 {
        api.limits.charge(address, Some(&user.sub), units).await?;
    }
    // Admins see rooms that the policy has not, too; a `rooms` claim narrows their tokens as it does everybody's.
    let may_see = |room: &RoomName| match user.is_admin() {
        true => within_token(Some(&user), room).is_ok(),
        false => api.handle.allowed(Some(&user), room, Action::Join).is_ok(),
    };
    let all = api.handle.stats().rooms.into_iter().filter(|status| may_see(&status.room));
    let rooms = all.map(|status| Room {
        room: status.room,
        client_count: status.client_count,
        epoch: status.epoch,
        offset: status.offset,
    });
    Ok(Json(Rooms { rooms: rooms.collect() }))
}

pub(super) async fn presence(
    State(api): State<Api>,
    Caller(caller): Caller,
    room: RoomPath,
    _: Asked<Nothing>,
) -> Result<Json<Presence>, ApiError> {
    let room = admitted(&api, caller.as_ref(), room, Action::Presence)?;
    Ok(Json(api.handle.presence(room)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    since: Option<u64>,
    limit: Option<u32>,
    #[serde(default)]
    reverse: bool,
}

pub(super) async fn history(
    State(api): State<Api>,
    Caller(caller): Caller,
    room: RoomPath,
    query: Result<Asked<HistoryQuery>, ApiError>,
) -> Result<Json<History>, ApiError> {
    let room = admitted(&api, caller.as_ref(), room, Action::History)?;
    let Asked(query) = query?;
    let limit = match query.limit.unwrap_or(100) {
        0 => return Err(ApiError::bad_request(format!("limit: must be 1 to {MAX_PAGE}"))),
        limit => limit.min(MAX_PAGE) as usize,
    };
    Ok(Json(api.handle.history(room, query.since, limit, query.reverse)?))
}

/// `{room}` of the path, percent-decoded; what is no text is no room.
type RoomPath = Result<Path<String>, PathRejection>;

fn admitted(api: &Api, caller: Option<&Identity>, room: RoomPath, action: Action) -> Result<RoomName, ApiError> {
    let Path(room) = room.map_err(|rejection| ApiError::bad_request(format!("room: {}", rejection.body_text())))?;
    let room = RoomName::parse(&room)?;
    api.handle.allowed(caller, &room, action)?;
    Ok(room)
}
