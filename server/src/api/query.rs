//! A call's query: every parameter is one that the call has, so that a misspelt one is no silent nothing.

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Api, ApiError};

/// Where a token may stand in any call's query: read by [`crate::auth::extract`], and no parameter of the call.
const TOKENS: [&str; 2] = ["token", "access_token"];

/// The parameters of a call. `T` should have `deny_unknown_fields`.
pub(super) struct Asked<T>(pub(super) T);

/// A call without parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl<T: DeserializeOwned> FromRequestParts<Api> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        asked(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// # Errors
/// 400 that names the parameter which the call doesn't have, or which is wrong.
pub(super) fn asked<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let own = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| !TOKENS.contains(&&**name));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(own).finish();
    let uri: Uri = format!("/?{query}").parse().map_err(|_| ApiError::bad_request("the query is no list of parameters"))?;
    let Query(asked) = Query::try_from_uri(&uri).map_err(|rejection| {
        let text = rejection.body_text();
        ApiError::bad_request(text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text))
    })?;
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Page {
        since: Option<u64>,
        name: Option<String>,
    }

    #[test]
    fn a_parameter_that_the_call_does_not_have_is_named_and_a_token_is_none() {
        let page = asked::<Page>("since=7&name=a%26b+c&token=a.b.c&access_token=d").unwrap();
        assert_eq!(page, Page { since: Some(7), name: Some("a&b c".to_owned()) });
        for (query, named) in
            [("tz=Europe%2FBerlin", "tz"), ("Since=1", "Since"), ("since=x", "since"), ("since=1&since=2", "since")]
        {
            let error = asked::<Page>(query).unwrap_err();
            assert!(error.message().contains(named), "{query}: {}", error.message());
            assert_eq!(error.into_response().status(), 400);
        }
        assert!(asked::<Nothing>("token=a").is_ok());
        assert!(asked::<Nothing>("verbose=1").err().unwrap().message().contains("verbose"));
    }
}
