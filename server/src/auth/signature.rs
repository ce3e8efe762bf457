//! Signatures: one key bound to one algorithm. What the claims mean is in `claims`.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value};

use super::AuthError;
use crate::config::Secret;

/// A key with the only algorithm that it is used for: no header can make a public key a secret.
#[derive(Clone)]
pub(super) struct BoundKey {
    key: DecodingKey,
    validation: Validation,
    pub(super) algorithm: Algorithm,
}

impl BoundKey {
    pub(super) fn new(algorithm: Algorithm, key: DecodingKey) -> Self {
        let mut validation = Validation::new(algorithm);
        // Only the signature and the pinned algorithm are checked here: the library would count a string `exp`
        // as absent, knows no injected clock, and refuses every token with an `aud`.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self { key, validation, algorithm }
    }

    /// A secret for HS256.
    pub(super) fn hs256(secret: &Secret) -> Self {
        Self::new(Algorithm::HS256, DecodingKey::from_secret(secret.reveal().as_bytes()))
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
