//! Between sessions: token, socket, greeting, backoff, closed.

use super::{
    Machine, Output,
    session::{SILENT, is_silent},
};
use crate::{
    deadlines::Due,
    frames,
    pending::Failure,
    state::{End, Phase, Wait},
};
use osbackend_protocol::{CloseCode, PROTOCOL_VERSION, Reconnect, client_msg::Connect};

/// How long before a close an error of the server may have come that explains it, in milliseconds.
const LAST_WORDS_MS: u64 = 2_000;

impl Machine {
    pub(super) fn connect(&mut self) {
        if matches!(self.phase, Phase::Idle | Phase::Closed(_) | Phase::Backoff(Wait { retry_at: None, .. })) {
            self.refusals.clear();
            self.begin_series();
        }
    }

    pub(super) fn disconnect(&mut self) {
        if matches!(&self.phase, Phase::Closed(end) if !end.gave_up) {
            return;
        }
        self.rooms.forget_auto();
        // Others are to see at once that this user is gone (§5).
        self.drop_socket(CloseCode::Goodbye.code(), CloseCode::Goodbye.reason());
        self.close(None, "disconnected".to_owned(), None);
    }

    pub(super) fn online(&mut self) {
        self.offline = false;
        self.nudge();
    }

    pub(super) fn offline(&mut self) {
        self.offline = true;
        self.probe();
        if let Phase::Backoff(wait) = &self.phase
            && !wait.slot
            && wait.retry_at.is_some()
        {
            let code = wait.code;
            self.wait_offline(code, None);
        }
    }

    /// No socket from here on: a page that has one isn't kept by browsers, and none answers while it is frozen.
    pub(super) fn away(&mut self) {
        if matches!(self.phase, Phase::Token { .. } | Phase::Opening { .. } | Phase::Greeting { .. } | Phase::Live(_)) {
            let slot = self.slot();
            self.drop_socket(CloseCode::Normal.code(), CloseCode::Normal.reason());
            self.end_session();
            self.backoff.grant();
            // A frozen page's timer doesn't ring; should the page never have been frozen, it does.
            let at = slot.unwrap_or_else(|| self.now.saturating_add(self.config.backoff.max_ms));
            self.wait(None, "the page is away".to_owned(), None, Some(at), slot.is_some());
        }
    }

    /// Online, or seen again: what was waiting may go now, and a connection that slept must show that it lives.
    pub(super) fn nudge(&mut self) {
        match &self.phase {
            Phase::Backoff(wait) if !wait.slot && wait.retry_at.is_some() => {
                self.deadlines.clear(Due::Retry);
                // Who looks at the page ten times while the server is away must not have given it up by that.
                self.backoff.grant();
                self.begin_attempt();
            }
            // The rest is over as soon as there is a reason to hope.
            Phase::Closed(end) if end.gave_up && self.not_before.is_none_or(|at| at <= self.now) => self.begin_series(),
            // It slept through its deadline: nobody is waited for any longer.
            Phase::Live(live) if is_silent(live, self.now) => {
                self.drop_socket(CloseCode::NoHeartbeat.code(), CloseCode::NoHeartbeat.reason());
                self.again(None, SILENT.to_owned(), None);
            }
            Phase::Live(_) => self.probe(),
            _ => {}
        }
    }

    /// The next attempt is due: of this series, or after a rest the first of another one.
    pub(super) fn retry(&mut self) {
        if matches!(self.phase, Phase::Closed(_)) { self.begin_series() } else { self.begin_attempt() }
    }

    fn begin_series(&mut self) {
        self.deadlines.clear(Due::Retry);
        self.backoff.reset();
        self.begin_attempt();
    }

    pub(super) fn begin_attempt(&mut self) {
        let attempt = self.backoff.begin();
        self.not_before = None;
        self.phase = Phase::Token { attempt };
        let timeout = self.step_timeout();
        self.deadlines.set(Due::Connecting, timeout);
        self.emit_state();
        self.emit(Output::NeedToken);
    }

    pub(super) fn token(&mut self, answer: Result<Option<String>, String>) {
        match (&mut self.phase, answer) {
            (Phase::Token { attempt }, Ok(token)) => {
                self.phase = Phase::Opening { attempt: *attempt, token };
                let timeout = self.step_timeout();
                self.deadlines.set(Due::Connecting, timeout);
                self.emit(Output::OpenSocket);
            }
            (Phase::Token { .. }, Err(message)) => {
                let mut reason = "no token: ".to_owned();
                reason.push_str(&message);
                self.failed(None, reason, None);
            }
            (Phase::Opening { token, .. }, Ok(newer)) => *token = newer,
            (Phase::Greeting { newer_token, .. }, Ok(newer)) => *newer_token = newer,
            (Phase::Live(_), answer) => self.refresh(answer),
            _ => {}
        }
    }

