//! Who calls: the request's token, by any route of §1, checked.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use osbackend_protocol::Identity;

use super::{Api, ApiError};
use crate::auth::extract;
use crate::telemetry::meters::Via;

/// Anyone: the identity of a valid token, or nobody. An invalid token is refused, here as everywhere.
pub(super) struct Caller(pub(super) Option<Identity>);

/// Someone with a valid token.
pub(super) struct User(pub(super) Identity);

/// Someone whose token's role is `admin` or `service_role`.
pub(super) struct Admin(pub(super) Identity);

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let given = extract::token(&parts.headers, parts.uri.query());
        let given = given.inspect_err(|error| api.handle.shared().meters.token_refused(Via::Api, error))?;
        match given {
            Some(token) => Ok(Self(Some(authenticated(api, token.as_str()).await?))),
            None => Ok(Self(None)),
        }
    }
}

impl FromRequestParts<Api> for User {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let Caller(caller) = Caller::from_request_parts(parts, api).await?;
        caller.map(Self).ok_or_else(ApiError::token_needed)
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let User(user) = User::from_request_parts(parts, api).await?;
        if user.is_admin() { Ok(Self(user)) } else { Err(ApiError::forbidden("the role admin or service_role is needed")) }
    }
}

async fn authenticated(api: &Api, token: &str) -> Result<Identity, ApiError> {
    let verified = api.handle.authenticate(token).await;
    // An `AuthError` tells what was wrong and never holds the token.
    Ok(verified.inspect_err(|reason| tracing::info!(%reason, "token of an API call refused"))?.identity)
}
