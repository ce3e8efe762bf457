//! How often callers may call: by user and by address (§9). Backends with an API key and admins may as often as they like.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;

use super::{Api, ApiError};
use crate::config::Config;
use crate::limits::{Keyed, Quota, address};
use crate::realtime::Handle;

/// How long the answer to a call over the limit is held back: a client that calls again at once, whatever it is answered, costs ten
/// answers a second and connection instead of thousands.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);
/// Calls at once, in seconds of the rate.
const BURST_SECONDS: u32 = 2;

/// Where a call's cost grows with how many rooms or connections there are, so many of them cost as much as one call.
pub(super) const UNIT_OF_MANY: u64 = 1_000;

/// The limits of one server's HTTP API. Cloning shares what was used.
#[derive(Clone, Debug)]
pub(crate) struct CallLimits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    user: Quota,
    user_rate: Option<u32>,
    address: Quota,
    address_rate: Option<u32>,
    by_user: Keyed<String>,
    by_address: Keyed<IpAddr>,
    trusted_proxies: Vec<IpNet>,
    /// Times count from here: the system's clock may be set back.
    began: Instant,
}

impl CallLimits {
    /// As the settings have them, nothing used yet.
    pub(crate) fn from_config(config: &Config) -> Self {
        let (user_rate, address_rate) = (config.limits.api_rate, config.limits.api_rate_per_ip);
        let quota = |rate: Option<u32>| Quota::new(rate, rate.unwrap_or(1).saturating_mul(BURST_SECONDS));
        Self(Arc::new(Inner {
            user: quota(user_rate),
            user_rate,
            address: quota(address_rate),
            address_rate,
            by_user: Keyed::default(),
            by_address: Keyed::default(),
            trusted_proxies: config.listen.trusted_proxies.clone(),
            began: Instant::now(),
        }))
    }

    /// The client's address; `None` where the server isn't told (an embedding without connect info).
    pub(crate) fn address(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>()?.0;
        Some(address::of_client(peer.ip(), headers, &self.0.trusted_proxies))
    }

    /// Charges a call that costs `units` to its user, where it has one, and to its address. A user over its limit takes nothing of
    /// what others at the same address have.
    ///
    /// # Errors
    /// 429, after a pause.
    pub(super) async fn charge(&self, address: Option<IpAddr>, user: Option<&str>, units: u64) -> Result<(), ApiError> {
        let now_ms = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let refused = self.charge_at(address, user, units, now_ms);
        if refused.is_err() {
            tokio::time::sleep(REFUSAL_PAUSE).await;
        }
        refused
    }

    fn charge_at(&self, address: Option<IpAddr>, user: Option<&str>, units: u64, now_ms: u64) -> Result<(), ApiError> {
        let Inner { user: of_user, user_rate, address: of_address, address_rate, by_user, by_address, .. } = &*self.0;
        // What costs more than there ever is at once is a call with the whole second's quota.
        let units = |rate: &Option<u32>| units.min(u64::from(rate.unwrap_or(1)));
        if let Some(user) = user {
            by_user.take(user, of_user, units(user_rate), now_ms).map_err(|retry_ms| {
                let rate = user_rate.unwrap_or(0);
                ApiError::rate_limited(
                    format!("this user calls the API more often than {rate} times a second (API_RATE)"),
                    retry_ms,
                )
            })?;
        }
        let Some(address) = address.map(address::group) else { return Ok(()) };
        by_address.take(&address, of_address, units(address_rate), now_ms).map_err(|retry_ms| {
            let rate = address_rate.unwrap_or(0);
            let message = format!("this address calls the API more often than {rate} times a second (API_RATE_PER_IP)");
            ApiError::rate_limited(message, retry_ms)
        })
    }
}

/// Charges the caller's address for `/metrics`, whose cost grows with the connections.
pub(crate) async fn charge_scrape(
    State((limits, handle)): State<(CallLimits, Handle)>,
    request: Request,
    next: Next,
) -> Response {
    let address = limits.address(request.extensions(), request.headers());
    let units = 1 + handle.totals().total_clients as u64 / UNIT_OF_MANY;
    match limits.charge(address, None, units).await {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Someone who need not say who it is: its address is charged.
pub(super) struct Anyone;

impl FromRequestParts<Api> for Anyone {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        api.limits.charge(api.limits.address(&parts.extensions, &parts.headers), None, 1).await?;
        Ok(Self)
    }
}

/// The client's address, for a call that is charged for more than one.
pub(super) struct Whence(pub(super) Option<IpAddr>);

impl FromRequestParts<Api> for Whence {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        Ok(Self(api.limits.address(&parts.extensions, &parts.headers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn users_and_addresses_have_rates_and_a_users_refusals_cost_the_others_nothing() {
        let mut config = Config::default();
        config.limits.api_rate = Some(2);
        config.limits.api_rate_per_ip = Some(5);
        let limits = CallLimits::from_config(&config);
        let office = Some(IpAddr::from([192, 0, 2, 1]));
        let call = |user: Option<&str>, units: u64, now_ms: u64| limits.charge_at(office, user, units, now_ms).is_ok();
        let ada: Vec<_> = (0..100).filter(|_| call(Some("ada"), 1, 5_000)).collect();
        assert_eq!(ada.len(), 4, "two seconds' calls at once");
        assert_eq!((0..100).filter(|_| call(None, 1, 5_000)).count(), 6, "what is left of the address's ten");
        assert!(!call(Some("bob"), 1, 5_000), "the address has used its own up");
        assert!(limits.charge_at(Some(IpAddr::from([192, 0, 2, 2])), Some("bob"), 1, 5_000).is_ok());
        assert!(limits.charge_at(None, Some("cy"), 1_000, 5_000).is_ok(), "no call is too expensive for ever");
        assert!(call(Some("ada"), 1, 6_000));
    }
}