    /// The application's only token has expired: to send it again is of no use.
    pub(super) fn token_expired(&mut self) {
        if matches!(self.phase, Phase::Token { .. }) {
            self.wait_for_newer_token();
        }
    }

    fn wait_for_newer_token(&mut self) {
        let code = CloseCode::TokenExpired;
        self.end_session();
        self.deadlines.clear(Due::Retry);
        let what_to_do = "the token has expired: call connect() with a newer one, or with a function that gets one";
        self.wait(Some(code.code()), code.reason().to_owned(), Some(what_to_do.to_owned()), None, false);
    }

    /// The server refused the token. A provider may have a better one next time; a text stays what it is.
    pub(super) fn token_refused(&mut self, message: Option<String>) {
        let token = match &self.phase {
            Phase::Greeting { token, .. } => token.as_deref(),
            _ => None,
        };
        let (code, full) = (CloseCode::Unauthorized, self.backoff.full());
        if self.token_is_fixed || self.refusals.refused(token, full) {
            return self.close(Some(code.code()), code.reason().to_owned(), message);
        }
        // The server is there: it is not the attempts to reach it that are used up by this.
        self.backoff.grant();
        self.failed(Some(code.code()), code.reason().to_owned(), message);
    }

    pub(super) fn socket_opened(&mut self) {
        let Phase::Opening { attempt, token } = &mut self.phase else { return };
        let (attempt, token) = (*attempt, token.take());
        let rooms = self.rooms.positions(self.rooms_in_connect);
        let asked = rooms.iter().map(|position| position.room.clone()).collect();
        let connect_id = self.allocate_id();
        let connect = Connect {
            protocol: PROTOCOL_VERSION,
            token: token.clone(),
            resume: self.resume.clone(),
            rooms,
            batch: self.config.batch,
            client: self.config.client.clone(),
            schema: self.config.schema.clone(),
            ..Connect::default()
        };
        self.phase = Phase::Greeting { attempt, token, asked, newer_token: None };
        let timeout = self.step_timeout();
        self.deadlines.set(Due::Connecting, timeout);
        self.emit(Output::Write(frames::connect(connect_id, &connect)));
    }

    pub(super) fn socket_closed(&mut self, code: u16, reason: String) {
        if !self.phase.has_socket() {
            return;
        }
        let message = self.take_last_words();
        let reason = if reason.is_empty() { self.why_lost().to_owned() } else { reason };
        match CloseCode::reconnect(code) {
            Reconnect::No if code == CloseCode::Unauthorized.code() => self.token_refused(message),
            Reconnect::No => self.close(Some(code), reason, message),
            Reconnect::WithNewToken if self.token_is_fixed => self.wait_for_newer_token(),
            // The provider is asked before each attempt anyway, and there is nothing else to wait for.
            Reconnect::WithNewToken => self.again(Some(code), reason, message),
            Reconnect::Yes if code == CloseCode::Restart.code() || self.was_drained() => self.restarted(code, reason, message),
            Reconnect::Yes => self.failed(Some(code), reason, message),
        }
    }

