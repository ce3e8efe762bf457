//! What one server counts while it works. No label has more values than this source has: never a room, a user, an event's
//! name, an address or a path.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use osbackend_protocol::{CloseCode, ErrorCode};
use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};
use prometheus_client::registry::{Registry, Unit};

use super::Seldom;
use super::counter::{Durations, Sharded};
use crate::auth::AuthError;
use crate::session::Mode;

type Label = (&'static str, &'static str);
type Counts<const LABELS: usize> = Family<[Label; LABELS], Counter>;
type Times<const LABELS: usize> = Family<[Label; LABELS], Histogram, fn() -> Histogram>;
/// Of an HTTP request: method, route, status.
type HttpLabels = [(&'static str, String); 3];

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// This server, with a close code.
    Server,
    /// The client, or the network: without a close frame the code is 1006.
    Client,
}

/// How long custom handlers, webhooks and checks of tokens take, in seconds: they may ask another server.
const WAITS: [f64; 10] = [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
/// RFC 6455: a connection that ended without a close frame.
pub const ABNORMAL: u16 = 1006;

/// The codes that are labels by themselves; a client may send any other.
const CLOSE_LABELS: [(u16, &str); 22] = [
    (1000, "1000"),
    (1001, "1001"),
    (1002, "1002"),
    (1003, "1003"),
    (1005, "1005"),
    (ABNORMAL, "1006"),
    (1007, "1007"),
    (1009, "1009"),
    (1011, "1011"),
    (1012, "1012"),
    (1013, "1013"),
    (4000, "4000"),
    (4001, "4001"),
    (4002, "4002"),
    (4003, "4003"),
    (4004, "4004"),
    (4005, "4005"),
    (4500, "4500"),
    (4501, "4501"),
    (4502, "4502"),
    (4503, "4503"),
    (4505, "4505"),
];

/// The counts of one server; several servers in one process have each their own.
#[derive(Debug)]
pub struct Meters {
    /// From the decision to publish until the event is queued for every member.
    pub publish_time: Durations,
    /// Which log lines about clients are told.
    pub seldom: Seldom,
    connections: [AtomicI64; 3],
    opened: [Sharded; 3],
    closes: Counts<2>,
    errors: Counts<1>,
    auth: Counts<2>,
    refused: Counts<1>,
    http: Family<HttpLabels, Counter>,
    verify_time: Times<1>,
    handler_time: Times<1>,
    engine_errors: AtomicU64,
    engine_error_logged: AtomicU64,
}

impl Default for Meters {
    fn default() -> Self {
        let waits: fn() -> Histogram = || Histogram::new(WAITS);
        let meters = Self {
            publish_time: Durations::default(),
            seldom: Seldom::default(),
            connections: Default::default(),
            opened: Default::default(),
            closes: Family::default(),
            errors: Family::default(),
            auth: Family::default(),
            refused: Family::default(),
            http: Family::default(),
            verify_time: Family::new_with_constructor(waits),
            handler_time: Family::new_with_constructor(waits),
            engine_errors: AtomicU64::new(0),
            engine_error_logged: AtomicU64::new(0),
        };
        // What an alert watches is there from the start: a series that begins with its first event has no rate.
        for code in CloseCode::ALL {
            drop(meters.closes.get_or_create(&close_labels(EndedBy::Server, code.code())));
        }
        drop(meters.closes.get_or_create(&close_labels(EndedBy::Client, ABNORMAL)));
        for code in ErrorCode::ALL {
            drop(meters.errors.get_or_create(&[("code", code.name())]));
        }
        for via in [Via::Socket, Via::Api] {
            for result in ["ok", "expired", "refused", "unavailable"] {
                drop(meters.auth.get_or_create(&[("via", via.name()), ("result", result)]));
            }
        }
        meters
    }
}

/// By which door a token came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// `/ws`, by any route of §1.
    Socket,
    /// The HTTP API.
    Api,
}

impl Via {
    fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Api => "api",
        }
    }
}

impl Meters {
    /// A connection begins.
    pub fn connected(&self, mode: Mode) {
        self.connections[mode_index(mode)].fetch_add(1, Ordering::Relaxed);
        self.opened[mode_index(mode)].add(1);
    }

