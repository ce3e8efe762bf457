//! The token of an HTTP request, by the three routes that a request has (§1).

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use super::AuthError;

/// A token as it was given, not checked yet. `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenToken(String);

impl GivenToken {
    /// The token itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for GivenToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

/// The token of a request by `?token=…`, `Authorization: Bearer …` or `X-Auth-Token: …`; `None` where none is given.
/// An empty one is given, and won't verify: a client that lost its token is told so instead of staying anonymous.
///
/// # Errors
/// Several tokens that differ, or one that is not text.
pub fn token(headers: &HeaderMap, query: Option<&str>) -> Result<Option<GivenToken>, AuthError> {
    let by_query = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(name, _)| name == "token")
        .map(|(_, token)| Ok(token.into_owned()));
    let by_bearer = headers.get_all(AUTHORIZATION).iter().filter_map(bearer);
    let by_header = headers.get_all("x-auth-token").iter().map(|value| text(value).map(|token| token.trim().to_owned()));

    let mut found: Option<GivenToken> = None;
    for token in by_query.chain(by_bearer).chain(by_header) {
        let token = GivenToken(token?);
        match &found {
            Some(first) if *first != token => return Err(AuthError::Conflicting),
            _ => found = Some(token),
        }
    }
    Ok(found)
}

/// The token of a `Bearer` header; `None` for another scheme, which a proxy in front may use for itself.
fn bearer(value: &HeaderValue) -> Option<Result<String, AuthError>> {
    let value = match text(value) {
        Ok(value) => value,
        Err(error) => return Some(Err(error)),
    };
    let (scheme, token) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| Ok(token.trim().to_owned()))
}

fn text(value: &HeaderValue) -> Result<&str, AuthError> {
    value.to_str().map_err(|_| AuthError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(headers: &[(&'static str, &'static str)], query: &str) -> Result<Option<String>, AuthError> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
        Ok(token(&headers, Some(query))?.map(|token| token.as_str().to_owned()))
    }

    #[test]
    fn each_route_is_found() {
        let a = || Ok(Some("a.b.c".to_owned()));
        assert_eq!(found(&[], "x=1&token=a.b.c"), a());
        assert_eq!(found(&[], "token=a%2Eb.c"), a());
        assert_eq!(found(&[("authorization", "Bearer a.b.c")], ""), a());
        assert_eq!(found(&[("authorization", "bearer  a.b.c ")], ""), a());
        assert_eq!(found(&[("x-auth-token", "a.b.c")], ""), a());
        assert_eq!(found(&[], ""), Ok(None));
        assert_eq!(token(&HeaderMap::new(), None), Ok(None));
        assert_eq!(found(&[("authorization", "Basic abc")], ""), Ok(None));
    }

    #[test]
    fn the_same_token_twice_is_one_and_different_ones_are_refused() {
        assert_eq!(found(&[("authorization", "Bearer a"), ("x-auth-token", "a")], "token=a"), Ok(Some("a".to_owned())));
        assert_eq!(found(&[("authorization", "Bearer a")], "token=b"), Err(AuthError::Conflicting));
        assert_eq!(found(&[("x-auth-token", "a")], "token=b"), Err(AuthError::Conflicting));
        assert_eq!(found(&[], "token=a&token=b"), Err(AuthError::Conflicting));
    }

    #[test]
    fn an_empty_token_is_a_given_one() {
        assert_eq!(found(&[], "token="), Ok(Some(String::new())));
        assert_eq!(found(&[("authorization", "Bearer")], ""), Ok(Some(String::new())));
    }

    #[test]
    fn a_header_that_is_not_text_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert("x-auth-token", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        assert_eq!(token(&headers, None), Err(AuthError::Malformed));
    }

    #[test]
    fn debug_shows_no_token() {
        let found = token(&HeaderMap::new(), Some("token=very-secret")).unwrap();
        assert!(!format!("{found:?}").contains("very-secret"));
    }
}
