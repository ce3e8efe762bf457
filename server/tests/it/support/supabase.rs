//! A stub Supabase on loopback: publishes keys, signs users' tokens, answers `/auth/v1/user`, rotates, fails, hangs, counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION, header::LOCATION};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use osbackend_server::auth::Authenticator;
use osbackend_server::config::Config;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::keys::{IssuerKey, hs256};
use super::soon;

/// The project's anon key, in the new form.
pub(crate) const ANON_KEY: &str = "sb_publishable_for-the-tests";
/// The secret of its legacy HS256 tokens.
pub(crate) const LEGACY_SECRET: &str = "the legacy secret of the stub project, long enough";

/// How it answers.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    Well,
    /// With this status.
    Failing(u16),
    /// Not at all, until the mood changes.
    Hanging,
    /// With more than anyone should read.
    Endless,
    /// With HTML.
    Nonsense,
    /// Somewhere else.
    Redirecting,
    /// As its gateway does when the `apikey` is wrong.
    RefusingTheKey,
}

struct Inside {
    keys: Mutex<Vec<Value>>,
    /// Answers of `/auth/v1/user` by token.
    users: Mutex<HashMap<String, Value>>,
    mood: watch::Sender<Mood>,
    asked_for_keys: watch::Sender<usize>,
    asked_for_user: watch::Sender<usize>,
    asked_elsewhere: watch::Sender<usize>,
}

#[derive(Clone)]
pub(crate) struct Supabase {
    pub(crate) url: String,
    inside: Arc<Inside>,
}

impl Supabase {
    /// A project that publishes these keys.
    pub(crate) async fn start(keys: &[&IssuerKey]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inside = Arc::new(Inside {
            keys: Mutex::new(keys.iter().map(|key| key.jwk()).collect()),
            users: Mutex::default(),
            mood: watch::Sender::new(Mood::Well),
            asked_for_keys: watch::Sender::new(0),
            asked_for_user: watch::Sender::new(0),
            asked_elsewhere: watch::Sender::new(0),
        });
        let router = Router::new()
            .route("/auth/v1/.well-known/jwks.json", get(key_set))
            .route("/auth/v1/user", get(user))
            .fallback(elsewhere)
            .with_state(inside.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inside }
    }

    /// Publishes these keys from now on, and no others.
    pub(crate) fn rotate(&self, keys: &[&IssuerKey]) {
        self.publish(keys.iter().map(|key| key.jwk()).collect());
    }

    pub(crate) fn publish(&self, keys: Vec<Value>) {
        *self.inside.keys.lock() = keys;
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.inside.mood.send_replace(mood);
    }

    /// How often the keys were asked for.
    pub(crate) fn asked_for_keys(&self) -> usize {
        *self.inside.asked_for_keys.borrow()
    }

    /// How often it was asked about a token.
    pub(crate) fn asked_for_user(&self) -> usize {
        *self.inside.asked_for_user.borrow()
    }

    pub(crate) fn asked_elsewhere(&self) -> usize {
        *self.inside.asked_elsewhere.borrow()
    }

    /// Waits until the keys were asked for that often.
    pub(crate) async fn keys_are_asked_for(&self, times: usize) {
        let mut asked = self.inside.asked_for_keys.subscribe();
        soon("the keys to be asked for", asked.wait_for(|asked| *asked >= times)).await.unwrap();
    }

    /// Waits until it was asked about tokens that often.
    pub(crate) async fn user_is_asked_for(&self, times: usize) {
        let mut asked = self.inside.asked_for_user.subscribe();
        soon("questions about tokens", asked.wait_for(|asked| *asked >= times)).await.unwrap();
    }

    /// What a token of this project's user says, valid for an hour.
    pub(crate) fn claims(&self, sub: &str) -> Value {
        let iss = format!("{}/auth/v1", self.url);
        json!({"sub": sub, "iss": iss, "aud": "authenticated", "role": "authenticated", "exp": now_seconds() + 3600,
            "app_metadata": {"provider": "email"}, "user_metadata": {"role": "admin"}, "session_id": "s", "is_anonymous": false})
    }

