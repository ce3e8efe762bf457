//! The control endpoint of `cargo xtask demo`: by it the demo's page has its own server killed. On this machine only, for
//! pages of this machine only, under an address that nobody can guess.

use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tiny_http::{Header, Method, Request, Response, Server};

/// Longest and usual time for which the server stays down.
const MOST_DOWN: Duration = Duration::from_secs(60);
const USUAL_DOWN: Duration = Duration::from_secs(3);

/// What the page wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Kill the server, and start it again after that time.
    Kill { down: Duration },
}

/// Answers on a port of its own, on a thread that lives as long as the process; the orders come by `orders`. The address,
/// with its secret.
pub(super) fn start(orders: Sender<Order>) -> Result<String> {
    let server = Server::http(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_err(|error| anyhow!("no control port: {error}"))?;
    let address = server.server_addr().to_ip().ok_or_else(|| anyhow!("the control port has no address"))?;
    let key = random_key()?;
    let url = format!("http://{address}/{key}");
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            let answer = judge(&asked(&request), &key);
            if let Ok(order) = answer {
                // Nobody listens any more: the process is about to end.
                let _ = orders.send(order);
            }
            let origin = header(&request, "Origin");
            // Who asked may be gone.
            let _ = request.respond(response(answer, origin));
        }
    });
    Ok(url)
}

/// 128 random bits in hexadecimal.
pub(super) fn random_key() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system has no randomness: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What of a request counts.
struct Asked {
    post: bool,
    path: String,
    host: Option<String>,
    origin: Option<String>,
}

fn asked(request: &Request) -> Asked {
    Asked {
        post: *request.method() == Method::Post,
        path: request.url().to_owned(),
        host: header(request, "Host"),
        origin: header(request, "Origin"),
    }
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.as_str().to_owned())
}

/// The order that a request is, or its status.
fn judge(Asked { post, path, host, origin }: &Asked, key: &str) -> Result<Order, u16> {
    // A name that was made to point at this machine, or a page from elsewhere.
    if !host.as_deref().is_some_and(is_this_machine) || !origin.as_deref().is_none_or(is_page_of_this_machine) {
        return Err(403);
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if path.strip_prefix('/').and_then(|path| path.strip_suffix("/kill")) != Some(key) {
        return Err(404);
    }
    if !post {
        return Err(405);
    }
    let down = match query.strip_prefix("downMs=") {
        Some(ms) => Duration::from_millis(ms.parse().map_err(|_| 400_u16)?),
        None if query.is_empty() => USUAL_DOWN,
        None => return Err(400),
    };
    if down > MOST_DOWN {
        return Err(400);
    }
    Ok(Order::Kill { down })
}

fn is_page_of_this_machine(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, host)| is_this_machine(host))
}

/// Whether `host`, with a port or without one, is this machine by name or address.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn response(answer: Result<Order, u16>, origin: Option<String>) -> Response<Cursor<Vec<u8>>> {
    let (status, body) = match answer {
        Ok(Order::Kill { down }) => (202, format!("{{\"downMs\":{}}}", down.as_millis())),
        Err(status) => (status, format!("{{\"error\":{{\"status\":{status}}}}}")),
    };
    let mut response = Response::from_string(body).with_status_code(status);
    let origin = origin.filter(|origin| is_page_of_this_machine(origin)).unwrap_or_default();
    for (name, value) in [("Content-Type", "application/json"), ("Access-Control-Allow-Origin", &origin), ("Vary", "Origin")] {
        // Text without line breaks: headers come in without them.
        if let Ok(header) = Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str) -> Asked {
        let (host, origin) = (Some("127.0.0.1:4711".to_owned()), Some("http://localhost:8080".to_owned()));
        Asked { post: true, path: path.to_owned(), host, origin }
    }

    #[test]
    fn a_page_of_this_machine_that_knows_the_key_may_kill() {
        let kill = |path| judge(&asked(path), "key");
        assert_eq!(kill("/key/kill"), Ok(Order::Kill { down: USUAL_DOWN }));
        assert_eq!(kill("/key/kill?downMs=250"), Ok(Order::Kill { down: Duration::from_millis(250) }));
        for (path, status) in [
            ("/kill", 404),
            ("/other/kill", 404),
            ("/key/start", 404),
            ("/key/kill?downMs=soon", 400),
            ("/key/kill?downMs=3600000", 400),
            ("/key/kill?up=1", 400),
        ] {
            assert_eq!(kill(path), Err(status), "{path}");
        }
        assert_eq!(judge(&Asked { post: false, ..asked("/key/kill") }, "key"), Err(405));
    }

    #[test]
    fn pages_and_names_of_elsewhere_are_refused() {
        for origin in ["https://evil.example", "http://localhost.evil.example:8080", "http://127.0.0.1.evil.example", "null"] {
            let asked = Asked { origin: Some(origin.to_owned()), ..asked("/key/kill") };
            assert_eq!(judge(&asked, "key"), Err(403), "{origin}");
        }
        for host in [None, Some("evil.example:4711"), Some("10.0.0.1:4711")] {
            let asked = Asked { host: host.map(str::to_owned), ..asked("/key/kill") };
            assert_eq!(judge(&asked, "key"), Err(403), "{host:?}");
        }
        for host in ["localhost", "127.0.0.1:1", "[::1]:4711", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn keys_are_long_and_never_the_same() {
        let (one, other) = (random_key().expect("a key"), random_key().expect("a key"));
        assert!(one.len() == 32 && one != other, "{one} {other}");
    }
}
