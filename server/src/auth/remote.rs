//! Asks Supabase whether a token is good (`GET /auth/v1/user`): for tokens that nothing here can check.
//!
//! That is one HS256 token a minute and user where the project's legacy secret is not known. It also hears of a sign-out.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::fetch::{FetchError, Http};
use super::moment::Moment;
use super::{AuthError, Verified, claims};
use crate::config::Secret;

/// How long an answer counts.
const MAX_AGE: Duration = Duration::from_secs(60);
/// Tokens whose answers are kept; the oldest goes first.
const MAX_KEPT: usize = 4096;
/// Questions at once; further ones wait their turn within the time of one.
const MAX_RUNNING: usize = 16;
/// Largest answer, in bytes.
const MAX_BYTES: usize = 64 * 1024;

type Hash = [u8; 32];

/// Tokens that Supabase is asked about.
pub(super) struct Remote {
    url: String,
    key: Secret,
    http: Http,
    timeout: Duration,
    rules: claims::Rules,
    running: Semaphore,
    kept: Mutex<Kept>,
}

/// What Supabase said.
#[derive(Clone)]
enum Said {
    Yes(User),
    No,
}

#[derive(Clone, Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    role: Option<Value>,
    #[serde(default)]
    app_metadata: Option<Value>,
}

/// An error of Supabase: its auth server writes `msg` and `error_code`, the gateway before it `message`.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    message: Option<String>,
}

impl Remote {
    pub(super) fn new(url: &str, key: &Secret, http: Http, timeout: Duration) -> Self {
        Self {
            url: format!("{url}/auth/v1/user"),
            key: key.clone(),
            http,
            timeout,
            rules: claims::Rules::supabase(Some(url)),
            running: Semaphore::new(MAX_RUNNING),
            kept: Mutex::default(),
        }
    }

    pub(super) async fn verify(&self, token: &str, now: Moment) -> Result<Verified, AuthError> {
        let mut claims: Map<String, Value> =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| AuthError::Malformed)?;
        // Nothing of it is believed yet, but what can't be good isn't worth asking about.
        let unproven = claims::check(claims.clone(), &self.rules, now.unix_seconds)?;

        let hash = sha256(token);
        let kept = self.kept.lock().get(&hash, now);
        let said = match kept {
            Some(said) => said,
            None => {
                let said = self.ask(token, &unproven.identity.sub).await?;
                let left = Duration::from_secs((unproven.expires_at_ms / 1000).saturating_sub(now.unix_seconds));
                self.kept.lock().put(hash, said.clone(), now.instant + left.min(MAX_AGE));
                said
            }
        };
        let Said::Yes(user) = said else { return Err(AuthError::Rejected) };
        // The answer is newer than the token: who lost a role since has lost it.
        for (name, value) in [("role", user.role), ("app_metadata", user.app_metadata)] {
            match value {
                Some(value) => claims.insert(name.to_owned(), value),
                None => claims.remove(name),
            };
        }
        claims::check(claims, &self.rules, now.unix_seconds)
    }

    async fn ask(&self, token: &str, sub: &str) -> Result<Said, AuthError> {
        let unavailable = |error: &dyn std::fmt::Display| {
            tracing::warn!(url = %self.url, %error, "Supabase could not be asked about a token");
            AuthError::Unavailable
        };
        let answered = async {
            // Closed never: the semaphore lives as long as this.
            let _turn = self.running.acquire().await.map_err(|_| AuthError::Unavailable)?;
            self.http.get(&self.url, self.headers(token)?, MAX_BYTES).await.map_err(|error| unavailable(&error))
        };
        let answered = tokio::time::timeout(self.timeout, answered).await;
        let answer = answered.map_err(|_| unavailable(&"too many questions wait for an answer"))??;
        match answer.status {
            200 => {
                let user: User =
                    serde_json::from_slice(&answer.body).map_err(|error| unavailable(&FetchError::Nonsense(error)))?;
                Ok(if user.id == sub { Said::Yes(user) } else { Said::No })
            }
            401 | 403 => {
                let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
                if problem.message.is_some_and(|message| message.to_ascii_lowercase().contains("api key")) {
                    return Err(unavailable(&"it refuses the API key: check SUPABASE_ANON_KEY"));
                }
                Ok(Said::No)
            }
            status => Err(unavailable(&FetchError::Status(status))),
        }
    }

    fn headers(&self, token: &str) -> Result<HeaderMap, AuthError> {
        let secret = |text: &str| {
            let mut value = HeaderValue::from_str(text)?;
            value.set_sensitive(true);
            Ok::<_, axum::http::header::InvalidHeaderValue>(value)
        };
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(AUTHORIZATION, secret(&format!("Bearer {token}")).map_err(|_| AuthError::Malformed)?);
        headers.insert(HeaderName::from_static("apikey"), secret(self.key.reveal()).map_err(|_| AuthError::Unavailable)?);
        Ok(headers)
    }
}

fn sha256(token: &str) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}

/// Answers by the hash of the token, so that a dump of the memory holds no token that isn't in use.
#[derive(Default)]
struct Kept {
    said: HashMap<Hash, (Said, Instant)>,
    /// In the order in which they came.
    order: VecDeque<Hash>,
}

impl Kept {
    fn get(&mut self, hash: &Hash, now: Moment) -> Option<Said> {
        self.said.get(hash).filter(|(_, until)| now.instant < *until).map(|(said, _)| said.clone())
    }

    fn put(&mut self, hash: Hash, said: Said, until: Instant) {
        if self.said.insert(hash, (said, until)).is_none() {
            self.order.push_back(hash);
        }
        if self.order.len() > MAX_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.said.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut kept, now) = (Kept::default(), Moment::now());
        let hash = |n: usize| sha256(&n.to_string());
        for n in 0..MAX_KEPT + 10 {
            kept.put(hash(n), Said::No, now.instant + MAX_AGE);
            kept.put(hash(n), Said::No, now.instant + MAX_AGE);
        }
        assert_eq!((kept.said.len(), kept.order.len()), (MAX_KEPT, MAX_KEPT));
        assert!(kept.get(&hash(9), now).is_none() && kept.get(&hash(10), now).is_some());
    }
}
