//! What the claims of a token with a valid signature must say, and the identity that they make.

use std::sync::Arc;

use osbackend_protocol::{Identity, RoomName};
use serde_json::{Map, Value};

use super::{AuthError, LEEWAY_SECONDS, Verified};
use crate::hub::presence::Info;

/// Largest time that JavaScript can hold as an integer; a later `exp` is cut to it.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// `aud` of the tokens of Supabase's users, and the `role` that the database gives every one of them.
const SUPABASE_AUDIENCE: &str = "authenticated";
/// Database roles of Supabase's API keys. A user's token has none of them, whatever else it says.
const KEY_ROLES: [&str; 4] = ["anon", "service_role", "supabase_admin", "postgres"];

/// What users edit themselves in Supabase: never a reason to allow something, so it is not kept, but for a name and a picture to show.
const OF_THE_USER: [&str; 2] = ["user_metadata", "raw_user_meta_data"];

/// What a source wants its tokens to say besides the times and the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// One of `aud`.
    pub(super) audience: Option<String>,
    /// `iss`.
    pub(super) issuer: Option<String>,
    /// Tokens of Supabase's users: none of its API keys' roles.
    pub(super) supabase: bool,
}

impl Rules {
    /// Those of a Supabase project; without its address the issuer isn't known.
    pub(super) fn supabase(url: Option<&str>) -> Self {
        let issuer = url.map(|url| format!("{url}/auth/v1"));
        Self { audience: Some(SUPABASE_AUDIENCE.to_owned()), issuer, supabase: true }
    }
}

pub(super) fn check(claims: Map<String, Value>, rules: &Rules, now_seconds: u64) -> Result<Verified, AuthError> {
    if is_api_key(&claims, rules) {
        return Err(AuthError::NotAUser);
    }
    let now = now_seconds as f64;
    let leeway = LEEWAY_SECONDS as f64;
    let exp = numeric_date(&claims, "exp")?.ok_or(AuthError::MissingClaim("exp"))?;
    if exp + leeway <= now {
        return Err(AuthError::Expired);
    }
    if numeric_date(&claims, "nbf")?.is_some_and(|nbf| nbf > now + leeway) {
        return Err(AuthError::NotYetValid);
    }
    if let Some(issuer) = &rules.issuer {
        match claims.get("iss") {
            None | Some(Value::Null) => return Err(AuthError::MissingClaim("iss")),
            Some(Value::String(iss)) if iss == issuer => {}
            Some(_) => return Err(AuthError::Issuer),
        }
    }
    if let Some(audience) = &rules.audience {
        match claims.get("aud") {
            None | Some(Value::Null) => return Err(AuthError::MissingClaim("aud")),
            Some(Value::String(aud)) if aud == audience => {}
            Some(Value::Array(all)) if all.iter().any(|aud| aud == audience.as_str()) => {}
            Some(_) => return Err(AuthError::Audience),
        }
    }
    let (sub, role) = (sub(&claims)?, role(&claims));
    let info = Info::of(&claims).map(Arc::new);
    let identity = Identity { sub, claims: further(claims, role.as_deref()), role };
    let expires_at_ms = (exp * 1000.0).clamp(0.0, MAX_SAFE_INTEGER) as u64;
    Ok(Verified { identity, expires_at_ms, info })
}

/// Supabase's own keys are JWTs with the same secret: `{"iss":"supabase","role":"anon"}`, and no `sub`.
fn is_api_key(claims: &Map<String, Value>, rules: &Rules) -> bool {
    let has_key_role = claims.get("role").and_then(Value::as_str).is_some_and(|role| KEY_ROLES.contains(&role));
    let names_nobody = matches!(claims.get("sub"), None | Some(Value::Null));
    has_key_role && (rules.supabase || names_nobody || claims.get("iss").is_some_and(|iss| iss == "supabase"))
}

/// The claims that say more than the identity's other fields. Most tokens have none, and a map that is not there costs an idle
/// connection nothing.
fn further(claims: Map<String, Value>, role: Option<&str>) -> Map<String, Value> {
    let told = |name: &str, value: &Value| match name {
        "sub" | "exp" | "nbf" | "iat" => true,
        "role" => value.as_str() == role,
        name => OF_THE_USER.contains(&name),
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
        Some(Value::Number(_)) => Err(AuthError::NumberAsSub),
        Some(_) => Err(AuthError::BadClaim { claim: "sub", expected: "a text of 1 to 128 bytes, percent-encoded" }),
    }
}

/// `role` or `app_metadata.role`: an admin's of the two; else `role`, unless it is the one that Supabase's database gives
/// everyone and the application names another. Never `user_metadata`: users edit that themselves.
fn role(claims: &Map<String, Value>) -> Option<String> {
    let own = claims.get("role").and_then(Value::as_str);
    let app = claims.get("app_metadata").and_then(|metadata| metadata.get("role")).and_then(Value::as_str);
    let is_admin = |role: &&str| Identity::new("", Some(*role)).is_admin();
    let says_more = own.filter(|role| *role != SUPABASE_AUDIENCE);
    own.filter(is_admin).or(app.filter(is_admin)).or(says_more).or(app).or(own).map(str::to_owned)
}
