//! Who is connecting: tokens checked into an [`Identity`], where tokens come from, which origins may connect.
//!
//! Tokens never appear in a log, a `Debug` output or an error message.

use osbackend_protocol::{ErrorCode, Identity};

use crate::config::{Config, Secret};

mod claims;
pub mod extract;
mod hmac;
pub mod mint;
pub mod origin;
pub mod resume;

/// Difference between this machine's clock and the issuer's that is forgiven for `exp` and `nbf`, in seconds.
pub const LEEWAY_SECONDS: u64 = 5;

/// Longest token that is looked at, in bytes; a request head could hardly carry more.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What a valid token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The user.
    pub identity: Identity,
    /// The token's `exp`, in milliseconds since 1970.
    pub expires_at_ms: u64,
}

/// Why a token was not accepted. No variant holds the token or its claims' values.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum AuthError {
    /// Not three base64url parts of JSON, or too long.
    #[error("the token is not a JWT")]
    Malformed,
    /// The header names an algorithm that no configured source uses.
    #[error("the token's algorithm is not accepted; sign it with HS256")]
    Algorithm,
    /// Signed with something else than the configured secret.
    #[error("the token's signature does not match this server's JWT_SECRET")]
    Signature,
    /// A claim that must be there is not. (Supabase's anon and service keys have no `sub`: they are no users.)
    #[error("the token has no `{0}` claim")]
    MissingClaim(&'static str),
    /// A claim is of the wrong type.
    #[error("the token's `{claim}` claim must be {expected}")]
    BadClaim {
        /// Which claim.
        claim: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// `exp` is in the past.
    #[error("the token has expired; get a new one")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet (`nbf`)")]
    NotYetValid,
    /// Several tokens were given by the routes of §1, and they differ.
    #[error("several different tokens were given; give one")]
    Conflicting,
    /// No source of tokens is configured.
    #[error("this server accepts no tokens; set JWT_SECRET")]
    NoSource,
    /// A source could not be asked.
    #[error("the token can't be checked now; try again later")]
    Unavailable,
}

impl AuthError {
    /// The code to answer with (§6).
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Expired => ErrorCode::TokenExpired,
            Self::Unavailable => ErrorCode::Unavailable,
            _ => ErrorCode::Unauthorized,
        }
    }
}

/// One way in which tokens are checked.
#[derive(Clone)]
enum Source {
    Hmac(hmac::HmacSource),
}

/// Checks tokens against the configured sources.
///
/// ```
/// use osbackend_server::auth::{Authenticator, mint};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let secret = "a secret of at least 32 bytes, kept".into();
/// let token = mint::Token::for_user("ada").role("admin").sign(&secret).unwrap();
/// let verified = Authenticator::hs256(&secret).verify(&token).await.unwrap();
/// assert_eq!(verified.identity.sub, "ada");
/// # });
/// ```
#[derive(Clone)]
pub struct Authenticator {
    sources: Vec<Source>,
}

impl Authenticator {
    /// Accepts HS256 tokens signed with `secret`.
    pub fn hs256(secret: &Secret) -> Self {
        Self { sources: vec![Source::Hmac(hmac::HmacSource::new(secret))] }
    }

    /// Accepts what `config` says; no token at all where it names no secret.
    pub fn from_config(config: &Config) -> Self {
        config.auth.jwt_secret.as_ref().map_or(Self { sources: Vec::new() }, Self::hs256)
    }

    /// Checks `token` at the time of the system clock.
    ///
    /// # Errors
    /// The token was not accepted; see [`AuthError::code`] for the answer on the wire.
    pub async fn verify(&self, token: &str) -> Result<Verified, AuthError> {
        self.verify_at(token, jsonwebtoken::get_current_timestamp())
    }

    fn verify_at(&self, token: &str, now_seconds: u64) -> Result<Verified, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::Malformed);
        }
        // The answer of the source that got furthest is the most telling one.
        let mut refusal = AuthError::NoSource;
        for source in &self.sources {
            let Source::Hmac(hmac) = source;
            match hmac.claims(token).and_then(|claims| claims::check(claims, now_seconds)) {
                Ok(verified) => return Ok(verified),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}

#[cfg(test)]
mod tests;
