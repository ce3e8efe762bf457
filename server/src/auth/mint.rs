//! Makes HS256 tokens: for development, scripts and tests. A product's users get theirs from its login.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};

use crate::config::Secret;

/// A token to be signed. Lives an hour unless told otherwise.
#[derive(Clone, Debug)]
pub struct Token {
    claims: Map<String, Value>,
    lifetime: Duration,
}

/// The token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be signed: {0}")]
pub struct MintError(#[from] jsonwebtoken::errors::Error);

impl Token {
    /// A token for the user `sub`.
    pub fn for_user(sub: &str) -> Self {
        Self { claims: Map::new(), lifetime: Duration::from_secs(3600) }.claim("sub", sub)
    }

    /// Sets the `role` claim.
    #[must_use]
    pub fn role(self, role: &str) -> Self {
        self.claim("role", role)
    }

    /// How long the token is valid from now on.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// Sets any claim. A given `exp` (seconds since 1970) stands instead of the lifetime.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// The signed token.
    ///
    /// # Errors
    /// The signing library refused; with HS256 that is a defect.
    pub fn sign(mut self, secret: &Secret) -> Result<String, MintError> {
        let now = jsonwebtoken::get_current_timestamp();
        self.claims.entry("iat").or_insert_with(|| now.into());
        self.claims.entry("exp").or_insert_with(|| (now + self.lifetime.as_secs()).into());
        let key = EncodingKey::from_secret(secret.reveal().as_bytes());
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &self.claims, &key)?)
    }
}

/// A secret nobody knows, for a server that was started without one: 256 random bits as hex.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn random_secret() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}
