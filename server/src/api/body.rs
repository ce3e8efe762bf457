//! A call's body: JSON of bounded size and depth and within its time, read after the caller is known, with errors that name the field.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use osbackend_protocol::codec;
use osbackend_protocol::limits::MAX_DEPTH;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::{Api, ApiError, MAX_BODY_BYTES};

/// As deep as a frame may be (§2), and an array around it.
const MAX_BODY_DEPTH: usize = MAX_DEPTH + 1;

/// The text of a body that is JSON, whatever its content type says: `curl -d` says a form.
pub(super) struct JsonText(String);

impl FromRequest<Api> for JsonText {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let bytes = match api.body_timeout {
            Some(limit) => {
                tokio::time::timeout(limit, Bytes::from_request(request, api)).await.map_err(|_| ApiError::too_slow(limit))?
            }
            None => Bytes::from_request(request, api).await,
        };
        let bytes = bytes.map_err(|rejection: BytesRejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(MAX_BODY_BYTES),
            _ => ApiError::bad_request("the body could not be read"),
        })?;
        let text = String::from_utf8(bytes.into()).map_err(|_| ApiError::bad_request("the body is not UTF-8"))?;
        if !codec::nests_within(&text, MAX_BODY_DEPTH) {
            return Err(ApiError::bad_request(format!("the body nests deeper than {MAX_BODY_DEPTH} levels")));
        }
        serde_json::from_str::<&serde_json::value::RawValue>(&text)
            .map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))?;
        Ok(Self(text))
    }
}

impl JsonText {
    /// The body as it was sent, known to be JSON.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The body as a `T`.
    ///
    /// # Errors
    /// 422 with the path of the field that is wrong.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        typed("", &self.0)
    }

    /// The body, which must be an object, as a `T`.
    ///
    /// # Errors
    /// 422 with the path of the field that is wrong.
    pub(super) fn object<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        object("", &self.0)
    }
}

/// A field that may be left out, and is a text where it is there: `null` is neither.
pub(super) fn not_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// As [`typed`], out of an object only: serde's structs would take an array of their fields too.
pub(super) fn object<T: DeserializeOwned>(prefix: &str, text: &str) -> Result<T, ApiError> {
    if text.trim_start().starts_with('{') {
        return typed(prefix, text);
    }
    let path = if prefix.is_empty() { "body" } else { prefix.trim_end_matches('.') };
    Err(ApiError::invalid(path, "must be an object"))
}

/// `text`, known to be JSON, as a `T`; an error's path begins with `prefix`.
fn typed<T: DeserializeOwned>(prefix: &str, text: &str) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." => String::new(),
            path => path,
        };
        let message = error.inner().to_string();
        // The position is of no use in a body that a program made.
        let message = message.rfind(" at line ").map_or(message.as_str(), |at| &message[..at]);
        let quoted = |before: &str| message.strip_prefix(before).and_then(|rest| rest.split('`').next());
        if let Some(field) = quoted("unknown field `") {
            // serde's path names the field itself already, or the object that it stands in.
            let parent = path.strip_suffix(field).map_or(path.as_str(), |before| before.trim_end_matches('.'));
            let place = if parent.is_empty() { format!("{prefix}{field}") } else { format!("{prefix}{parent}.{field}") };
            return ApiError::invalid(place, "this call has no such field");
        }
        match quoted("missing field `") {
            Some(field) if path.is_empty() => ApiError::invalid(format!("{prefix}{field}"), "is missing"),
            Some(field) => ApiError::invalid(format!("{prefix}{path}.{field}"), "is missing"),
            None if path.is_empty() && prefix.is_empty() => ApiError::invalid("body", message),
            None if path.is_empty() => ApiError::invalid(prefix.trim_end_matches('.'), message),
            None => ApiError::invalid(format!("{prefix}{path}"), message),
        }
    })
}
