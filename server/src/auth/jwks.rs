//! An issuer's key set (JWKS): fetched when needed, by one request at a time, and kept while the issuer can't be reached.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;

use super::fetch::{FetchError, Http};
use super::moment::Moment;
use super::signature::BoundKey;
use super::{AuthError, claims};
use crate::config::without_secrets;

/// How old keys may be before the issuer is asked again.
const MAX_AGE: Duration = Duration::from_secs(600);
/// How old they may be while the issuer can't be reached: a key that was withdrawn must not count for ever.
const MAX_STALE: Duration = Duration::from_secs(24 * 3600);
/// Between two requests for a key that was not there: anyone can invent a `kid`.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(30);
/// By how much a token must be older than the keys for them to tell that its key is unknown: clocks differ.
const OLDER_SECONDS: u64 = 60;
/// After a failed request, as long as older keys are there.
const STALE_PAUSE: Duration = Duration::from_secs(30);
/// After a failed request where there are none.
const EMPTY_PAUSE: Duration = Duration::from_secs(5);

/// Largest key set, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// Keys of a set that are looked at; issuers have one to four.
const MAX_KEYS: usize = 64;

/// Tokens that are signed with one of an issuer's published keys.
pub(super) struct KeySet {
    url: String,
    http: Http,
    rules: claims::Rules,
    state: Mutex<State>,
    /// Held while the issuer is asked.
    flight: tokio::sync::Mutex<()>,
}

struct PublicKey {
    kid: String,
    key: BoundKey,
}

#[derive(Default)]
struct State {
    keys: Vec<Arc<PublicKey>>,
    /// When they came.
    fetched: Option<Instant>,
    /// When the last request failed; `None` once one succeeded.
    failed: Option<Instant>,
    /// When keys were asked for because of a `kid`, and it was not among them.
    missed: Option<Instant>,
    /// When they came, in seconds since 1970.
    told_at: u64,
}

/// What to do for a token.
enum Need {
    Have(Arc<PublicKey>),
    Fetch,
    Refuse(AuthError),
}

impl State {
    fn need(&self, kid: &str, algorithm: Algorithm, issued: Option<u64>, now: Moment) -> Need {
        let Some(fetched) = self.fetched else {
            return if now.within(EMPTY_PAUSE, self.failed) { Need::Refuse(AuthError::Unavailable) } else { Need::Fetch };
        };
        if !now.within(MAX_AGE, Some(fetched)) && !now.within(STALE_PAUSE, self.failed) {
            return Need::Fetch;
        }
        if !now.within(MAX_STALE, Some(fetched)) {
            return Need::Refuse(AuthError::Unavailable);
        }
        let mut named = self.keys.iter().filter(|key| key.kid == kid).peekable();
        if named.peek().is_none() {
            return match (now.within(UNKNOWN_PAUSE, self.missed), self.failed) {
                (false, _) => Need::Fetch,
                // The issuer may have the key by now; it could not be asked, or was asked because of another token, which anybody may
                // have invented. Only to a token that is older than the answer it says no.
                (true, failed) => match issued {
                    Some(issued) if failed.is_none() && issued + OLDER_SECONDS < self.told_at => {
                        Need::Refuse(AuthError::UnknownKey)
                    }
                    _ => Need::Refuse(AuthError::Unavailable),
                },
            };
        }
        match named.find(|key| key.key.algorithm == algorithm) {
            Some(key) => Need::Have(key.clone()),
            None => Need::Refuse(AuthError::Algorithm),
        }
    }
}

impl KeySet {
    /// The key set of a Supabase project.
    pub(super) fn of_supabase(url: &str, http: Http) -> Self {
        Self {
            url: format!("{url}/auth/v1/.well-known/jwks.json"),
            http,
            rules: claims::Rules::supabase(Some(url)),
            state: Mutex::default(),
            flight: tokio::sync::Mutex::default(),
        }
    }

    /// Checks a token whose header names `kid` and `algorithm`.
    pub(super) async fn verify(
        self: &Arc<Self>,
        token: &str,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Moment,
    ) -> Result<super::Verified, AuthError> {
        if !matches!(algorithm, Algorithm::ES256 | Algorithm::RS256 | Algorithm::EdDSA) {
            return Err(AuthError::Algorithm);
        }
        let key = self.key(kid.ok_or(AuthError::UnknownKey)?, algorithm, issued(token), now).await?;
        claims::check(key.key.claims(token)?, &self.rules, now.unix_seconds)
    }

    async fn key(
        self: &Arc<Self>,
        kid: &str,
        algorithm: Algorithm,
        issued: Option<u64>,
        now: Moment,
    ) -> Result<Arc<PublicKey>, AuthError> {
        let need = self.state.lock().need(kid, algorithm, issued, now);
        let need = match need {
            Need::Fetch => {
                // A task of its own: a client that hangs up must not undo what the others wait for.
                let (set, kid) = (self.clone(), kid.to_owned());
                let fetched = tokio::spawn(async move { set.refresh(&kid, algorithm, issued, now).await });
                fetched.await.map_err(|_| AuthError::Unavailable)?
            }
            need => need,
        };
        match need {
            Need::Have(key) => Ok(key),
            Need::Refuse(error) => Err(error),
            Need::Fetch => Err(AuthError::Unavailable),
        }
    }

