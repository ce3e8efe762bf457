//! Which web pages may connect (§1): browsers name theirs in `Origin`, and it is checked before the upgrade.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use crate::config::Config;

/// Which origins may connect. A request without `Origin` is not a browser's and always may.
#[derive(Clone, Debug)]
pub enum OriginPolicy {
    /// Pages of the host that the request is for, whatever their port: the API and `/ws` have two.
    SameHost,
    /// Pages of this machine (`--dev`), and of the same host where it is an address.
    Localhost,
    /// These patterns only: `https://app.example.com`, `https://*.example.com` or `*`.
    List(Vec<String>),
}

impl OriginPolicy {
    /// The policy that `config` asks for.
    pub fn from_config(config: &Config) -> Self {
        match &config.auth.allowed_origins {
            Some(list) => Self::List(list.clone()),
            None if config.dev => Self::Localhost,
            None => Self::SameHost,
        }
    }

    /// Whether a request with these headers may go on.
    pub fn allows(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        let Some(origin) = origin.to_str().ok().filter(|_| origins.next().is_none()) else { return false };
        let origin = origin.to_ascii_lowercase();
        match self {
            Self::SameHost => same_host(&origin, headers),
            // A name could be made to point at this machine by its owner (DNS rebinding); an address can't.
            Self::Localhost => host_of_origin(&origin)
                .is_some_and(|host| is_localhost(host) || (ip(host).is_some() && same_host(&origin, headers))),
            Self::List(patterns) => patterns.iter().any(|pattern| matches(pattern, &origin)),
        }
    }
}

/// Whether the request is for this machine by name or by address: a page elsewhere whose name was made to point
/// here is not.
pub fn asks_for_this_machine(headers: &HeaderMap) -> bool {
    requested_host(headers).is_some_and(|host| is_localhost(&host) || ip(&host).is_some())
}

/// Whether `text` may stand in `ALLOWED_ORIGINS`: `*`, or scheme and host, with a port or not, the host perhaps
/// beginning with `*.`.
pub(crate) fn is_origin_pattern(text: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let Some((scheme, host)) = text.split_once("://") else { return text == "*" };
    let host = host.strip_prefix("*.").unwrap_or(host);
    !scheme.is_empty()
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !host.is_empty()
        && host.chars().all(ok)
}

fn matches(pattern: &str, origin: &str) -> bool {
    if pattern == "*" || pattern == origin {
        return true;
    }
    let (Some((scheme, host)), Some((origin_scheme, origin_host))) = (pattern.split_once("://"), origin.split_once("://")) else {
        return false;
    };
    let Some(suffix) = host.strip_prefix('*') else { return false };
    scheme == origin_scheme && origin_host.len() > suffix.len() && origin_host.ends_with(suffix)
}

fn same_host(origin: &str, headers: &HeaderMap) -> bool {
    matches!((host_of_origin(origin), requested_host(headers)), (Some(page), Some(here)) if page == here)
}

fn requested_host(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(HOST)?.to_str().ok()?.to_ascii_lowercase();
    Some(without_port(&host).to_owned())
}

fn host_of_origin(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| without_port(authority)).filter(|host| !host.is_empty())
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
        assert!(policy.allows(&headers(host, None)), "no Origin: not a browser");
        for origin in allowed {
            assert!(policy.allows(&headers(host, Some(origin))), "{origin} should be allowed for {host}");
        }
        for origin in refused {
            assert!(!policy.allows(&headers(host, Some(origin))), "{origin} should be refused for {host}");
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
        check(&OriginPolicy::List(vec!["*".into()]), "x", &["https://anything.example", "null"], &[]);
    }

    #[test]
    fn two_origins_are_none() {
        let mut two = headers("a.example", Some("http://a.example"));
        two.append(ORIGIN, "http://a.example".parse().unwrap());
        assert!(!OriginPolicy::SameHost.allows(&two));
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
