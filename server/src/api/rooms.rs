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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoomsQuery {
    /// The name that the page before ended with.
    after: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    /// Whether there are rooms behind these.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
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
    query: Result<Asked<RoomsQuery>, ApiError>,
) -> Result<Json<Rooms>, ApiError> {
    let Asked(RoomsQuery { after, limit }) = query?;
    let limit = page_limit(limit, MAX_PAGE)?;
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
    let all = api.handle.stats().rooms.into_iter();
    let behind = all.filter(|status| after.as_deref().is_none_or(|after| status.room.as_str() > after));
    // A page ends at its limit: clients make rooms, so an answer with all of them would be as large as they like.
    let mut seen = behind.filter(|status| may_see(&status.room));
    let page = seen.by_ref().take(limit).map(|status| Room {
        room: status.room,
        client_count: status.client_count,
        epoch: status.epoch,
        offset: status.offset,
    });
    let rooms = page.collect();
    Ok(Json(Rooms { rooms, more: seen.next().is_some() }))
}

/// How many a page holds at most.
fn page_limit(asked: Option<u32>, default: u32) -> Result<usize, ApiError> {
    match asked.unwrap_or(default) {
        0 => Err(ApiError::bad_request(format!("limit: must be 1 to {MAX_PAGE}"))),
        limit => Ok(limit.min(MAX_PAGE) as usize),
    }
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
    let limit = page_limit(query.limit, 100)?;
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
