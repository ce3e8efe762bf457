//! What the log says of connections that are not let in, and what an operator most probably has to set.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::HeaderMap;
use axum::http::header::ORIGIN;
use parking_lot::Mutex;

use super::Gateway;
use crate::auth::origin;
use crate::limits::address;

/// Peers that are named as possible proxies: a process behind more than a few has its setting.
const MOST_PEERS: usize = 16;
/// Between two lines about a server all of whose connections come from one address, in milliseconds.
const CROWD_EVERY_MS: u64 = 60_000;
/// Characters of a header that a line shows.
const SHOWN: usize = 200;

/// What was hinted at already. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    peers: Mutex<Vec<IpAddr>>,
    crowd_ms: AtomicU64,
}

impl Hints {
    /// A peer that is no trusted proxy says for whom it forwards: a proxy that nobody has put into the settings, mostly.
    /// Told once for each.
    pub(super) fn forwards(&self, peer: IpAddr) {
        let mut peers = self.inner.peers.lock();
        if peers.len() < MOST_PEERS && !peers.contains(&peer) {
            peers.push(peer);
            tracing::warn!(
                %peer,
                "X-Forwarded-For comes from {peer}, which is not in TRUSTED_PROXIES: all that it forwards counts as one address. \
                 If it is your proxy, set TRUSTED_PROXIES={peer}"
            );
        }
    }

    /// Whether the line about one address that has all connections is due.
    fn crowd_is_due(&self, now_ms: u64) -> bool {
        let last = self.inner.crowd_ms.load(Ordering::Relaxed);
        now_ms >= last.saturating_add(CROWD_EVERY_MS)
            && self.inner.crowd_ms.compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Gateway {
    /// Counts a connection that is not let in, and says so once a second for each reason and address.
    pub(super) fn not_admitted(&self, reason: &'static str, address: Option<IpAddr>, now_ms: u64) {
        let meters = &self.handle.shared().meters;
        meters.not_admitted(reason);
        if let Some(left_out) = meters.seldom.admits(reason, address.map(address::group), now_ms) {
            tracing::info!(reason, address = address.map(tracing::field::display), left_out, "connection refused");
        }
    }

    /// As [`Self::not_admitted`], for an origin: with what it takes to find out which setting is missing.
    pub(super) fn origin_refused(&self, address: Option<IpAddr>, headers: &HeaderMap, trusted: bool, now_ms: u64) {
        let meters = &self.handle.shared().meters;
        meters.not_admitted("origin");
        let Some(left_out) = meters.seldom.admits("origin", address.map(address::group), now_ms) else { return };
        let origin = headers.get(ORIGIN).map(|origin| shown(&String::from_utf8_lossy(origin.as_bytes()))).unwrap_or_default();
        let host = origin::requested_host(headers, trusted).map(|host| shown(&host)).unwrap_or_default();
        tracing::info!(
            reason = "origin",
            address = address.map(tracing::field::display),
            origin,
            host,
            left_out,
            "connection refused: pages of this origin may not connect to this host. Put the origin into ALLOWED_ORIGINS, or let \
             the proxy in between keep `Host` (or be in TRUSTED_PROXIES and set X-Forwarded-Host)"
        );
    }

    /// An address is at its limit, and not even let in to hear it.
    pub(super) fn address_full(&self, address: Option<IpAddr>, now_ms: u64) {
        self.not_admitted("address_limit", address, now_ms);
        self.crowded(address, now_ms);
    }

    /// An address is at its limit: where all connections are its, it is hardly a client's.
    pub(super) fn crowded(&self, address: Option<IpAddr>, now_ms: u64) {
        let Some(address) = address.filter(|_| self.trusted_proxies.is_empty()) else { return };
        if self.door.is_all_of(address) && self.hints.crowd_is_due(now_ms) {
            tracing::warn!(
                %address,
                "all connections come from {address}, which has reached MAX_CONNECTIONS_PER_IP: probably a proxy or a load \
                 balancer in front of this server. Set TRUSTED_PROXIES={address}, so that clients count by their own addresses"
            );
        }
    }
}

/// A header's text for the log: bounded, and with what could look like another line escaped.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_default).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_wrote_is_shown_bounded_and_escaped() {
        assert_eq!(shown("https://app.example.com"), "https://app.example.com");
        assert_eq!(shown("a\n2026 ERROR \u{1b}[31m"), "a\\n2026 ERROR \\u{1b}[31m");
        assert_eq!(shown(&"x".repeat(300)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn a_crowd_is_told_of_once_a_minute() {
        let hints = Hints::default();
        let told = (0..180).filter(|second| hints.crowd_is_due(1_700_000_000_000 + second * 1_000)).count();
        assert_eq!(told, 3);
    }
}
