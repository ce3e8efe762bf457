//! Resume tokens (§3, `connect.resume`): signed, expiring, bound to the client id and to the user.

use crate::config::Secret;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use osbackend_protocol::{Timestamp, server_msg::ResumeGrant};
use serde::{Deserialize, Serialize};

/// How long after the greeting a session may be resumed, in milliseconds.
pub const RESUME_MS: u64 = 24 * 3_600_000;

const AUDIENCE: &str = "osbackend-resume";

/// Of the claims: a later form gets another one, and tokens of this one are no good to it.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Claims {
    v: u32,
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
        let claims = Claims {
            v: VERSION,
            aud: AUDIENCE.to_owned(),
            cid: client_id.to_owned(),
            sub: sub.map(str::to_owned),
            exp: expires_at.0 / 1000,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).ok()?;
        Some(ResumeGrant { token, expires_at })
    }

    /// Whether `token` lets user `sub` go on as `client_id`.
    pub fn verify(&self, token: &str, client_id: &str, sub: Option<&str>, now_ms: u64) -> bool {
        jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).is_ok_and(|data| {
            data.claims.v == VERSION
                && data.claims.cid == client_id
                && data.claims.sub.as_deref() == sub
                && data.claims.exp > now_ms / 1000
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn keys(secret: &str) -> ResumeKeys {
        ResumeKeys::new(&Secret::from(secret))
    }

    fn mine() -> ResumeKeys {
        keys("a secret of at least 32 bytes, kept")
    }

    fn token(sub: Option<&str>) -> String {
        mine().grant("c-1", sub, NOW).expect("signed").token
    }

    #[test]
    fn the_same_client_of_the_same_user_may_resume_after_a_restart() {
        assert!(mine().verify(&token(Some("ada")), "c-1", Some("ada"), NOW + 1));
        assert!(mine().verify(&token(None), "c-1", None, NOW + 1));
    }

    #[test]
    fn a_token_is_no_good_to_another_user() {
        assert!(!mine().verify(&token(Some("ada")), "c-1", Some("eve"), NOW));
        assert!(!mine().verify(&token(Some("ada")), "c-1", None, NOW), "nor to nobody");
        assert!(!mine().verify(&token(None), "c-1", Some("eve"), NOW), "nor nobody's to a user");
    }

    #[test]
    fn a_token_is_no_good_for_another_client_id() {
        assert!(!mine().verify(&token(Some("ada")), "c-2", Some("ada"), NOW));
    }

    #[test]
    fn a_token_expires() {
        assert!(mine().verify(&token(None), "c-1", None, NOW + RESUME_MS - 1_000));
        assert!(!mine().verify(&token(None), "c-1", None, NOW + RESUME_MS));
    }

    #[test]
    fn a_token_of_another_servers_key_is_no_good() {
        assert!(!keys("another secret of at least 32 bytes").verify(&token(None), "c-1", None, NOW));
    }

    #[test]
    fn a_tampered_token_is_no_good() {
        let token = token(Some("ada"));
        for at in (0..token.len()).step_by(7) {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).expect("ASCII");
            assert!(!mine().verify(&tampered, "c-1", Some("ada"), NOW), "byte {at}");
        }
        for no_token in ["", "x.y.z", "eyJhbGciOiJub25lIn0.e30."] {
            assert!(!mine().verify(no_token, "c-1", Some("ada"), NOW));
        }
    }

    #[test]
    fn a_token_of_another_version_or_for_another_purpose_is_no_good() {
        let sign = |v: u32, aud: &str| {
            let (aud, cid) = (aud.to_owned(), "c-1".to_owned());
            let claims = Claims { v, aud, cid, sub: None, exp: (NOW + RESUME_MS) / 1000 };
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &mine().encoding).expect("signed")
        };
        assert!(mine().verify(&sign(VERSION, AUDIENCE), "c-1", None, NOW));
        assert!(!mine().verify(&sign(VERSION + 1, AUDIENCE), "c-1", None, NOW));
        assert!(!mine().verify(&sign(VERSION, "authenticated"), "c-1", None, NOW));
    }
}
