//! Which web pages may connect (§1): browsers name theirs in `Origin`, and it is checked before the upgrade.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use crate::config::Config;

/// By which a proxy tells the host that it was asked for.
const FORWARDED_HOST: &str = "x-forwarded-host";

/// Which origins may connect. A request without `Origin` is not a browser's and always may.
#[derive(Clone, Debug)]
pub enum OriginPolicy {
    /// Pages of the host that the request is for, whatever their port: the API and `/ws` have two.
    SameHost,
    /// Pages of this machine (`--dev`), and of the same host where it is an address.
    Localhost,
    /// These only.
    List(Vec<OriginPattern>),
}

impl OriginPolicy {
    /// The policy that `config` asks for.
    pub fn from_config(config: &Config) -> Self {
        match &config.auth.allowed_origins {
            // The settings took no other ones.
            Some(list) => Self::List(list.iter().filter_map(|text| OriginPattern::parse(text)).collect()),
            None if config.dev => Self::Localhost,
            None => Self::SameHost,
        }
    }

    /// Whether a request with these headers may go on. `trusted`: it came from a proxy that may tell its host.
    pub fn allows(&self, headers: &HeaderMap, trusted: bool) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        let Some(origin) = origin.to_str().ok().filter(|_| origins.next().is_none()) else { return false };
        if let Self::List(patterns) = self {
            return patterns.iter().any(|pattern| pattern.allows(origin));
        }
        let Some(origin) = Origin::parse(origin) else { return false };
        match self {
            Self::SameHost => origin.is_of_host(headers, trusted),
            // A name could be made to point at this machine by its owner (DNS rebinding); an address can't.
            Self::Localhost => is_localhost(&origin.host) || (ip(&origin.host).is_some() && origin.is_of_host(headers, trusted)),
            Self::List(_) => false,
        }
    }
}

/// What browsers send for a local page on a WebSocket; elsewhere, and for all others without an origin, it is [`NULL`].
const FILE: &str = "file://";
const NULL: &str = "null";

/// One entry of `ALLOWED_ORIGINS`: `https://app.example.com` (exactly that scheme, host and port), `https://*.example.com`
/// (what has more names before the dot), `file://` (local pages: Electron's `loadFile`, Cordova, a kiosk), `null` (pages without an
/// origin: local ones, and sandboxed frames of anybody), or `*` (any page with an origin, a local one too; `null` is none).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern(Pattern);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    File,
    Null,
    Exactly(Origin),
    /// Hosts that end with a dot and this one's.
    Below(Origin),
}

impl OriginPattern {
    /// `None` for what is no such entry. Below a single name (`https://*.com`) would be most of the web.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self(Pattern::Any));
        }
        if text.eq_ignore_ascii_case(FILE) || text.eq_ignore_ascii_case(NULL) {
            return Some(Self(if text.eq_ignore_ascii_case(FILE) { Pattern::File } else { Pattern::Null }));
        }
        let Some((scheme, rest)) = text.split_once("://*.") else { return Origin::parse(text).map(Pattern::Exactly).map(Self) };
        let parent = Origin::parse(&format!("{scheme}://{rest}"))?;
        let is_name = ip(&parent.host).is_none() && (parent.host.contains('.') || parent.host == "localhost");
        is_name.then_some(Self(Pattern::Below(parent)))
    }

    fn allows(&self, text: &str) -> bool {
        match (&self.0, text) {
            (Pattern::Any | Pattern::File | Pattern::Null, FILE) => true,
            (Pattern::Null, NULL) => true,
            _ => Origin::parse(text).is_some_and(|origin| self.matches(&origin)),
        }
    }

    fn matches(&self, origin: &Origin) -> bool {
        match &self.0 {
            Pattern::Any => true,
            Pattern::File | Pattern::Null => false,
            Pattern::Exactly(one) => one == origin,
            Pattern::Below(parent) => {
                let below = origin.host.strip_suffix(parent.host.as_str()).and_then(|rest| rest.strip_suffix('.'));
                below.is_some() && parent.scheme == origin.scheme && parent.port == origin.port
            }
        }
    }
}

