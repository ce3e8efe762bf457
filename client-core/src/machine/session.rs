//! Within a session: the greeting, answers, the token's refresh, liveness, draining.

use super::{Machine, Output};
use crate::{
    control::{Authenticated, Control, ErrorBody, Greeting},
    deadlines::Due,
    frames,
    pending::Failure,
    rates::Rates,
    state::{Live, Phase, User},
};
use osbackend_protocol::{CloseCode, PROTOCOL_VERSION, client_msg::Resume};

/// How much longer than its heartbeat interval a server may be silent, in milliseconds (§8).
const SILENCE_GRACE_MS: u64 = 10_000;
/// How often a server that promises no heartbeat is asked for one, in milliseconds.
const OWN_HEARTBEAT_MS: u64 = 25_000;
/// How long until a token provider that failed on a live connection is asked again, in milliseconds.
const REFRESH_AGAIN_MS: u64 = 5_000;
/// Why a connection was given up whose server said nothing in time.
pub(super) const SILENT: &str = "the server went silent";
/// What an application is told that has no token for a server which wants one.
const WANTS_A_TOKEN: &str = "the server wants a token and got none: give connect() a token, or a function that gets one";

impl Machine {
    pub(super) fn control(&mut self, control: Control) {
        self.heed(&control);
        match (&self.phase, control) {
            (Phase::Greeting { .. }, Control::Greeting(greeting)) => self.greeted(*greeting),
            // The server closes 4501 behind this; should that be lost, the answer is known all the same.
            (Phase::Greeting { .. }, Control::Error { error, .. }) if error.code == "unauthorized" => {
                self.drop_socket(CloseCode::Normal.code(), CloseCode::Normal.reason());
                self.token_refused(Some(error.message));
            }
            // Whatever else is said before the greeting is about the connection, with an id or without.
            (Phase::Greeting { .. }, Control::Error { error, .. }) | (Phase::Live(_), Control::Error { id: None, error }) => {
                self.last_words = Some((self.now, error.message));
            }
            (Phase::Live(_), Control::Authenticated(user)) => self.authenticated(user),
            (Phase::Live(_), Control::RoomJoined { id, result }) => self.room_joined(id, result),
            (Phase::Live(_), Control::RoomLeft { id, left }) => self.room_left(id, left),
            (Phase::Live(_), Control::Error { id: Some(id), error }) => self.refused(id, error),
            (Phase::Live(live), Control::Resume(grant)) => {
                self.resume = Some(Resume { client_id: live.client_id.clone(), token: grant.token });
            }
            // A text can't be renewed by asking for it.
            (Phase::Live(_), Control::TokenExpiring) if self.token_is_fixed => {}
            (Phase::Live(live), Control::TokenExpiring) => {
                // A provider whose tokens are nearly over always would be asked at every round trip.
                match live.refreshed_at.map(|at| at.saturating_add(REFRESH_AGAIN_MS)) {
                    Some(at) if at > self.now => self.deadlines.set(Due::Refresh, at),
                    _ => self.ask_for_newer_token(),
                }
            }
            (Phase::Live(_), Control::Draining(draining)) => {
                let at = self.now.saturating_add(draining.reconnect_after_ms);
                if let Phase::Live(live) = &mut self.phase {
                    live.slot_at = Some(at);
                }
                self.deadlines.set(Due::Drain, at);
            }
            _ => {}
        }
    }

    /// An error about the connection that says when to try again: should a close follow, the next attempt waits for that time,
    /// and a little longer, so that clients which were refused together don't come back together.
    fn heed(&mut self, control: &Control) {
        let Control::Error { id, error } = control else { return };
        if let Some(ms) = error.retry_after_ms
            && (id.is_none() || matches!(self.phase, Phase::Greeting { .. }))
        {
            let spread = self.backoff.spread(0, ms / 2);
            self.not_before = Some(self.now.saturating_add(ms).saturating_add(spread));
        }
    }

