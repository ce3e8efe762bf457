//! Which headers a proxy passes on, and what it adds of the client (RFC 9110, 7.6; RFC 6455 needs the upgrade put back).

use std::net::IpAddr;

use axum::http::header::{CONNECTION, FORWARDED, SEC_WEBSOCKET_KEY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::Scheme;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Of one connection only, whatever `Connection` names beside.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authorization"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Whether the request asks for a WebSocket.
pub(super) fn is_websocket(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, "upgrade") && has_token(headers, &UPGRADE, "websocket")
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|one| one.eq_ignore_ascii_case(token))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

/// The headers without those of the connection that they came by.
pub(super) fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION).filter_map(|name| name.parse().ok()).collect();
    let mut passed = headers.clone();
    for name in HOP_BY_HOP.iter().chain(&named) {
        // Naming this one would turn the request into one that no WebSocket server understands.
        if *name != SEC_WEBSOCKET_KEY {
            passed.remove(name);
        }
    }
    passed
}

/// Both sides of a proxy have an upgrade of their own.
pub(super) fn add_upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Adds the peer's address to `X-Forwarded-For`: a reader goes through it from the right, so what the peer wrote before it does
/// no harm. The other two have one value each: what a peer says of them counts only where the peer is a trusted proxy.
pub(super) fn add_origin_of(
    headers: &mut HeaderMap,
    host: Option<&HeaderValue>,
    peer: Option<IpAddr>,
    scheme: Scheme,
    trusted: bool,
) {
    if let Some(peer) = peer.and_then(|peer| HeaderValue::from_str(&peer.to_string()).ok()) {
        headers.append(FORWARDED_FOR, peer);
    }
    if !trusted {
        headers.remove(FORWARDED);
        headers.remove(FORWARDED_PROTO);
        headers.remove(FORWARDED_HOST);
    }
    let scheme = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static(scheme));
    if let Some(host) = host {
        headers.entry(FORWARDED_HOST).or_insert_with(|| host.clone());
    }
}

/// Whether the request came through the proxy of this name already.
pub(super) fn came_through(headers: &HeaderMap, via: &str) -> bool {
    tokens(headers, &VIA).any(|one| one == via)
}

pub(super) fn add_via(headers: &mut HeaderMap, via: &str) {
    if let Ok(via) = HeaderValue::from_str(via) {
        headers.append(VIA, via);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_belongs_to_one_connection_stays_there() {
        let headers = of(&[
            ("connection", "keep-alive, Upgrade, x-secret"),
            ("upgrade", "websocket"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "Basic eDp5"),
            ("authorization", "Bearer t"),
            ("sec-websocket-key", "k"),
            ("sec-websocket-protocol", "osbackend.v1"),
            ("origin", "https://a.example"),
        ]);
        assert!(is_websocket(&headers));
        let mut names: Vec<_> = passed_on(&headers).keys().map(HeaderName::to_string).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "origin", "sec-websocket-key", "sec-websocket-protocol"]);
    }

    #[test]
    fn only_both_headers_ask_for_a_websocket() {
        assert!(!is_websocket(&of(&[("upgrade", "websocket")])));
        assert!(!is_websocket(&of(&[("connection", "upgrade"), ("upgrade", "h2c")])));
        assert!(is_websocket(&of(&[("connection", "Upgrade"), ("upgrade", "WebSocket")])));
    }

    #[test]
    fn a_stranger_says_nothing_of_its_scheme_and_is_added_behind_what_it_says_of_its_address() {
        let claimed = [
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=1.1.1.1"),
        ];
        let host: HeaderValue = "ws.example".parse().unwrap();
        let peer = Some("9.9.9.9".parse().unwrap());
        let mut headers = of(&claimed);
        add_origin_of(&mut headers, Some(&host), peer, Scheme::Http, false);
        assert_eq!(values(&headers, "x-forwarded-for"), ["1.1.1.1, 2.2.2.2", "9.9.9.9"]);
        assert_eq!(values(&headers, "x-forwarded-proto"), ["http"]);
        assert_eq!(values(&headers, "x-forwarded-host"), ["ws.example"]);
        assert!(!headers.contains_key("forwarded"));

        let mut headers = of(&claimed);
        add_origin_of(&mut headers, Some(&host), peer, Scheme::Http, true);
        assert_eq!(values(&headers, "x-forwarded-proto"), ["https"], "a trusted proxy's word counts");
        assert_eq!(values(&headers, "x-forwarded-host"), ["evil.example"]);
        assert_eq!(values(&headers, "forwarded"), ["for=1.1.1.1"]);
    }

    #[test]
    fn its_own_mark_is_known_again() {
        let mut headers = of(&[("via", "1.1 other, 1.1 another")]);
        assert!(!came_through(&headers, "1.1 osbackend-1"));
        add_via(&mut headers, "1.1 osbackend-1");
        assert!(came_through(&headers, "1.1 osbackend-1"));
        assert!(!came_through(&headers, "1.1 osbackend-2"));
    }
}