/// An origin as browsers write it (RFC 6454): scheme, host and port, and nothing else. What has a user, a path, an escape, an
/// empty name in its host or a letter beyond ASCII is none, so that no text that looks like an allowed one is taken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    /// `None` where it is the scheme's own.
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let host = without_port(authority);
        let port = match authority.strip_prefix(host)?.strip_prefix(':') {
            // Not `parse` alone: it takes a `+`.
            Some(port) => Some(port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?),
            None => None,
        };
        let port = port.filter(|port| !matches!((scheme, port), ("https" | "wss", 443) | ("http" | "ws", 80)));
        (is_scheme && is_host(host)).then(|| Self { scheme: scheme.to_owned(), host: host.to_owned(), port })
    }

    /// Whether the request is for the page's own host, whatever the port.
    fn is_of_host(&self, headers: &HeaderMap, trusted: bool) -> bool {
        requested_host(headers, trusted).is_some_and(|here| here == self.host)
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    host.split('.').all(is_label)
}

/// Whether the request is for this machine by name or by address: a page elsewhere whose name was made to point
/// here is not.
pub fn asks_for_this_machine(headers: &HeaderMap) -> bool {
    requested_host(headers, false).is_some_and(|host| is_localhost(&host) || ip(&host).is_some())
}

/// The host that the request is for, without its port. A trusted proxy may tell it by `X-Forwarded-Host`, whose first entry is
/// what the browser asked for; that a page could have written it does not matter, since browsers let none do so.
pub fn requested_host(headers: &HeaderMap, trusted: bool) -> Option<String> {
    let forwarded = headers.get(FORWARDED_HOST).filter(|_| trusted);
    let host = forwarded.or_else(|| headers.get(HOST))?.to_str().ok()?.to_ascii_lowercase();
    let first = host.split(',').next().unwrap_or_default().trim();
    Some(without_port(first).to_owned())
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) => {
            host
        }
        _ => authority,
    }
}

fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || ip(host).is_some_and(|ip| ip.is_loopback())
}

