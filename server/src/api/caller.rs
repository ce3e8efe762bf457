//! Who calls: the request's token by any route of §1, or a backend's API key, checked.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
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
    /// Whether its token's claim `rooms` narrows it: what is about more than rooms is not for it then.
    pub(super) fn is_narrowed(&self) -> bool {
        match self {
            Self::User(user) => user.claims.get("rooms").is_some_and(|rooms| !rooms.is_null()),
            Self::Backend(_) => false,
        }
    }

    /// Whose idempotency keys it uses.
    pub(super) fn publisher(&self) -> Publisher<'_> {
        match self {
            Self::User(user) => Publisher::User(&user.sub),
            Self::Backend(name) => Publisher::ApiKey(name),
        }
    }
}

/// Who a request says that it comes from, checked.
enum Who {
    /// A backend, by the name of its key.
    Backend(String),
    User(Identity),
    Nobody,
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        match identify(parts, api).await? {
            Who::Backend(_) => Err(ApiError::no_call_of_keys()),
            Who::User(user) => Ok(Self(Some(user))),
            Who::Nobody => Ok(Self(None)),
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
        match identify(parts, api).await? {
            Who::Backend(name) => Ok(Self::Backend(name)),
            Who::User(user) if user.is_admin() => Ok(Self::User(user)),
            Who::User(_) => Err(ApiError::forbidden("an API key, or a token with the role admin or service_role, is needed")),
            Who::Nobody => Err(ApiError::admin_needed()),
        }
    }
}

impl FromRequestParts<Api> for MaybeAdmin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        Ok(Self(match identify(parts, api).await? {
            Who::Backend(name) => Some(Admin::Backend(name)),
            Who::User(user) => user.is_admin().then_some(Admin::User(user)),
            Who::Nobody => None,
        }))
    }
}

/// Who calls, charged for the call unless it is a backend or an admin, and noted for the log.
async fn identify(parts: &Parts, api: &Api) -> Result<Who, ApiError> {
    let who = check(parts, api).await;
    let address = || api.limits.address(&parts.extensions, &parts.headers);
    let noted = parts.extensions.get::<http::Noted>();
    match &who {
        Ok(Who::Backend(name)) => note(noted, format!("api-key:{name}")),
        Ok(Who::User(user)) => {
            note(noted, format!("user:{}", user.sub));
            if !user.is_admin() {
                api.limits.charge(address(), Some(&user.sub), 1).await?;
            }
        }
        // A refused token costs as much as none: who tries out tokens is slowed down, too.
        Ok(Who::Nobody) => api.limits.charge(address(), None, 1).await?,
        Err(error) => {
            if let Some(noted) = noted {
                noted.refused(error);
            }
            api.limits.charge(address(), None, 1).await?;
        }
    }
    who
}

fn note(noted: Option<&http::Noted>, caller: String) {
    if let Some(noted) = noted {
        noted.caller(caller);
    }
}

async fn check(parts: &Parts, api: &Api) -> Result<Who, ApiError> {
    if let Some(name) = backend(&parts.headers, api)? {
        return Ok(Who::Backend(name.to_owned()));
    }
    let given = extract::token(&parts.headers, parts.uri.query());
    let given = given.inspect_err(|error| api.handle.shared().meters.token_refused(Via::Api, error))?;
    match given {
        Some(token) => Ok(Who::User(user(token.as_str(), api.limits.address(&parts.extensions, &parts.headers), api).await?)),
        None => Ok(Who::Nobody),
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
        None if headers.get_all(AUTHORIZATION).iter().any(|value| !is_of_a_proxy(value)) => Err(AuthError::Conflicting.into()),
        _ => Ok(Some(name)),
    }
}

/// Whether an `Authorization` header that is no token's is one with which a proxy in front keeps others out.
fn is_of_a_proxy(value: &HeaderValue) -> bool {
    let scheme = value.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
    [&b"basic"[..], b"digest", b"negotiate", b"ntlm"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

async fn user(token: &str, address: Option<IpAddr>, api: &Api) -> Result<Identity, ApiError> {
    let verified = api.handle.authenticate_from(token, address).await;
    match verified {
        Ok(verified) => Ok(verified.identity),
        // What is no token at all may be meant as a key.
        Err(AuthError::Malformed | AuthError::NoSource) if !api.keys.is_empty() && !token.contains('.') => {
            Err(ApiError::wrong_key())
        }
        Err(error) => Err(error.into()),
    }
}