    /// What is said of a socket that ended without a reason. Only what existed can be lost.
    fn why_lost(&self) -> &'static str {
        match &self.phase {
            Phase::Live(_) => "connection lost",
            Phase::Greeting { .. } => "the connection ended before the server's greeting",
            _ => "the server can't be reached",
        }
    }

    /// The error that came right before the close, if one did.
    fn take_last_words(&mut self) -> Option<String> {
        let (at, message) = self.last_words.take()?;
        (self.now.saturating_sub(at) <= LAST_WORDS_MS).then_some(message)
    }

    pub(super) fn socket_closing(&mut self) {
        if let Phase::Live(live) = &mut self.phase {
            live.closing = true;
        }
    }

    /// Token, socket or greeting took too long.
    pub(super) fn step_timed_out(&mut self) {
        let reason = match &self.phase {
            Phase::Token { .. } => "no token in time",
            Phase::Opening { .. } => "the socket didn't open in time",
            Phase::Greeting { .. } => "no greeting in time",
            _ => return,
        };
        self.abandon(reason);
    }

    /// Gives up this connection, whatever its state, and tries another.
    pub(super) fn abandon(&mut self, reason: &'static str) {
        self.drop_socket(CloseCode::NoHeartbeat.code(), CloseCode::NoHeartbeat.reason());
        self.failed(None, reason.to_owned(), None);
    }

    /// A frame that isn't the protocol's: nothing after it can be trusted.
    pub(super) fn malformed(&mut self) {
        if self.phase.has_socket() {
            self.drop_socket(CloseCode::ProtocolError.code(), CloseCode::ProtocolError.reason());
            self.failed(None, "the server sent something that isn't osbackend.v1".to_owned(), None);
        }
    }

    pub(super) fn drop_socket(&mut self, code: u16, reason: &'static str) {
        if self.phase.has_socket() {
            self.emit(Output::CloseSocket { code, reason });
        }
    }

    /// The attempt or the session failed: the next attempt comes after a delay, or there is none.
    pub(super) fn failed(&mut self, code: Option<u16>, reason: String, message: Option<String>) {
        let slot = self.slot();
        self.end_session();
        self.back_off(code, reason, message, slot);
    }

    /// The session ended without fault: the next attempt begins at once, or in the slot that a draining server gave,
    /// unless the session was so short that this would be a loop.
    pub(super) fn again(&mut self, code: Option<u16>, reason: String, message: Option<String>) {
        let slot = self.slot();
        if self.end_session() {
            let at = slot.unwrap_or(self.now);
            self.wait(code, reason, message, Some(at), slot.is_some());
        } else {
            self.back_off(code, reason, message, slot);
        }
    }

    /// The server restarts (§4 `draining`). It spreads its clients by their slots: at its slot a client goes at once, and one that
    /// was given none after a short delay. As the successor may not listen yet, the attempts that follow come quickly.
    pub(super) fn restarted(&mut self, code: u16, reason: String, message: Option<String>) {
        let (slot, was_drained) = (self.slot(), self.was_drained());
        let lived = self.end_session();
        if lived {
            self.backoff.restarting();
        }
        if lived && was_drained {
            let at = slot.unwrap_or(self.now);
            self.wait(Some(code), reason, message, Some(at), slot.is_some());
        } else {
            self.back_off(Some(code), reason, message, slot);
        }
    }

    fn back_off(&mut self, code: Option<u16>, reason: String, message: Option<String>, slot: Option<u64>) {
        if self.offline {
            // It is not the attempts that are at fault: they don't end by this.
            self.backoff.grant();
            return self.wait_offline(code, slot);
        }
        if self.backoff.exhausted() {
            let mut gave_up = "gave up after the last attempt: ".to_owned();
            gave_up.push_str(&reason);
            let retry_at = self.backoff.rest().map(|rest| self.now.saturating_add(rest).max(self.not_before.unwrap_or(0)));
            return self.end(End { code, reason: gave_up, message, gave_up: true, retry_at });
        }
        // A time that the server gave is kept, whoever looks at the page meanwhile.
        let given = slot.max(self.not_before.filter(|at| *at > self.now));
        let at = self.now.saturating_add(self.backoff.fail()).max(given.unwrap_or(0));
        self.wait(code, reason, message, Some(at), given.is_some());
    }

    /// Slowly rather than not at all: who is told to be off line may reach the server all the same (on its own machine, by
    /// a network that the browser doesn't see).
    fn wait_offline(&mut self, code: Option<u16>, slot: Option<u64>) {
        let at = self.now.saturating_add(self.config.backoff.max_ms.max(1)).max(slot.unwrap_or(0));
        self.wait(code, "offline".to_owned(), None, Some(at), slot.is_some());
    }

    fn wait(&mut self, code: Option<u16>, reason: String, message: Option<String>, retry_at: Option<u64>, slot: bool) {
        self.phase = Phase::Backoff(Wait { attempt: self.backoff.upcoming(), retry_at, code, reason, message, slot });
        self.deadlines.put(Due::Retry, retry_at);
        self.emit_state();
    }

    /// Closed, until the application connects again.
    pub(super) fn close(&mut self, code: Option<u16>, reason: String, message: Option<String>) {
        self.end_session();
        // Another user may connect next: this one's session must not be resumed.
        self.resume = None;
        self.end(End { code, reason, message, gave_up: false, retry_at: None });
    }

    /// What waits is refused, not kept in silence.
    fn end(&mut self, end: End) {
        self.deadlines.put(Due::Retry, end.retry_at);
        self.phase = Phase::Closed(end);
        self.emit_state();
        for message in self.pending.give_up() {
            self.refuse(message, Failure::closed());
        }
    }

    /// Whatever belonged to the connection ends. True when it was a session that had lived long enough.
    fn end_session(&mut self) -> bool {
        for due in [Due::Connecting, Due::Liveness, Due::Drain, Due::Refresh, Due::Queue] {
            self.deadlines.clear(due);
        }
        self.rooms.disconnected();
        self.leaves.disconnected();
        for id in self.pending.disconnected() {
            self.emit(Output::RequestFailed { id, failure: Failure::lost() });
        }
        let Phase::Live(live) = &self.phase else { return false };
        self.backoff.session_ended(self.now.saturating_sub(live.since))
    }

    /// Whether the server has said that it goes away.
    fn was_drained(&self) -> bool {
        matches!(&self.phase, Phase::Live(live) if live.slot_at.is_some())
    }

    /// The time that a draining server gave, if it is still to come.
    fn slot(&self) -> Option<u64> {
        match &self.phase {
            Phase::Live(live) => live.slot_at.filter(|at| *at > self.now),
            _ => None,
        }
    }
}
