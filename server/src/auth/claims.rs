//! What the claims of a token with a valid signature must say, and the identity that they make.

use osbackend_protocol::{Identity, RoomName};
use serde_json::{Map, Value};

use super::{AuthError, LEEWAY_SECONDS, Verified};

/// Largest time that JavaScript can hold as an integer; a later `exp` is cut to it.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

pub(super) fn check(claims: Map<String, Value>, now_seconds: u64) -> Result<Verified, AuthError> {
    let now = now_seconds as f64;
    let leeway = LEEWAY_SECONDS as f64;
    let exp = numeric_date(&claims, "exp")?.ok_or(AuthError::MissingClaim("exp"))?;
    if exp + leeway <= now {
        return Err(AuthError::Expired);
    }
    if numeric_date(&claims, "nbf")?.is_some_and(|nbf| nbf > now + leeway) {
        return Err(AuthError::NotYetValid);
    }
    let (sub, role) = (sub(&claims)?, role(&claims));
    let identity = Identity { sub, claims: further(claims, role.as_deref()), role };
    let expires_at_ms = (exp * 1000.0).clamp(0.0, MAX_SAFE_INTEGER) as u64;
    Ok(Verified { identity, expires_at_ms })
}

/// The claims that say more than the identity's other fields. Most tokens have none, and a map that is not there costs an idle
/// connection nothing.
fn further(claims: Map<String, Value>, role: Option<&str>) -> Map<String, Value> {
    let told = |name: &str, value: &Value| match name {
        "sub" | "exp" | "nbf" | "iat" => true,
        "role" => value.as_str() == role,
        _ => false,
    };
    claims.into_iter().filter(|(name, value)| !told(name, value)).collect()
}

/// A time in seconds since 1970. RFC 7519 allows fractions, and numbers only: "1700000000" is refused.
fn numeric_date(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<f64>, AuthError> {
    match claims.get(claim) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_f64()
            .filter(|time| time.is_finite())
            .map(Some)
            .ok_or(AuthError::BadClaim { claim, expected: "a number of seconds" }),
    }
}

fn sub(claims: &Map<String, Value>) -> Result<String, AuthError> {
    match claims.get("sub") {
        None | Some(Value::Null) => Err(AuthError::MissingClaim("sub")),
        // Every user has a room `user:{sub}` (§5); who can't have one can't be addressed.
        Some(Value::String(sub)) if RoomName::of_user(sub).is_ok() => Ok(sub.clone()),
        Some(_) => Err(AuthError::BadClaim { claim: "sub", expected: "a text of 1 to 128 bytes, percent-encoded" }),
    }
}

/// `role` or `app_metadata.role`; an admin's of the two, since Supabase writes `role: authenticated` for everyone.
/// Never `user_metadata`: users edit that themselves.
fn role(claims: &Map<String, Value>) -> Option<String> {
    let own = claims.get("role").and_then(Value::as_str);
    let app = claims.get("app_metadata").and_then(|metadata| metadata.get("role")).and_then(Value::as_str);
    let is_admin = |role: &&str| Identity::new("", Some(*role)).is_admin();
    own.filter(is_admin).or(app.filter(is_admin)).or(own).or(app).map(str::to_owned)
}
