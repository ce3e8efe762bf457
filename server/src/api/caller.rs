//! Who calls: the request's token by any route of §1, or a backend's API key, checked.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use osbackend_protocol::Identity;

use super::{Api, ApiError};
use crate::auth::{AuthError, extract};
use crate::publisher::Publisher;
use crate::telemetry::{http, meters::Via};

/// Anyone: the identity of a valid token, or nobody. An invalid token is refused, here as everywhere.
pub(super) struct Caller(pub(super) Option<Identity>);

/// Someone with a valid token.
pub(super) struct User(pub(super) Identity);

/// Someone who may run the server: a backend by its API key, or a user whose token's role is `admin` or `service_role`.
pub(super) enum Admin {
    User(Identity),
    /// By the name of its key.
    Backend(String),
}

/// Anyone, and who it is where it is an [`Admin`].
pub(super) struct MaybeAdmin(pub(super) Option<Admin>);

impl Admin {
    /// Whom permissions are checked for: a backend may do what the role `service_role` may.
    pub(super) fn identity(&self) -> Identity {
        match self {
            Self::User(user) => user.clone(),
            Self::Backend(name) => Identity::new(format!("api-key:{name}"), Some("service_role")),
        }
    }
}

impl Admin {
    /// Whose idempotency keys it uses.
    pub(super) fn publisher(&self) -> Publisher<'_> {
        match self {
            Self::User(user) => Publisher::User(&user.sub),
            Self::Backend(name) => Publisher::ApiKey(name),
        }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        if let Some(name) = backend(&parts.headers, api)? {
            tracing::debug!(call = call(parts), api_key = name, "an API key was used for a call that is for users");
            return Err(ApiError::forbidden(
                "API keys are for broadcast, events, disconnect and status; this call takes a token",
            ));
        }
        let given = extract::token(&parts.headers, parts.uri.query());
        let given = given.inspect_err(|error| api.handle.shared().meters.token_refused(Via::Api, error))?;
        match given {
            Some(token) => Ok(Self(Some(user(token.as_str(), api).await?))),
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
        if let Some(name) = backend(&parts.headers, api)? {
            tracing::info!(call = call(parts), api_key = name, "API call");
            return Ok(Self::Backend(name.to_owned()));
        }
        let Caller(caller) = Caller::from_request_parts(parts, api).await?;
        let user = caller.ok_or_else(ApiError::admin_needed)?;
        if user.is_admin() {
            tracing::info!(call = call(parts), user = user.sub, "API call");
            Ok(Self::User(user))
        } else {
            Err(ApiError::forbidden("an API key, or a token with the role admin or service_role, is needed"))
        }
    }
}

impl FromRequestParts<Api> for MaybeAdmin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        if let Some(name) = backend(&parts.headers, api)? {
            return Ok(Self(Some(Admin::Backend(name.to_owned()))));
        }
        let Caller(caller) = Caller::from_request_parts(parts, api).await?;
        Ok(Self(caller.filter(Identity::is_admin).map(Admin::User)))
    }
}

/// The name of the API key in `X-API-Key`, or in `Authorization: Bearer` where it is no token. Never from the URL, which
/// proxies log.
fn backend<'a>(headers: &HeaderMap, api: &'a Api) -> Result<Option<&'a str>, ApiError> {
    let bearer = extract::token(headers, None);
    let mut by_header = headers.get_all("x-api-key").iter();
    let Some(key) = by_header.next() else {
        let name = bearer.ok().flatten().and_then(|given| api.keys.name_of(given.as_str()));
        return Ok(name);
    };
    let key = key.to_str().map(str::trim).ok().filter(|_| by_header.next().is_none());
    let name = key.and_then(|key| api.keys.name_of(key)).ok_or_else(ApiError::wrong_key)?;
    match bearer? {
        // Two callers in one request: which of them is meant?
        Some(given) if Some(given.as_str()) != key => Err(AuthError::Conflicting.into()),
        _ => Ok(Some(name)),
    }
}

/// The call's name for the log: its path. Never the query, in which a token may stand.
fn call(parts: &Parts) -> String {
    http::logged_path(&http::route_of(&parts.extensions), parts.uri.path())
}

async fn user(token: &str, api: &Api) -> Result<Identity, ApiError> {
    let verified = api.handle.authenticate(token).await;
    // An `AuthError` tells what was wrong and never holds the token.
    match verified.inspect_err(|reason| tracing::info!(%reason, "token of an API call refused")) {
        Ok(verified) => Ok(verified.identity),
        // What is no token at all may be meant as a key.
        Err(AuthError::Malformed | AuthError::NoSource) if !api.keys.is_empty() && !token.contains('.') => {
            Err(ApiError::wrong_key())
        }
        Err(error) => Err(error.into()),
    }
}