    /// As [`Self::claims`], with these instead; `null` takes one away.
    pub(crate) fn claims_with(&self, sub: &str, changes: &Value) -> Value {
        let mut claims = self.claims(sub);
        let all = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => all.remove(name),
                value => all.insert(name.clone(), value.clone()),
            };
        }
        claims
    }

    /// A legacy token with these claims, which `/auth/v1/user` knows.
    pub(crate) fn session(&self, claims: &Value) -> String {
        let token = hs256(LEGACY_SECRET.as_bytes(), &json!({"alg": "HS256", "typ": "JWT"}), claims);
        let user = json!({"id": claims["sub"], "aud": claims["aud"], "role": claims["role"],
            "app_metadata": claims["app_metadata"], "user_metadata": claims["user_metadata"]});
        self.answer(&token, user);
        token
    }

    /// What `/auth/v1/user` says of a token.
    pub(crate) fn answer(&self, token: &str, user: Value) {
        self.inside.users.lock().insert(token.to_owned(), user);
    }

    /// Ends a session: the token is refused from now on.
    pub(crate) fn sign_out(&self, token: &str) {
        self.inside.users.lock().remove(token);
    }

    /// Settings for this project alone.
    pub(crate) fn config(&self, change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::default();
        config.auth.supabase_url = Some(self.url.clone());
        // Long enough for a busy machine; the tests of slowness shorten it.
        config.auth.fetch_timeout = Duration::from_secs(20);
        change(&mut config);
        config
    }

    pub(crate) fn authenticator(&self, change: impl FnOnce(&mut Config)) -> Authenticator {
        Authenticator::from_config(&self.config(change)).unwrap()
    }
}

pub(crate) fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Waits while it hangs; the answer of a bad mood.
async fn in_this_mood(inside: &Inside) -> Option<Response> {
    let mut moods = inside.mood.subscribe();
    let mood = *moods.wait_for(|mood| *mood != Mood::Hanging).await.unwrap();
    match mood {
        Mood::Well | Mood::Hanging => None,
        Mood::Failing(status) => {
            Some((StatusCode::from_u16(status).unwrap(), Json(json!({"code": status, "msg": "trouble"}))).into_response())
        }
        Mood::Endless => Some(Json(json!({"keys": [], "id": "x", "padding": "x".repeat(1024 * 1024)})).into_response()),
        Mood::Nonsense => Some("<html>Welcome</html>".into_response()),
        Mood::Redirecting => Some((StatusCode::FOUND, [(LOCATION, "/elsewhere")]).into_response()),
        Mood::RefusingTheKey => Some(
            (StatusCode::UNAUTHORIZED, Json(json!({"message": "Invalid API key", "hint": "Double check it."}))).into_response(),
        ),
    }
}

async fn key_set(State(inside): State<Arc<Inside>>) -> Response {
    inside.asked_for_keys.send_modify(|asked| *asked += 1);
    match in_this_mood(&inside).await {
        Some(answer) => answer,
        None => Json(json!({ "keys": *inside.keys.lock() })).into_response(),
    }
}

async fn user(State(inside): State<Arc<Inside>>, headers: HeaderMap) -> Response {
    inside.asked_for_user.send_modify(|asked| *asked += 1);
    if let Some(answer) = in_this_mood(&inside).await {
        return answer;
    }
    if headers.get("apikey").is_none_or(|key| key != ANON_KEY) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"message": "No API key found in request"}))).into_response();
    }
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    match token.and_then(|token| inside.users.lock().get(token).cloned()) {
        Some(user) => Json(user).into_response(),
        None => {
            let problem = json!({"code": 403, "error_code": "bad_jwt", "msg": "invalid JWT: signature is invalid"});
            (StatusCode::FORBIDDEN, Json(problem)).into_response()
        }
    }
}

async fn elsewhere(State(inside): State<Arc<Inside>>) -> Response {
    inside.asked_elsewhere.send_modify(|asked| *asked += 1);
    Json(json!({"keys": *inside.keys.lock()})).into_response()
}
