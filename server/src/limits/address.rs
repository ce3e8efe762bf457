//! Whose connection it is: the client's address behind proxies, and what counts as one address.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Whether this peer's headers about where a request comes from are believed.
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&peer.to_canonical()))
}

/// Whether whoever sent this says for whom.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED_FOR)
}

/// One header name for what every common proxy appends the address of its peer to.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Bits of an IPv6 address that tell a network: within it a client takes any address it likes.
const NETWORK_BITS: u32 = 64;

/// What the limits per address count by: an IPv4 address, or the /64 network of an IPv6 address.
pub fn group(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << NETWORK_BITS))),
        v4 => v4,
    }
}

/// The client's address: `peer`, unless that is one of `trusted`; then the address nearest to it in `X-Forwarded-For` that
/// isn't. Read from the right, because what stands left of the last trusted proxy's entry is whatever the client made up.
/// An entry that is no address ends the search at the proxy that passed it on.
pub fn of_client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(client, trusted) {
        return client;
    }
    // Several headers are one list, in their order (RFC 9110, 5.3).
    for header in headers.get_all(FORWARDED_FOR).iter().rev() {
        let Ok(list) = header.to_str() else { return client };
        for entry in list.rsplit(',') {
            match parse(entry) {
                Some(ip) => client = ip,
                None => return client,
            }
            if !is_trusted(client, trusted) {
                return client;
            }
        }
    }
    client
}

/// An entry: an address, with the port that some proxies add.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let ip = entry.parse::<IpAddr>().ok();
    let with_port = || entry.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    ip.or_else(with_port).or_else(in_brackets).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(peer: &str, headers: &[&[u8]], trusted: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(FORWARDED_FOR, HeaderValue::from_bytes(header).unwrap());
        }
        of_client(ip(peer), &map, &trusted).to_string()
    }

    const PROXIES: &[&str] = &["10.0.0.0/8", "fd00::/8"];

    #[test]
    fn who_is_no_proxy_says_nothing_about_addresses() {
        assert_eq!(client("192.0.2.7", &[b"1.1.1.1"], PROXIES), "192.0.2.7");
        assert_eq!(client("192.0.2.7", &[b"1.1.1.1"], &[]), "192.0.2.7");
        assert_eq!(client("10.0.0.1", &[b"1.1.1.1"], &[]), "10.0.0.1");
    }

    #[test]
    fn the_nearest_address_that_is_no_proxy_is_the_clients() {
        assert_eq!(client("10.0.0.1", &[b"192.0.2.7"], PROXIES), "192.0.2.7");
        assert_eq!(client("10.0.0.1", &[b"6.6.6.6, 192.0.2.7"], PROXIES), "192.0.2.7", "the left one is made up");
        assert_eq!(client("10.0.0.1", &[b"6.6.6.6,192.0.2.7 , 10.1.1.1"], PROXIES), "192.0.2.7");
        assert_eq!(client("10.0.0.1", &[b"10.2.2.2, 10.1.1.1"], PROXIES), "10.2.2.2", "proxies all the way");
        assert_eq!(client("10.0.0.1", &[], PROXIES), "10.0.0.1");
    }

    #[test]
    fn several_headers_are_one_list() {
        assert_eq!(client("10.0.0.1", &[b"6.6.6.6", b"192.0.2.7", b"10.1.1.1"], PROXIES), "192.0.2.7");
        assert_eq!(client("10.0.0.1", &[b"192.0.2.7, 10.1.1.1", b"10.2.2.2"], PROXIES), "192.0.2.7");
    }

    #[test]
    fn garbage_ends_the_search_at_who_passed_it_on() {
        for garbage in [&b"unknown"[..], b"", b"1.1.1.1;2.2.2.2", b"1.1.1", b"\xff\xfe", b"_hidden", b"1.1.1.1:99999", b"-1"] {
            assert_eq!(client("10.0.0.1", &[garbage], PROXIES), "10.0.0.1", "{garbage:?}");
            let behind = [&b"6.6.6.6, "[..], garbage, b", 10.1.1.1"].concat();
            let expected = if garbage.is_ascii() { "10.1.1.1" } else { "10.0.0.1" };
            assert_eq!(client("10.0.0.1", &[&behind], PROXIES), expected, "{garbage:?}");
        }
    }

    #[test]
    fn every_spelling_of_an_address_is_understood() {
        for spelling in ["192.0.2.7", " 192.0.2.7\t", "192.0.2.7:4711", "::ffff:192.0.2.7", "[::ffff:192.0.2.7]:4711"] {
            assert_eq!(client("10.0.0.1", &[spelling.as_bytes()], PROXIES), "192.0.2.7", "{spelling}");
        }
        for spelling in ["2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:4711"] {
            assert_eq!(client("fd00::1", &[spelling.as_bytes()], PROXIES), "2001:db8::7", "{spelling}");
        }
        assert_eq!(client("::ffff:10.0.0.1", &[b"192.0.2.7"], PROXIES), "192.0.2.7", "a mapped proxy is that proxy");
    }

    #[test]
    fn networks_of_ipv6_count_as_one() {
        assert_eq!(group(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(group(ip("::ffff:192.0.2.7")), ip("192.0.2.7"));
        assert_eq!(group(ip("192.0.2.7")), ip("192.0.2.7"));
    }
}