    fn greeted(&mut self, greeting: Greeting) {
        let Phase::Greeting { asked, newer_token, .. } = &mut self.phase else { return };
        let (asked, newer_token) = (std::mem::take(asked), newer_token.take());
        if greeting.protocol != PROTOCOL_VERSION {
            let code = CloseCode::UpgradeRequired;
            self.drop_socket(code.code(), code.reason());
            return self.close(Some(code.code()), code.reason().to_owned(), None);
        }
        if greeting.auth_timeout_ms.is_some() && newer_token.is_none() {
            self.drop_socket(CloseCode::Normal.code(), CloseCode::Normal.reason());
            return self.token_refused(Some(WANTS_A_TOKEN.to_owned()));
        }
        self.refusals.clear();
        self.last_words = None;
        if self.user != greeting.user_id {
            self.forget_auto_but(&greeting.rooms);
            if self.user.is_some() {
                // What one user wanted to say must not be said in another's name.
                for message in self.pending.give_up() {
                    self.refuse(message, Failure::of_another_user());
                }
            }
            self.user.clone_from(&greeting.user_id);
        }
        self.resume = greeting.resume.map(|grant| Resume { client_id: greeting.client_id.clone(), token: grant.token });
        self.deadlines.clear(Due::Connecting);
        let own = greeting.user_id.as_deref().filter(|_| greeting.authenticated);
        let (scope, away_ms) = (scope(own, &greeting.client_id), greeting.downtime_ms.unwrap_or(0));
        self.rates = Rates::new(greeting.limits, self.now);
        self.rooms_in_connect = match greeting.limits.max_rooms {
            0 => usize::MAX,
            most => most as usize,
        };
        for message in self.pending.connected(scope, away_ms) {
            self.refuse(message, Failure::unknown());
        }
        self.phase = Phase::Live(Box::new(Live {
            since: self.now,
            client_id: greeting.client_id,
            user: user(greeting.user_id.filter(|_| greeting.authenticated), greeting.role),
            resumed: greeting.downtime_ms.is_some(),
            downtime_ms: greeting.downtime_ms,
            limits: greeting.limits,
            policy: greeting.policy.unwrap_or_default(),
            heartbeat_ms: greeting.heartbeat_interval_ms,
            heard_at: self.now,
            probed_at: None,
            auth_id: None,
            refreshed_at: None,
            slot_at: None,
            closing: false,
        }));
        self.arm_liveness();
        self.emit_state();
        for result in greeting.rooms {
            self.room_result(&result, &asked);
        }
        self.rooms.ask_for_rest(false);
        if newer_token.is_some() {
            self.refresh(Ok(newer_token));
        }
    }

    fn refused(&mut self, id: u64, error: ErrorBody) {
        let failure = Failure::from(error);
        if let Some(key) = self.rooms.asked_with(id) {
            return self.join_refused(key, failure);
        }
        let at = failure.is_transient().then(|| self.later(&failure));
        if let Some(at) = at.filter(|_| failure.code == "rate_limited") {
            self.rates.pause(at);
        }
        if at.is_some_and(|at| self.pending.again(id, at, &failure)) {
            return;
        }
        if self.pending.settle(id) {
            self.emit(Output::RequestFailed { id, failure });
        } else if at.is_some() && self.leaves.again(id) || self.leaves.settle(id) {
            // It is written again in its turn, or there is nothing to leave.
        } else if let Phase::Live(live) = &mut self.phase
            && live.auth_id == Some(id)
        {
            live.auth_id = None;
            self.refresh_refused(failure);
        }
    }

    fn authenticated(&mut self, answer: Authenticated) {
        let Phase::Live(live) = &mut self.phase else { return };
        live.auth_id = None;
        live.refreshed_at = Some(self.now);
        let before = live.user.take();
        live.user = user(Some(answer.user_id.clone()), answer.role);
        live.policy = answer.policy.unwrap_or_default();
        if let Some(grant) = answer.resume {
            self.resume = Some(Resume { client_id: live.client_id.clone(), token: grant.token });
        }
        self.pending.authenticated(scope(Some(&answer.user_id), &live.client_id));
        let changed = before != live.user;
        self.user = Some(answer.user_id);
        self.deadlines.clear(Due::Refresh);
        if changed {
            self.emit_state();
        }
        for result in answer.rooms {
            self.room_result(&result, &[]);
        }
        self.rooms.ask_for_rest(true);
    }

    /// Asks the provider, and again should it leave that unanswered.
    pub(super) fn ask_for_newer_token(&mut self) {
        let again = self.step_timeout();
        self.deadlines.set(Due::Refresh, again);
        self.emit(Output::NeedToken);
    }

