//! Between sessions: token, socket, greeting, backoff, closed.

use super::{
    Machine, Output,
    session::{SILENT, is_silent},
};
use crate::{
    deadlines::Due,
    frames,
    pending::Failure,
    state::{Phase, Wait},
};
use osbackend_protocol::{CloseCode, PROTOCOL_VERSION, Reconnect, client_msg::Connect};

/// Most rooms in one `connect` before a greeting has told the server's own limit.
const ROOMS_IN_CONNECT: usize = 100;

impl Machine {
    pub(super) fn connect(&mut self) {
        if matches!(self.phase, Phase::Idle | Phase::Closed { .. }) {
            self.backoff.reset();
            self.begin_attempt();
        }
    }

    pub(super) fn disconnect(&mut self) {
        if matches!(self.phase, Phase::Closed { .. }) {
            return;
        }
        self.rooms.forget_auto();
        self.drop_socket(CloseCode::Normal.code(), CloseCode::Normal.reason());
        self.close(None, "disconnected".to_owned());
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
            self.wait(None, "the page is away".to_owned(), at, slot.is_some());
        }
    }

    /// Online, or seen again: what was waiting may go now, and a connection that slept must show that it lives.
    pub(super) fn nudge(&mut self) {
        match &self.phase {
            Phase::Backoff(wait) if !wait.slot => {
                self.deadlines.clear(Due::Retry);
                // Who looks at the page ten times while the server is away must not have given it up by that.
                self.backoff.grant();
                self.begin_attempt();
            }
            // It slept through its deadline: nobody is waited for any longer.
            Phase::Live(live) if is_silent(live, self.now) => {
                self.drop_socket(CloseCode::NoHeartbeat.code(), CloseCode::NoHeartbeat.reason());
                self.again(None, SILENT.to_owned());
            }
            Phase::Live(_) => self.probe(),
            _ => {}
        }
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
                self.failed(None, reason);
            }
            (Phase::Opening { token, .. }, Ok(newer)) => *token = newer,
            (Phase::Greeting { newer_token, .. }, Ok(newer)) => *newer_token = newer,
            (Phase::Live(_), answer) => self.refresh(answer),
            _ => {}
        }
    }

    pub(super) fn socket_opened(&mut self) {
        let Phase::Opening { attempt, token } = &mut self.phase else { return };
        let (attempt, token) = (*attempt, token.take());
        let rooms = self.rooms.positions(ROOMS_IN_CONNECT);
        let asked = rooms.iter().map(|position| position.room.clone()).collect();
        let connect_id = self.allocate_id();
        let connect = Connect {
            protocol: PROTOCOL_VERSION,
            token,
            resume: self.resume.clone(),
            rooms,
            batch: self.config.batch,
            client: self.config.client.clone(),
            schema: self.config.schema.clone(),
            ..Connect::default()
        };
        self.phase = Phase::Greeting { attempt, asked, newer_token: None };
        let timeout = self.step_timeout();
        self.deadlines.set(Due::Connecting, timeout);
        self.emit(Output::Write(frames::connect(connect_id, &connect)));
    }

    pub(super) fn socket_closed(&mut self, code: u16, reason: String) {
        if !self.phase.has_socket() {
            return;
        }
        let reason = if reason.is_empty() { "connection lost".to_owned() } else { reason };
        match CloseCode::reconnect(code) {
            Reconnect::No => self.close(Some(code), reason),
            // The provider is asked before each attempt anyway, and there is nothing else to wait for.
            Reconnect::WithNewToken => self.again(Some(code), reason),
            Reconnect::Yes if code == CloseCode::Restart.code() || self.was_drained() => self.restarted(code, reason),
            Reconnect::Yes => self.failed(Some(code), reason),
        }
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
        self.failed(None, reason.to_owned());
    }

    /// A frame that isn't the protocol's: nothing after it can be trusted.
    pub(super) fn malformed(&mut self) {
        if self.phase.has_socket() {
            self.drop_socket(CloseCode::ProtocolError.code(), CloseCode::ProtocolError.reason());
            self.failed(None, "the server sent something that isn't osbackend.v1".to_owned());
        }
    }

    pub(super) fn drop_socket(&mut self, code: u16, reason: &'static str) {
        if self.phase.has_socket() {
            self.emit(Output::CloseSocket { code, reason });
        }
    }

    /// The attempt or the session failed: the next attempt comes after a delay, or there is none.
    pub(super) fn failed(&mut self, code: Option<u16>, reason: String) {
        let slot = self.slot();
        self.end_session();
        self.back_off(code, reason, slot);
    }

    /// The session ended without fault: the next attempt begins at once, or in the slot that a draining server gave,
    /// unless the session was so short that this would be a loop.
    pub(super) fn again(&mut self, code: Option<u16>, reason: String) {
        let slot = self.slot();
        if self.end_session() {
            let at = slot.unwrap_or(self.now);
            self.wait(code, reason, at, slot.is_some());
        } else {
            self.back_off(code, reason, slot);
        }
    }

    /// The server restarts (§4 `draining`). It spreads its clients by their slots: at its slot a client goes at once, and one that
    /// was given none after a short delay. As the successor may not listen yet, the attempts that follow come quickly.
    pub(super) fn restarted(&mut self, code: u16, reason: String) {
        let (slot, was_drained) = (self.slot(), self.was_drained());
        let lived = self.end_session();
        if lived {
            self.backoff.restarting();
        }
        if lived && was_drained {
            let at = slot.unwrap_or(self.now);
            self.wait(Some(code), reason, at, slot.is_some());
        } else {
            self.back_off(Some(code), reason, slot);
        }
    }

    fn back_off(&mut self, code: Option<u16>, reason: String, slot: Option<u64>) {
        if self.offline {
            // It is not the attempts that are at fault: they don't end by this.
            self.backoff.grant();
            return self.wait_offline(code, slot);
        }
        if self.backoff.exhausted() {
            let mut gave_up = "gave up after the last attempt: ".to_owned();
            gave_up.push_str(&reason);
            return self.close(code, gave_up);
        }
        // A time that the server gave is kept, whoever looks at the page meanwhile.
        let given = slot.max(self.not_before.filter(|at| *at > self.now));
        let at = self.now.saturating_add(self.backoff.fail()).max(given.unwrap_or(0));
        self.wait(code, reason, at, given.is_some());
    }

    /// Slowly rather than not at all: who is told to be off line may reach the server all the same (on its own machine, by
    /// a network that the browser doesn't see).
    fn wait_offline(&mut self, code: Option<u16>, slot: Option<u64>) {
        let at = self.now.saturating_add(self.config.backoff.max_ms.max(1)).max(slot.unwrap_or(0));
        self.wait(code, "offline".to_owned(), at, slot.is_some());
    }

    fn wait(&mut self, code: Option<u16>, reason: String, retry_at: u64, slot: bool) {
        self.phase = Phase::Backoff(Wait { attempt: self.backoff.upcoming(), retry_at, code, reason, slot });
        self.deadlines.set(Due::Retry, retry_at);
        self.emit_state();
    }

    /// Closed, until the application connects again: what waits is refused, not kept in silence.
    pub(super) fn close(&mut self, code: Option<u16>, reason: String) {
        self.end_session();
        self.deadlines.clear(Due::Retry);
        // Another user may connect next: this one's session must not be resumed.
        self.resume = None;
        self.phase = Phase::Closed { code, reason };
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
