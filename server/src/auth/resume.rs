//! Resume tokens (§3, `connect.resume`): signed, expiring, bound to the client id and to the user.

use crate::config::Secret;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use osbackend_protocol::{Timestamp, server_msg::ResumeGrant};
use serde::{Deserialize, Serialize};

/// How long after the greeting a session may be resumed, in milliseconds.
pub const RESUME_MS: u64 = 24 * 3_600_000;

const AUDIENCE: &str = "osbackend-resume";

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    /// Client id.
    cid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    exp: u64,
}

/// Signs and checks resume tokens.
pub struct ResumeKeys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl ResumeKeys {
    /// Keys made from the server's secret: not the secret itself, so that no resume token is ever a user's token.
    pub fn new(secret: &Secret) -> Self {
        let key = format!("resume\0{}", secret.reveal());
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.leeway = 0;
        // Checked against the session's own clock below.
        validation.validate_exp = false;
        Self {
            encoding: EncodingKey::from_secret(key.as_bytes()),
            decoding: DecodingKey::from_secret(key.as_bytes()),
            validation,
        }
    }

    /// A token with which `client_id` of user `sub` may resume. `None` only if signing fails: the client then
    /// connects anew, and loses nothing but its id.
    pub fn grant(&self, client_id: &str, sub: Option<&str>, now_ms: u64) -> Option<ResumeGrant> {
        let expires_at = Timestamp(now_ms + RESUME_MS);
        let claims =
            Claims { aud: AUDIENCE.to_owned(), cid: client_id.to_owned(), sub: sub.map(str::to_owned), exp: expires_at.0 / 1000 };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).ok()?;
        Some(ResumeGrant { token, expires_at })
    }

    /// Whether `token` lets user `sub` go on as `client_id`.
    pub fn verify(&self, token: &str, client_id: &str, sub: Option<&str>, now_ms: u64) -> bool {
        jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).is_ok_and(|data| {
            data.claims.cid == client_id && data.claims.sub.as_deref() == sub && data.claims.exp > now_ms / 1000
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_client_and_user_may_resume_in_time() {
        let keys = ResumeKeys::new(&Secret::from("a secret of at least 32 bytes, kept"));
        let token = keys.grant("c-1", Some("ada"), 1_000_000).expect("signed").token;
        assert!(keys.verify(&token, "c-1", Some("ada"), 2_000_000));
        assert!(!keys.verify(&token, "c-2", Some("ada"), 2_000_000), "another client");
        assert!(!keys.verify(&token, "c-1", Some("eve"), 2_000_000), "another user");
        assert!(!keys.verify(&token, "c-1", None, 2_000_000), "no user");
        assert!(!keys.verify(&token, "c-1", Some("ada"), 1_000_000 + RESUME_MS), "too late");
        let other = ResumeKeys::new(&Secret::from("another secret of at least 32 bytes"));
        assert!(!other.verify(&token, "c-1", Some("ada"), 2_000_000), "another server");
        assert!(!keys.verify("x.y.z", "c-1", Some("ada"), 2_000_000));
    }
}