    /// A connection that was counted is gone.
    pub fn disconnected(&self, mode: Mode) {
        self.connections[mode_index(mode)].fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections now and since the start, by mode.
    pub fn connections(&self) -> [(&'static str, i64, u64); 3] {
        [("plain", Mode::Plain), ("v1", Mode::V1), ("legacy", Mode::Legacy)].map(|(name, mode)| {
            let index = mode_index(mode);
            (name, self.connections[index].load(Ordering::Relaxed), self.opened[index].get())
        })
    }

    /// A connection ended with this close code.
    pub fn closed(&self, by: EndedBy, code: u16) {
        self.closes.get_or_create(&close_labels(by, code)).inc();
    }

    /// A request was answered with an error.
    pub fn error(&self, code: ErrorCode) {
        self.errors.get_or_create(&[("code", code.name())]).inc();
    }

    /// A token was checked, in so much time.
    pub fn verified<T>(&self, via: Via, result: &Result<T, AuthError>, took: Duration) {
        let result = auth_result(result.as_ref().err());
        self.auth.get_or_create(&[("via", via.name()), ("result", result)]).inc();
        self.verify_time.get_or_create(&[("result", result)]).observe(took.as_secs_f64());
    }

    /// A token was not even checked: several that differ, or one that is no text.
    pub fn token_refused(&self, via: Via, error: &AuthError) {
        self.auth.get_or_create(&[("via", via.name()), ("result", auth_result(Some(error)))]).inc();
    }

    /// A connection was not let in.
    pub fn not_admitted(&self, reason: &'static str) {
        self.refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// A custom handler ended: `ok`, `error` or `panic`.
    pub fn handled(&self, outcome: &'static str, took: Duration) {
        self.handler_time.get_or_create(&[("outcome", outcome)]).observe(took.as_secs_f64());
    }

    /// An HTTP request was answered. `route` is the route's template, never the path.
    pub fn requested(&self, method: &axum::http::Method, route: String, status: u16) {
        let method = match method.as_str() {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
            _ => "other".to_owned(),
        };
        self.http.get_or_create(&[("method", method), ("route", route), ("status", status.to_string())]).inc();
    }

    /// The engine did not take an event. `true` for the first in each second: the others are counted and not logged.
    pub fn engine_failed(&self, now_ms: u64) -> bool {
        self.engine_errors.fetch_add(1, Ordering::Relaxed);
        let logged = self.engine_error_logged.load(Ordering::Relaxed);
        now_ms >= logged.saturating_add(1000)
            && self.engine_error_logged.compare_exchange(logged, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Events that the engine did not take.
    pub fn engine_errors(&self) -> u64 {
        self.engine_errors.load(Ordering::Relaxed)
    }

    /// Adds what is kept in families to a registry; the other counts are read by [`super::prometheus`].
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("closes", "Connections that ended, by close code and by who ended them", self.closes.clone());
        registry.register("errors", "Requests over sockets that were answered with an error, by code", self.errors.clone());
        registry.register("auth", "Tokens, by door and result", self.auth.clone());
        registry.register("refused_connections", "Connections that were not let in, by reason", self.refused.clone());
        registry.register("http_requests", "HTTP requests by method, route and status", self.http.clone());
        let help = "Time to check a token, by result";
        registry.register_with_unit("auth_duration", help, Unit::Seconds, self.verify_time.clone());
        let help = "Time of custom handlers, by outcome";
        registry.register_with_unit("handler_duration", help, Unit::Seconds, self.handler_time.clone());
    }
}

fn mode_index(mode: Mode) -> usize {
    match mode {
        Mode::Plain => 0,
        Mode::V1 => 1,
        Mode::Legacy => 2,
    }
}

fn close_labels(by: EndedBy, code: u16) -> [Label; 2] {
    let name = CLOSE_LABELS.iter().find(|(known, _)| *known == code).map_or("other", |(_, name)| name);
    let by = match by {
        EndedBy::Server => "server",
        EndedBy::Client => "client",
    };
    [("code", name), ("by", by)]
}

fn auth_result(error: Option<&AuthError>) -> &'static str {
    match error.map(AuthError::code) {
        None => "ok",
        Some(ErrorCode::TokenExpired) => "expired",
        Some(ErrorCode::Unavailable) => "unavailable",
        Some(_) => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_code_of_the_protocol_has_a_label_and_what_clients_invent_has_one_in_common() {
        for code in CloseCode::ALL {
            assert_eq!(close_labels(EndedBy::Server, code.code())[0].1, code.code().to_string());
        }
        for invented in [1004, 3000, 4900, 4999] {
            assert_eq!(close_labels(EndedBy::Client, invented)[0].1, "other");
        }
    }

    #[test]
    fn an_engine_that_fails_all_the_time_is_logged_once_a_second() {
        let meters = Meters::default();
        let logged = (0..3000).filter(|ms| meters.engine_failed(1_000_000 + ms)).count();
        assert_eq!((logged, meters.engine_errors()), (3, 3000));
    }
}
