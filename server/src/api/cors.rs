//! CORS: which web pages may read what the HTTP API answers. The same list as for `/ws` (§1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, Method};
use ipnet::IpNet;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::origin::OriginPolicy;
use crate::limits::address;

/// How long a browser may remember the answer to a preflight.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Answers preflights and marks answers for pages of the allowed origins. No credentials: a token is a header here, never
/// a cookie, so that another page's request carries none.
pub(super) fn layer(origins: OriginPolicy, trusted_proxies: Arc<[IpNet]>) -> CorsLayer {
    let header = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |_, request| {
            let peer = request.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
            origins.allows(&request.headers, peer.is_some_and(|peer| address::is_trusted(peer, &trusted_proxies)))
        }))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, header("x-api-key"), header("x-auth-token"), header("idempotency-key")])
        .expose_headers([RETRY_AFTER, WWW_AUTHENTICATE])
        // Caches must not hand one page's answer to another.
        .vary([ORIGIN])
        .max_age(MAX_AGE)
}
