//! HS256 tokens: the signature. What the claims mean is in `claims`.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value};

use super::AuthError;
use crate::config::Secret;

#[derive(Clone)]
pub(super) struct HmacSource {
    key: DecodingKey,
    validation: Validation,
}

impl HmacSource {
    pub(super) fn new(secret: &Secret) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Only the signature and the pinned algorithm are checked here: the library would count a string `exp`
        // as absent, knows no injected clock, and refuses every token with an `aud`.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self { key: DecodingKey::from_secret(secret.reveal().as_bytes()), validation }
    }

    /// The claims of a token whose signature holds; nothing else of them is checked.
    pub(super) fn claims(&self, token: &str) -> Result<Map<String, Value>, AuthError> {
        decode(token, &self.key, &self.validation).map(|token| token.claims).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => AuthError::Signature,
            ErrorKind::InvalidAlgorithm
            | ErrorKind::InvalidAlgorithmName
            | ErrorKind::UnsupportedAlgorithm
            | ErrorKind::MissingAlgorithm => AuthError::Algorithm,
            _ => AuthError::Malformed,
        })
    }
}