fn ip(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn check(policy: &OriginPolicy, host: &str, allowed: &[&str], refused: &[&str]) {
        assert!(policy.allows(&headers(host, None), false), "no Origin: not a browser");
        for origin in allowed {
            assert!(policy.allows(&headers(host, Some(origin)), false), "{origin} should be allowed for {host}");
        }
        for origin in refused {
            assert!(!policy.allows(&headers(host, Some(origin)), false), "{origin} should be refused for {host}");
        }
    }

    #[test]
    fn same_host_is_the_default() {
        let policy = OriginPolicy::from_config(&Config::default());
        check(
            &policy,
            "app.example.com:8082",
            &["https://app.example.com", "http://app.example.com:8080", "http://APP.example.com"],
            &["https://example.com", "https://evil.com", "https://app.example.com.evil.com", "null", "", "app.example.com"],
        );
        check(&policy, "[::1]:8082", &["http://[::1]:8080"], &["http://[::2]:8080"]);
    }

    #[test]
    fn dev_allows_any_localhost_and_no_name_that_points_at_it() {
        let policy = OriginPolicy::from_config(&Config::dev());
        check(
            &policy,
            "localhost:8082",
            &["http://localhost:5173", "http://127.0.0.1:8080", "http://[::1]", "http://app.localhost:3000"],
            &["https://example.com", "http://localhost.evil.com", "null"],
        );
        check(&policy, "192.168.1.5:8082", &["http://192.168.1.5:8080"], &["http://192.168.1.6:8080"]);
        check(&policy, "rebound.evil.com", &[], &["http://rebound.evil.com"]);
    }

    #[test]
    fn a_list_stands_alone() {
        let list = Some("https://app.example.com,https://*.example.org,http://localhost:5173".to_owned());
        let policy =
            OriginPolicy::from_config(&Config::resolve(true, |name| list.clone().filter(|_| name == "ALLOWED_ORIGINS")).unwrap());
        check(
            &policy,
            "ws.example.com",
            &["https://app.example.com", "https://a.example.org", "https://a.b.example.org", "http://localhost:5173"],
            &[
                "http://app.example.com",
                "https://example.org",
                "https://evilexample.org",
                "https://ws.example.com",
                "http://localhost:5174",
            ],
        );
        let any = OriginPolicy::List(vec![OriginPattern::parse("*").unwrap()]);
        check(
            &any,
            "x",
            &["https://anything.example", "capacitor://localhost", "file://"],
            &["null", "", "https://", "file:///etc"],
        );
    }

    #[test]
    fn look_alikes_of_an_allowed_origin_are_refused() {
        let list = ["https://good.example.com", "https://*.example.org", "https://port.example.net:8443"];
        let policy = OriginPolicy::List(list.iter().map(|text| OriginPattern::parse(text).unwrap()).collect());
        check(
            &policy,
            "x",
            &[
                "https://good.example.com",
                "https://good.example.com:443",
                "https://a.example.org",
                "https://port.example.net:8443",
            ],
            &[
                "null",
                "",
                "https://good.example.com.evil.com",
                "https://evilgood.example.com",
                "https://good.example.com.",
                "https://good.example.com@evil.com",
                "https://good@evil.com",
                "https://evil.com#https://good.example.com",
                "https://evil.com/https://good.example.com",
                "https://good.example.com/",
                "https://good.example.com/path",
                "https://good.example.com:444",
                "https://good.example.com:",
                "https://good.example.com:+443",
                "https://good.example.com:443:443",
                "http://good.example.com",
                "wss://good.example.com",
                "https:good.example.com",
                "https://xn--god-1la.example.com",
                "https://good%2eexample.com",
                "https://good.example.com%00.evil.com",
                "https://good.example.com, https://evil.com",
                "https://good.example.com https://evil.com",
                "https://*.example.org",
                "https://example.org",
                "https://evilexample.org",
                "https://.example.org",
                "https://a..example.org",
                "https://evil.com/.example.org",
                "https://evil@a.example.org",
                "https://a.example.org.evil.com",
                "https://a.example.org:8443",
                "http://a.example.org",
                "https://port.example.net",
            ],
        );
        // Not ASCII: a Cyrillic `о`.
        let mut headers = headers("x", None);
        headers.insert(ORIGIN, axum::http::HeaderValue::from_bytes("https://g\u{43e}od.example.com".as_bytes()).unwrap());
        assert!(!policy.allows(&headers, false));
    }

    #[test]
    fn what_is_no_pattern_is_not_taken() {
        for bad in [
            "",
            "file:",
            "a.example",
            "https://",
            "https://a.example/",
            "https://u@a.example",
            "https://*",
            "https://*.com",
            "https://*.1.2.3.4",
            "https://a.*.example.com",
            "*.example.com",
            "https://a.example:port",
            "https://a.example:70000",
        ] {
            assert_eq!(OriginPattern::parse(bad), None, "{bad:?}");
        }
        for good in [
            "*",
            "https://A.example",
            "http://localhost:5173",
            "https://*.localhost",
            "http://[::1]:8080",
            "tauri://localhost",
            "file://",
            "null",
        ] {
            assert!(OriginPattern::parse(good).is_some(), "{good:?}");
        }
    }

    #[test]
    fn local_pages_connect_where_they_are_named() {
        let of = |text: &str| OriginPolicy::List(vec![OriginPattern::parse(text).unwrap()]);
        let others = ["", "file:", "file:///", "file:///x", "file://evil.example", "https://file", "nulL", "https://null"];
        check(&of("file://"), "x", &["file://"], &[&["null"][..], &others[..]].concat());
        check(&of("null"), "x", &["file://", "null"], &others);
        check(&of("https://app.example.com"), "x", &[], &["file://", "null"]);
        check(&OriginPolicy::SameHost, "localhost", &[], &["file://", "null"]);
    }

    #[test]
    fn a_trusted_proxy_tells_the_host_and_nobody_else_does() {
        let mut request = headers("127.0.0.1:8082", Some("https://app.example.com"));
        request.insert("x-forwarded-host", "App.example.com:443, inner.example".parse().unwrap());
        assert!(OriginPolicy::SameHost.allows(&request, true));
        assert!(!OriginPolicy::SameHost.allows(&request, false));
        request.insert("x-forwarded-host", "evil.example, app.example.com".parse().unwrap());
        assert!(!OriginPolicy::SameHost.allows(&request, true));
    }

    #[test]
    fn two_origins_are_none() {
        let mut two = headers("a.example", Some("http://a.example"));
        two.append(ORIGIN, "http://a.example".parse().unwrap());
        assert!(!OriginPolicy::SameHost.allows(&two, false));
    }

    #[test]
    fn this_machine_is_asked_for_by_its_own_names() {
        for host in ["localhost:8080", "127.0.0.1", "[::1]:8080", "192.168.1.5:8080", "demo.localhost"] {
            assert!(asks_for_this_machine(&headers(host, None)), "{host}");
        }
        assert!(!asks_for_this_machine(&headers("rebound.evil.com:8080", None)));
        assert!(!asks_for_this_machine(&HeaderMap::new()));
    }
}
