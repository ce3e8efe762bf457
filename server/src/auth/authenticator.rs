//! Checks tokens against every configured source: one that accepts is enough, and the most telling refusal is heard.

use std::net::IpAddr;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, decode_header};

use super::fetch::{Http, HttpSetupError};
use super::jwks::KeySet;
use super::moment::Moment;
use super::remote::Remote;
use super::signature::BoundKey;
use super::{AuthError, MAX_TOKEN_BYTES, Verified, claims};
use crate::config::{Config, Secret};

/// Prefixes of Supabase's API keys that are no JWTs.
const KEY_PREFIXES: [&str; 2] = ["sb_publishable_", "sb_secret_"];

/// Why tokens can't be checked as configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A key without its project.
    #[error("SUPABASE_ANON_KEY is set without SUPABASE_URL: set the address of the project too, or neither")]
    NoUrl,
    /// The HTTP client.
    #[error(transparent)]
    Http(#[from] HttpSetupError),
}

/// One way in which tokens are checked here.
enum Source {
    /// HS256 with a secret.
    Secret(Box<BoundKey>, claims::Rules),
    /// An issuer's published keys.
    KeySet(Arc<KeySet>),
}

impl Source {
    async fn verify(&self, token: &str, header: &Header, now: Moment) -> Result<Verified, AuthError> {
        match self {
            Self::Secret(key, rules) => claims::check(key.claims(token)?, rules, now.unix_seconds),
            Self::KeySet(set) => set.verify(token, header.kid.as_deref(), header.alg, now).await,
        }
    }
}

/// Checks tokens against the configured sources. Clones share what is cached.
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
    sources: Arc<[Source]>,
    /// For HS256 tokens that no source here knows as its own.
    remote: Option<Arc<Remote>>,
}

impl Authenticator {
    /// Accepts HS256 tokens signed with `secret`.
    pub fn hs256(secret: &Secret) -> Self {
        Self { sources: [Source::Secret(BoundKey::hs256(secret).into(), claims::Rules::default())].into(), remote: None }
    }

    /// Accepts what `config` says; no token at all where it names no source.
    ///
    /// - `JWT_SECRET`: HS256, with `JWT_AUDIENCE` and `JWT_ISSUER` where they are set.
    /// - `SUPABASE_JWT_SECRET`: HS256 of a Supabase project.
    /// - `SUPABASE_URL`: the project's published keys (ES256, RS256, EdDSA).
    /// - `SUPABASE_ANON_KEY` as well, and no `SUPABASE_JWT_SECRET`: the project is asked about HS256 tokens.
    ///
    /// # Errors
    /// The settings don't fit together, or outgoing HTTPS can't be set up.
    pub fn from_config(config: &Config) -> Result<Self, SetupError> {
        let auth = &config.auth;
        let (mut sources, mut remote) = (Vec::new(), None);
        if let Some(secret) = &auth.jwt_secret {
            let (audience, issuer) = (auth.jwt_audience.clone(), auth.jwt_issuer.clone());
            sources.push(Source::Secret(BoundKey::hs256(secret).into(), claims::Rules { audience, issuer, supabase: false }));
        }
        if let Some(secret) = &auth.supabase_jwt_secret {
            let rules = claims::Rules::supabase(auth.supabase_url.as_deref());
            sources.push(Source::Secret(BoundKey::hs256(secret).into(), rules));
        }
        match (&auth.supabase_url, &auth.supabase_anon_key) {
            (Some(url), key) => {
                let http = Http::new(auth.fetch_timeout)?;
                if let Some(key) = key
                    && auth.supabase_jwt_secret.is_none()
                {
                    remote = Some(Arc::new(Remote::new(url, key, http.clone(), auth.fetch_timeout)));
                }
                sources.push(Source::KeySet(Arc::new(KeySet::of_supabase(url, http))));
            }
            (None, Some(_)) => return Err(SetupError::NoUrl),
            (None, None) => {}
        }
        Ok(Self { sources: sources.into(), remote })
    }

    /// Checks `token` at the time of the system clock.
    ///
    /// # Errors
    /// The token was not accepted; see [`AuthError::code`] for the answer on the wire.
    pub async fn verify(&self, token: &str) -> Result<Verified, AuthError> {
        self.verify_at(token, Moment::now()).await
    }

    /// As [`Self::verify`], for a client at `address`: how often a source elsewhere is asked for it is bounded.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn verify_from(&self, token: &str, address: Option<IpAddr>) -> Result<Verified, AuthError> {
        self.verify_from_at(token, address, Moment::now()).await
    }

    /// Checks `token` as if it were `now`: for `exp`, `nbf` and the age of what is cached.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn verify_at(&self, token: &str, now: Moment) -> Result<Verified, AuthError> {
        self.verify_from_at(token, None, now).await
    }

    /// As [`Self::verify_from`] and [`Self::verify_at`].
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn verify_from_at(&self, token: &str, address: Option<IpAddr>, now: Moment) -> Result<Verified, AuthError> {
        if self.sources.is_empty() {
            return Err(AuthError::NoSource);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::Malformed);
        }
        if KEY_PREFIXES.iter().any(|prefix| token.starts_with(prefix)) {
            return Err(AuthError::NotAUser);
        }
        let header = decode_header(token).map_err(|_| AuthError::Malformed)?;
        if header.crit.is_some() {
            // An extension that must be understood, and none is (RFC 7515, 4.1.11).
            return Err(AuthError::Algorithm);
        }
        let mut refusal = AuthError::Malformed;
        for source in self.sources.iter() {
            match source.verify(token, &header, now).await {
                Ok(verified) => return Ok(verified),
                Err(error) => refusal = refusal.or(error),
            }
        }
        match &self.remote {
            Some(remote) if header.alg == Algorithm::HS256 && !refusal.is_of_claims() => {
                remote.verify(token, address, now).await.map_err(|error| match error {
                    // Not the project's at all: then what the secret said of it tells more.
                    AuthError::Audience | AuthError::Issuer | AuthError::MissingClaim("aud" | "iss")
                        if refusal == AuthError::Signature =>
                    {
                        AuthError::Signature
                    }
                    error => error,
                })
            }
            _ => Err(refusal),
        }
    }
}
