//! A client that comes while its address or its user has all the connections it may have: it is let in where it resumes the
//! session of an older connection, whose place it takes over (§6).

use super::{Mode, Purpose, Session, State, deadlines::Timer, effect::Effect, effect::Refusal};
use osbackend_protocol::{RequestId, client_msg::Connect};

/// How long such a client has for its `connect`, in milliseconds: few are let in at a time.
const PATIENCE_MS: u64 = 3_000;

impl Session {
    /// Refuses the client, unless its `connect` resumes a session: whether an older connection has a place for it is then asked
    /// by [`Effect::Claim`], or by the check of its token. To be called on a session that has just begun.
    pub fn only_in_place_of_an_older(&mut self, refusal: Refusal, now: u64) {
        match (&self.state, self.mode) {
            (State::Closed, _) => {}
            (State::AwaitConnect, Mode::V1) => {
                self.unless_resumed = Some(refusal);
                let patience = self.settings.handshake_timeout_ms.map_or(PATIENCE_MS, |timeout| timeout.min(PATIENCE_MS));
                self.deadlines.set(Timer::Handshake, now + patience);
            }
            // The server speaks first: such a client can't say what it resumes.
            _ => self.refuse(None, &refusal, now),
        }
    }

    /// The client whose session the `connect` that is being looked at resumes, were it `user`'s (or nobody's); `None` where it
    /// resumes none, or its resume token is no good.
    pub fn resumed_client(&self, user: Option<&str>, now: u64) -> Option<&str> {
        let State::Verifying { purpose: Purpose::Greet(connect, _), .. } = &self.state else { return None };
        let resume = connect.as_ref().as_ref()?.resume.as_ref()?;
        self.settings.resume.verify(&resume.token, &resume.client_id, user, now).then_some(resume.client_id.as_str())
    }

    /// Looks at a `connect` for which there is no place but an older connection's; hands it back where it is to go on as any
    /// other does.
    pub(super) fn claim(&mut self, connect: Connect, id: Option<RequestId>, now: u64) -> Option<(Connect, Option<RequestId>)> {
        let Some(refusal) = self.unless_resumed.take() else { return Some((connect, id)) };
        if connect.resume.is_none() {
            self.refuse(id, &refusal, now);
            return None;
        }
        if connect.token.is_some() || self.token.is_some() {
            // The driver looks for the place once it knows the user.
            return Some((connect, id));
        }
        self.state = State::Verifying { purpose: Purpose::Greet(Box::new(Some(connect)), id), held: Default::default() };
        self.effects.push_back(Effect::Claim);
        None
    }

    /// The answer to [`Effect::Claim`].
    pub fn on_claimed(&mut self, result: Result<(), Refusal>, now: u64) {
        self.after_check(now, |session, purpose| match (purpose, result) {
            (Purpose::Greet(connect, id), Ok(())) => session.greet(*connect, id, now),
            (Purpose::Greet(_, id) | Purpose::Auth(id), Err(refusal)) => session.refuse(id, &refusal, now),
            (Purpose::Auth(_), Ok(())) => {}
        });
    }
}
