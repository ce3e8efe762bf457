//! What `--dev` adds: tokens for two people, printed and for the demo page. Never for a public address.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::auth::mint::{MintError, Token};
use crate::auth::origin::{OriginPolicy, asks_for_this_machine};
use crate::config::{Config, Secret};

/// Long enough for a day of work.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A user's and an admin's token.
pub(super) struct Tokens {
    pub(super) user: String,
    pub(super) admin: String,
}

impl Tokens {
    /// Of `demo-user`, or of the person `name`.
    pub(super) fn sign(secret: &Secret, name: Option<&str>) -> Result<Self, MintError> {
        let (sub, name) = match name {
            Some(name) => (format!("demo-{}", name.to_lowercase()), name),
            None => ("demo-user".to_owned(), "Demo User"),
        };
        let user = Token::for_user(&sub).claim("user_metadata", json!({"name": name}));
        Ok(Self {
            user: user.role("user").lifetime(LIFETIME).sign(secret)?,
            admin: Token::for_user("demo-admin").role("admin").lifetime(LIFETIME).sign(secret)?,
        })
    }
}

#[derive(Clone)]
struct Dev {
    secret: Secret,
    origins: OriginPolicy,
    /// Where the page may ask for this process to be killed; told by who started it ([`OUTAGE_CONTROL`]).
    outage_control: Option<String>,
}

/// What the page asks for.
#[derive(serde::Deserialize)]
struct Wanted {
    /// As whom, to see how several people look to each other.
    #[serde(rename = "as")]
    name: Option<String>,
}

/// The variable by which `cargo xtask demo` names its control endpoint, an address with a secret in it.
const OUTAGE_CONTROL: &str = "OSBACKEND_OUTAGE_CONTROL";
/// Letters of a person's name.
const MAX_NAME: usize = 24;

/// `GET /dev/session`: fresh tokens for the demo page.
pub(super) fn router(config: &Config, secret: Secret) -> Router {
    let outage_control = std::env::var(OUTAGE_CONTROL).ok();
    let dev = Dev { secret, origins: OriginPolicy::from_config(config), outage_control };
    Router::new().route("/dev/session", get(session)).with_state(dev)
}

async fn session(State(dev): State<Dev>, Query(wanted): Query<Wanted>, headers: HeaderMap) -> Response {
    // A page elsewhere whose name was made to point at this machine must not get an admin's token.
    if !asks_for_this_machine(&headers) || !dev.origins.allows(&headers) {
        let message = "only for pages of this machine";
        return (StatusCode::FORBIDDEN, Json(json!({"error": {"code": "forbidden", "message": message}}))).into_response();
    }
    let name = wanted.name.as_deref();
    if name.is_some_and(|name| name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(|byte| byte.is_ascii_alphabetic())) {
        let message = format!("as: a name is 1 to {MAX_NAME} letters of a to z");
        return (StatusCode::BAD_REQUEST, Json(json!({"error": {"code": "bad_request", "message": message}}))).into_response();
    }
    match Tokens::sign(&dev.secret, name) {
        Ok(tokens) => {
            let mut session = json!({"token": tokens.user, "adminToken": tokens.admin});
            if let Some(control) = &dev.outage_control {
                session["outageControl"] = control.as_str().into();
            }
            ([(header::CACHE_CONTROL, "no-store")], Json(session)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "no token for the demo page");
            let error = json!({"error": {"code": "internal", "message": "no token could be made"}});
            (StatusCode::INTERNAL_SERVER_ERROR, Json(error)).into_response()
        }
    }
}

/// What a start with `--dev` has beside its tokens.
pub(super) struct Shown {
    /// A key for backends, of this start alone.
    pub(super) api_key: String,
    /// Whether there is a page at `/`.
    pub(super) page: bool,
}

/// What a person who started with `--dev` needs, ready to paste.
pub(super) fn banner(http: SocketAddr, ws: SocketAddr, tls: bool, own_secret: bool, tokens: &Tokens, shown: &Shown) -> String {
    let host = |address: SocketAddr| {
        let ip = address.ip();
        let name = if ip.is_loopback() || ip.is_unspecified() { "localhost".to_owned() } else { address.ip().to_string() };
        let name = if name.contains(':') { format!("[{name}]") } else { name };
        format!("{name}:{}", address.port())
    };
    let (http, ws) = (host(http), host(ws));
    let s = if tls { "s" } else { "" };
    // `cargo xtask demo` makes one, so that tokens outlive the kills that the page asks for.
    let own_secret = own_secret && std::env::var_os(OUTAGE_CONTROL).is_none();
    let secret = if own_secret { "with your JWT_SECRET" } else { "with a secret of its own, until it stops" };
    let Tokens { user, admin } = tokens;
    let key = &shown.api_key;
    let dashboard = match shown.page {
        true => format!("http{s}://{http}/"),
        false => "not built here: `cargo xtask demo` builds and serves it".to_owned(),
    };
    format!(
        r#"
osbackend {version}, for development {secret}

  dashboard    {dashboard}
  websocket    ws{s}://{ws}/ws
  status       http{s}://{http}/api/ws/status
  API          http{s}://{http}/openapi

user token (demo-user):
{user}

admin token (demo-admin):
{admin}

API key for backends (`X-API-Key`, or `apiKey` of @osbackend/realtime/server):
{key}

try it:
npx wscat -c 'ws{s}://{ws}/ws?token={user}'
then type: {{"type":"join","payload":{{"room":"dashboard:overview"}}}}
"#,
        version = env!("CARGO_PKG_VERSION"),
    )
}
