//! `POST /api/ws/disconnect`: ends a user's or a client's connections with 4505.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::body::{JsonText, not_null};
use super::caller::Admin;
use super::query::{Asked, Nothing};
use super::{Api, ApiError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Whom {
    #[serde(default, deserialize_with = "not_null")]
    user_id: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    client_id: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Disconnected {
    /// How many connections were closed; none is no error: they may have gone by themselves.
    disconnected: usize,
}

pub(super) async fn disconnect(
    State(api): State<Api>,
    admin: Admin,
    _: Asked<Nothing>,
    body: JsonText,
) -> Result<Json<Disconnected>, ApiError> {
    let whom: Whom = body.object()?;
    let is_itself = matches!((&admin, &whom.user_id), (Admin::User(admin), Some(user)) if admin.sub == *user);
    if admin.is_narrowed() && !is_itself {
        // A connection is in rooms that are none of its.
        return Err(ApiError::forbidden(
            "the token's claim `rooms` narrows it to some rooms: to disconnect others, use one without it, or an API key",
        ));
    }
    let disconnected = match (whom.user_id, whom.client_id) {
        (Some(user), None) => api.handle.disconnect_user(&user),
        (None, Some(client)) => usize::from(api.handle.disconnect_client(&client)),
        _ => return Err(ApiError::bad_request("give `userId` or `clientId`, one of them")),
    };
    Ok(Json(Disconnected { disconnected }))
}
