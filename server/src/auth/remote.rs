//! Asks Supabase whether a token is good (`GET /auth/v1/user`): for tokens that nothing here can check.
//!
//! That is one HS256 token a minute and user where the project's legacy secret is not known. It also hears of a sign-out.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::doors::{Bounded, Doors};
use super::fetch::{FetchError, Http};
use super::moment::Moment;
use super::{AuthError, Verified, claims};
use crate::config::{Secret, without_secrets};
use crate::telemetry::Seldom;

/// How long an answer counts.
const MAX_AGE: Duration = Duration::from_secs(60);
/// Good tokens whose answers are kept, and as many others; the oldest goes first.
const MAX_KEPT: usize = 4096;
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
    doors: Doors,
    seldom: Seldom,
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
            doors: Doors::new(),
            seldom: Seldom::default(),
            kept: Mutex::new(Kept::new()),
        }
    }

    pub(super) async fn verify(&self, token: &str, from: Option<IpAddr>, now: Moment) -> Result<Verified, AuthError> {
        let mut claims: Map<String, Value> =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| AuthError::Malformed)?;
        // Nothing of it is believed yet, but what can't be good isn't worth asking about.
        let unproven = claims::check(claims.clone(), &self.rules, now.unix_seconds)?;

        let hash = sha256(token);
        let kept = self.kept.lock().get(&hash, now);
        let said = match kept {
            Some(said) => said,
            None => {
                let said = self.ask(token, &unproven.identity.sub, from, now).await?;
                let left = Duration::from_secs((unproven.expires_at_ms / 1000).saturating_sub(now.unix_seconds));
                self.kept.lock().put(hash, said.clone(), now.instant + left.min(MAX_AGE));
                said
            }
        };
        let Said::Yes(user) = said else { return Err(AuthError::Rejected) };
        self.doors.found_good(&user.id, now);
        // The answer is newer than the token: who lost a role since has lost it.
        for (name, value) in [("role", user.role), ("app_metadata", user.app_metadata)] {
            match value {
                Some(value) => claims.insert(name.to_owned(), value),
                None => claims.remove(name),
            };
        }
        claims::check(claims, &self.rules, now.unix_seconds)
    }

    async fn ask(&self, token: &str, sub: &str, from: Option<IpAddr>, now: Moment) -> Result<Said, AuthError> {
        let unavailable = |error: &dyn std::fmt::Display| {
            if let Some(left_out) = self.seldom.admits_now("not asked", error.to_string()) {
                tracing::warn!(url = %without_secrets(&self.url), %error, left_out, "Supabase could not be asked about a token");
            }
            AuthError::Unavailable
        };
        let answered = async {
            // Not worth a line for each: who invents tokens would fill the log.
            let _turn = self.doors.turn(sub, from, now).await.ok_or(AuthError::Unavailable)?;
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

/// Answers by the hash of the token, so that a dump of the memory holds no token that isn't in use. Apart, so that tokens that
/// anybody invents take no good one's place.
struct Kept {
    good: Bounded<Hash, (User, Instant)>,
    others: Bounded<Hash, Instant>,
}

impl Kept {
    fn new() -> Self {
        Self { good: Bounded::new(MAX_KEPT), others: Bounded::new(MAX_KEPT) }
    }

    fn get(&self, hash: &Hash, now: Moment) -> Option<Said> {
        let good = self.good.get(hash).filter(|(_, until)| now.instant < *until).map(|(user, _)| Said::Yes(user.clone()));
        good.or_else(|| self.others.get(hash).filter(|until| now.instant < **until).map(|_| Said::No))
    }

    fn put(&mut self, hash: Hash, said: Said, until: Instant) {
        match said {
            Said::Yes(user) => self.good.put(hash, (user, until)),
            Said::No => self.others.put(hash, until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_tokens_take_no_good_ones_place() {
        let (mut kept, now) = (Kept::new(), Moment::now());
        let hash = |n: usize| sha256(&n.to_string());
        let user = User { id: "ada".to_owned(), role: None, app_metadata: None };
        kept.put(hash(0), Said::Yes(user), now.instant + MAX_AGE);
        (1..2 * MAX_KEPT).for_each(|n| kept.put(hash(n), Said::No, now.instant + MAX_AGE));
        assert!(matches!(kept.get(&hash(0), now), Some(Said::Yes(_))));
        assert!(kept.get(&hash(1), now).is_none() && matches!(kept.get(&hash(MAX_KEPT), now), Some(Said::No)));
        assert!(kept.get(&hash(0), now.later(MAX_AGE)).is_none());
    }
}