    /// Asks the issuer, unless another call did while this one waited for its turn, and looks again.
    async fn refresh(&self, kid: &str, algorithm: Algorithm, issued: Option<u64>, now: Moment) -> Need {
        let _turn = self.flight.lock().await;
        let need = self.state.lock().need(kid, algorithm, issued, now);
        if !matches!(need, Need::Fetch) {
            return need;
        }
        let fetched = self.fetch().await;
        let mut state = self.state.lock();
        match fetched {
            Ok(keys) => {
                state.keys = keys;
                state.fetched = Some(now.instant);
                state.failed = None;
                state.told_at = now.unix_seconds;
            }
            Err(error) => {
                let kept = state.keys.len();
                tracing::warn!(url = %without_secrets(&self.url), %error, kept, "the key set of the tokens' issuer could not be fetched");
                state.failed = Some(now.instant);
            }
        }
        if !state.keys.iter().any(|key| key.kid == kid) {
            state.missed = Some(now.instant);
            if state.failed.is_none() {
                // Asked just for this token: there is no such key.
                return Need::Refuse(AuthError::UnknownKey);
            }
        }
        state.need(kid, algorithm, issued, now)
    }

    async fn fetch(&self) -> Result<Vec<Arc<PublicKey>>, FetchError> {
        let answer = self.http.get(&self.url, HeaderMap::new(), MAX_BYTES).await?;
        if answer.status != 200 {
            return Err(FetchError::Status(answer.status));
        }
        keys(&answer.body).map_err(FetchError::Nonsense)
    }
}

/// When the token says that it was made, in seconds since 1970. Nobody vouches for it: who lies is the one who is refused.
fn issued(token: &str) -> Option<u64> {
    let claims: serde_json::Map<String, Value> = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    claims.get("iat")?.as_f64().filter(|at| *at >= 0.0).map(|at| at as u64)
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The members of a key (RFC 7517, 7518, 8037) that matter for signatures.
#[derive(Deserialize)]
struct Given {
    kty: String,
    kid: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The usable keys of a set. A key of a kind that is not known, a symmetric one among them, is passed over.
fn keys(document: &[u8]) -> Result<Vec<Arc<PublicKey>>, serde_json::Error> {
    let document: Document = serde_json::from_slice(document)?;
    let given = document.keys.into_iter().take(MAX_KEYS).filter_map(|key| serde_json::from_value(key).ok());
    Ok(given.filter_map(public_key).map(Arc::new).collect())
}

fn public_key(given: Given) -> Option<PublicKey> {
    let for_signatures = given.usage.as_deref().is_none_or(|usage| usage == "sig")
        && given.key_ops.as_ref().is_none_or(|uses| uses.iter().any(|one| one == "verify"));
    if !for_signatures {
        return None;
    }
    // The type of the key decides, not what the set or a token calls it.
    let (algorithm, name, key) = match (given.kty.as_str(), given.crv.as_deref()) {
        ("EC", Some("P-256")) => {
            (Algorithm::ES256, "ES256", DecodingKey::from_ec_components(given.x.as_deref()?, given.y.as_deref()?))
        }
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA", DecodingKey::from_ed_components(given.x.as_deref()?)),
        // 2048 bits at least, which are 342 characters: the library that verifies refuses shorter ones too.
        ("RSA", _) if given.n.as_ref().is_some_and(|n| n.len() >= 342) => {
            (Algorithm::RS256, "RS256", DecodingKey::from_rsa_components(given.n.as_deref()?, given.e.as_deref()?))
        }
        _ => return None,
    };
    if given.alg.is_some_and(|alg| alg != name) {
        return None;
    }
    Some(PublicKey { kid: given.kid, key: BoundKey::new(algorithm, key.ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_used_for_signatures_of_its_own_kind_only() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let usable = |key: Value| {
            let document = serde_json::json!({ "keys": [key] }).to_string();
            keys(document.as_bytes()).unwrap().first().map(|key| key.key.algorithm)
        };
        let ed = |more: Value| {
            let mut key = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": x});
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            usable(key)
        };
        assert_eq!(ed(serde_json::json!({"alg": "EdDSA", "use": "sig", "key_ops": ["verify"]})), Some(Algorithm::EdDSA));
        assert_eq!(ed(serde_json::json!({})), Some(Algorithm::EdDSA));
        for bad in [
            serde_json::json!({"alg": "HS256"}),
            serde_json::json!({"alg": "RS256"}),
            serde_json::json!({"use": "enc"}),
            serde_json::json!({"key_ops": ["sign"]}),
            serde_json::json!({"crv": "X25519"}),
            serde_json::json!({"kid": null}),
        ] {
            assert_eq!(ed(bad.clone()), None, "{bad}");
        }
        assert_eq!(usable(serde_json::json!({"kty": "oct", "kid": "1", "alg": "HS256", "k": x})), None);
        assert_eq!(usable(serde_json::json!({"kty": "RSA", "kid": "1", "n": x, "e": "AQAB"})), None, "a short RSA key");
        assert!(keys(b"[]").is_err() && keys(b"<html>").is_err());
    }
}