    /// The provider's answer on a live connection.
    pub(super) fn refresh(&mut self, answer: Result<Option<String>, String>) {
        match answer {
            Ok(Some(token)) => {
                let id = self.allocate_id();
                if let Phase::Live(live) = &mut self.phase {
                    live.auth_id = Some(id);
                }
                let timeout = self.step_timeout();
                self.deadlines.set(Due::Refresh, timeout);
                self.emit(Output::Write(frames::auth(id, token)));
            }
            Ok(None) => self.deadlines.clear(Due::Refresh),
            // Asked again until the server closes 4001, 25 s after the expiry.
            Err(_) => self.deadlines.set(Due::Refresh, self.now.saturating_add(REFRESH_AGAIN_MS)),
        }
    }

    fn refresh_refused(&mut self, failure: Failure) {
        if failure.code == "forbidden" {
            // The token is another user's: that is another session.
            self.resume = None;
            self.rooms.forget_auto();
            self.drop_socket(CloseCode::Normal.code(), CloseCode::Normal.reason());
            self.again(None, "another user's token".to_owned(), None);
        } else {
            self.deadlines.set(Due::Refresh, self.now.saturating_add(REFRESH_AGAIN_MS));
            // The application learns of it while there is time to do something, not by the close.
            self.emit(Output::SendRefused { kind: "auth".to_owned(), payload: None, failure });
        }
    }

    pub(super) fn heard(&mut self) {
        if let Phase::Live(live) = &mut self.phase {
            live.heard_at = self.now;
            live.probed_at = None;
        }
    }

    /// Asks the server to say something at once, unless it was asked already.
    pub(super) fn probe(&mut self) {
        let Phase::Live(live) = &mut self.phase else { return };
        if live.probed_at.is_none() {
            live.probed_at = Some(self.now);
            let id = self.allocate_id();
            self.emit(Output::Write(frames::heartbeat(id)));
            self.arm_liveness();
        }
    }

    fn arm_liveness(&mut self) {
        if let Phase::Live(live) = &self.phase {
            let at = silent_until(live);
            self.deadlines.set(Due::Liveness, at);
        }
    }

    /// The deadline passed. It isn't moved with every frame, so first look whether it still is the one.
    pub(super) fn check_liveness(&mut self) {
        let Phase::Live(live) = &self.phase else { return };
        if silent_until(live) > self.now {
            self.arm_liveness();
        } else if is_silent(live, self.now) {
            self.abandon(SILENT);
        } else {
            self.probe();
        }
    }

    /// This client's slot in the drain.
    pub(super) fn slot_came(&mut self) {
        self.drop_socket(CloseCode::Normal.code(), CloseCode::Normal.reason());
        self.restarted(CloseCode::Restart.code(), "the server is restarting".to_owned(), None);
    }
}

/// Whether the server was silent for too long, and has been asked where it promises nothing by itself.
pub(super) fn is_silent(live: &Live, now: u64) -> bool {
    silent_until(live) <= now && (live.heartbeat_ms != 0 || live.probed_at.is_some())
}

/// Until when the server may be silent.
fn silent_until(live: &Live) -> u64 {
    let unasked = match live.heartbeat_ms {
        0 => live.heard_at.saturating_add(OWN_HEARTBEAT_MS),
        interval => live.heard_at.saturating_add(interval).saturating_add(SILENCE_GRACE_MS),
    };
    match live.probed_at {
        Some(at) if live.heartbeat_ms == 0 => at.saturating_add(SILENCE_GRACE_MS),
        Some(at) => at.saturating_add(SILENCE_GRACE_MS).min(unasked),
        None => unasked,
    }
}

/// Whose idempotency keys those of a session are: the user's, or the client's own (§3). A hash (FNV-1a): it is only compared
/// with that of the session before, and a text would have to be owned by each publish.
fn scope(user: Option<&str>, client_id: &str) -> u64 {
    let begin = 0xCBF2_9CE4_8422_2325 ^ u64::from(user.is_some());
    user.unwrap_or(client_id).bytes().fold(begin, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

fn user(id: Option<String>, role: Option<String>) -> Option<User> {
    id.map(|id| User { id, role })
}
