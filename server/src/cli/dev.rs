//! What `--dev` adds: tokens for two people, printed and for the demo page of this machine. Never beside a real secret.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::extract::{ConnectInfo, Query, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::auth::mint::{MintError, Token, random_secret};
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
/// The variable by which who starts this process again and again gives it the same secret each time, so that tokens outlive a
/// kill (`cargo xtask demo`). Not a setting: only `--dev` looks at it, and only where no real secret is set.
const SAME_SECRET: &str = "OSBACKEND_DEV_SECRET";
/// HS256 is as strong as its secret, up to this many bytes; a shorter one is not taken.
const LEAST_SECRET_BYTES: usize = 32;
/// What proxies add to a request, beside everything that begins with `x-forwarded`.
const ADDED_BY_PROXIES: [&str; 8] =
    ["forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip", "x-original-host"];
/// Letters of a person's name.
const MAX_NAME: usize = 24;

/// `GET /dev/session`: fresh tokens for the demo page.
pub(super) fn router(config: &Config, secret: Secret) -> Router {
    let outage_control = std::env::var(OUTAGE_CONTROL).ok();
    let dev = Dev { secret, origins: OriginPolicy::from_config(config), outage_control };
    Router::new().route("/dev/session", get(session)).with_state(dev)
}

/// The secret of a development server that has no real one.
pub(super) fn secret() -> Result<Secret, getrandom::Error> {
    match std::env::var(SAME_SECRET) {
        Ok(secret) if secret.len() >= LEAST_SECRET_BYTES => Ok(secret.into()),
        _ => random_secret(),
    }
}

/// Whether the request comes from a program on this machine, and from no further: neither the peer is elsewhere, nor does a proxy
/// here pass it on for somebody. Without a known peer nobody is taken for near.
fn is_from_here(peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
    let passed_on =
        headers.keys().any(|name| name.as_str().starts_with("x-forwarded") || ADDED_BY_PROXIES.contains(&name.as_str()));
    peer.is_some_and(|peer| peer.to_canonical().is_loopback()) && !passed_on
}

async fn session(State(dev): State<Dev>, Query(wanted): Query<Wanted>, extensions: Extensions, headers: HeaderMap) -> Response {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    // A page elsewhere whose name was made to point at this machine must not get an admin's token.
    if !is_from_here(peer, &headers) || !asks_for_this_machine(&headers) || !dev.origins.allows(&headers, false) {
        let message = "only for programs and pages of this machine, and not through a proxy: it gives an admin's token away";
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
pub(super) fn banner(http: SocketAddr, ws: SocketAddr, tls: bool, tokens: Option<&Tokens>, shown: &Shown) -> String {
    let host = |address: SocketAddr| {
        let ip = address.ip();
        let name = if ip.is_loopback() || ip.is_unspecified() { "localhost".to_owned() } else { address.ip().to_string() };
        let name = if name.contains(':') { format!("[{name}]") } else { name };
        format!("{name}:{}", address.port())
    };
    let (http, ws) = (host(http), host(ws));
    let s = if tls { "s" } else { "" };
    let version = env!("CARGO_PKG_VERSION");
    let key = &shown.api_key;
    let dashboard = match shown.page {
        true => format!("http{s}://{http}/"),
        false => "not in this binary: `cargo xtask demo` builds it with the page".to_owned(),
    };
    let addresses = format!(
        "  dashboard    {dashboard}\n  websocket    ws{s}://{ws}/ws\n  status       http{s}://{http}/api/ws/status\n  \
         API          http{s}://{http}/openapi\n"
    );
    let Some(Tokens { user, admin }) = tokens else {
        return format!(
            "\nosbackend {version}, for development with your own tokens\n\n{addresses}\n\
             no tokens or keys are given out beside a real secret, here or at /dev/session: `osbackend token --sub NAME` makes one\n"
        );
    };
    format!(
        r#"
osbackend {version}, for development with a secret of its own

{addresses}
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
    )
}

/// What `--dev` means on an address that others reach; `None` on this machine's own.
pub(super) fn warning(host: IpAddr) -> Option<String> {
    (!host.to_canonical().is_loopback()).then(|| {
        format!(
            "--dev with HOST={host}: whoever reaches this machine reaches this server, which has no limits by address or user, 5 minutes \
             to authenticate, and takes connections from any page of a localhost. Use it on networks that you trust only. /dev/session \
             answers this machine alone. Leave HOST unset for 127.0.0.1"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(names: &[&'static str]) -> HeaderMap {
        names.iter().map(|name| (name.parse().unwrap(), "127.0.0.1".parse().unwrap())).collect()
    }

    #[test]
    fn only_this_machine_itself_is_here() {
        let plain = headers(&["host", "origin", "accept", "x-requested-with"]);
        for here in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(is_from_here(Some(here.parse().unwrap()), &plain), "{here}");
        }
        for elsewhere in ["192.168.1.20", "172.17.0.1", "0.0.0.0", "fe80::1", "2001:db8::1"] {
            assert!(!is_from_here(Some(elsewhere.parse().unwrap()), &plain), "{elsewhere}");
        }
        assert!(!is_from_here(None, &plain), "nobody knows who asks");
        let proxies =
            ADDED_BY_PROXIES.into_iter().chain(["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded"]);
        for name in proxies {
            assert!(!is_from_here(Some([127, 0, 0, 1].into()), &headers(&["host", name])), "{name}");
        }
    }

    #[test]
    fn a_host_that_others_reach_is_warned_of() {
        for open in ["0.0.0.0", "::", "192.168.1.20"] {
            assert!(warning(open.parse().unwrap()).is_some_and(|text| text.contains(open) && text.contains("--dev")), "{open}");
        }
        assert_eq!(warning([127, 0, 0, 1].into()), None);
    }
}
