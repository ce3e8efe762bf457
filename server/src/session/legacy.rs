//! A connection on the legacy port (`METRICS_WS_PORT`): fed without a word of the protocol, as the old system did.
//!
//! The server joins `dashboard:overview` where the policy lets the client. Whoever may not have the metrics yet can still
//! authenticate with `auth`, in the time that every connection has; who may not have them at all is closed with 4502.

use super::{
    Effect, Question, RoomRequest, Session, Welcome,
    ask::{Consent, Then},
    deadlines::Timer,
};
use crate::hub::JoinRequest;
use osbackend_protocol::{ClientFrame, ClientMessage, CloseCode, ErrorBody, ErrorCode, RequestId, RoomName};

/// What becomes of the room of the metrics.
pub(super) enum Joins {
    /// It is joined, unless it was already.
    Rooms(Vec<RoomRequest>),
    /// The backend decides.
    Ask(Question),
}

impl Session {
    /// What the greeting is elsewhere: nothing is sent, the first metric is the first message.
    pub(super) fn begin_feed(&mut self, now: u64) {
        self.greeted = true;
        if let Some(interval) = self.settings.heartbeat_ms {
            self.deadlines.set(Timer::Ping, now + interval);
        }
        let may_be_asked_later = self.who.is_none();
        let rooms = if may_be_asked_later && !self.settings.allow_anonymous {
            Err(ErrorBody::new(ErrorCode::Unauthorized, "authenticate first"))
        } else {
            self.join_feed(false)
        };
        let rooms = match rooms {
            Ok(Joins::Rooms(rooms)) => rooms,
            Ok(Joins::Ask(question)) => return self.ask(vec![question], Then::Feed { id: None, auth: false }),
            Err(_) if may_be_asked_later => {
                self.wait_for_user(now);
                Vec::new()
            }
            Err(error) => return self.refuse_feed(None, error, now),
        };
        self.effects.push_back(Effect::Welcome(Welcome::Greeting { rooms, id: None }));
    }

    /// The room of the metrics, unless it is joined already; `answered`: the backend has allowed it.
    pub(super) fn join_feed(&mut self, answered: bool) -> Result<Joins, ErrorBody> {
        // A literal that is a room name, as a test shows.
        let Ok(room) = RoomName::parse("dashboard:overview") else { return Ok(Joins::Rooms(Vec::new())) };
        let consent = self.may_join(&room)?;
        if consent == Consent::Ask && !answered && !self.rooms.contains(&room) {
            return Ok(Joins::Ask(Question::Join { room }));
        }
        let max_clients = self.settings.policy.max_clients(&room);
        let joins = self.rooms.insert(room.clone());
        let request =
            JoinRequest { room, position: None, snapshot: true, max_clients, presence: false, returning: false, own: false };
        Ok(Joins::Rooms(joins.then_some(Ok(request)).into_iter().collect()))
    }

    /// The backend lets this client have the metrics.
    pub(super) fn feed_allowed(&mut self, id: Option<RequestId>, auth: bool, now: u64) {
        match self.join_feed(true) {
            Ok(Joins::Rooms(rooms)) if auth => self.effects.push_back(Effect::Welcome(Welcome::Authenticated { rooms, id })),
            Ok(Joins::Rooms(rooms)) => self.effects.push_back(Effect::Welcome(Welcome::Greeting { rooms, id })),
            Ok(Joins::Ask(_)) => self.on_feed_failed(now),
            Err(error) => self.refuse_feed(id, error, now),
        }
    }

    /// Without the metrics the connection is for nothing.
    pub(super) fn refuse_feed(&mut self, id: Option<RequestId>, error: ErrorBody, now: u64) {
        let later = error.code == ErrorCode::Unavailable;
        self.send_error(id, error, now);
        self.close(if later { CloseCode::TryLater } else { CloseCode::Forbidden });
    }

    /// The room could not be joined: nothing will come.
    pub fn on_feed_failed(&mut self, now: u64) {
        self.send_error(None, ErrorBody::new(ErrorCode::Unavailable, "the metrics can't be read now: try again later"), now);
        self.close(CloseCode::TryLater);
    }

    pub(super) fn legacy_request(&mut self, frame: ClientFrame, now: u64) {
        match frame.message {
            ClientMessage::Auth(_) | ClientMessage::Heartbeat => self.request(frame, now),
            _ => {
                let message = "this port only sends metrics: for anything else connect to /ws on WS_PORT";
                self.send_error(frame.id, ErrorBody::new(ErrorCode::BadRequest, message), now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Mode, Refusal, SessionSettings};
    use super::*;
    use crate::{auth::Verified, auth::resume::ResumeKeys, config::Config, config::Secret};
    use osbackend_protocol::{Identity, Policy, ServerMessage};
    use std::sync::Arc;

    const START: u64 = 1_000_000;

    fn session(token: Option<&str>, anonymous: bool, policy: Policy) -> Session {
        let mut config = Config::default();
        config.auth.allow_anonymous = anonymous;
        let keys = ResumeKeys::new(&Secret::from("a secret of at least 32 bytes, kept"));
        let settings = Arc::new(SessionSettings::new(&config, policy, keys));
        let token: Result<_, Refusal> = Ok(token.map(str::to_owned));
        Session::new(settings, Mode::Legacy, "c-1".into(), token, START)
    }

    fn nobody() -> Policy {
        let mut policy = Policy::default();
        policy.rules.clear();
        policy
    }

    fn verified(session: &mut Session) {
        let identity = Identity::new("ada", Some("user"));
        session.on_verified(Ok(Verified { identity, expires_at_ms: START + 3_600_000, info: None }), START);
    }

    fn effects(session: &mut Session) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(effect) = session.poll_effect() {
            lines.push(match effect {
                Effect::Send(frame) => match frame.message {
                    ServerMessage::Error(error) => format!("error {}", error.code),
                    message => format!("send {}", message.kind()),
                },
                Effect::Welcome(Welcome::Greeting { rooms, .. } | Welcome::Authenticated { rooms, .. }) => {
                    let rooms: Vec<_> = rooms.into_iter().map(|room| room.unwrap().room.to_string()).collect();
                    format!("welcome {}", rooms.join(" "))
                }
                Effect::Close(code) => format!("close {}", code.code()),
                Effect::Verify(_) => "verify".to_owned(),
                Effect::Ping => "ping".to_owned(),
                other => format!("{other:?}"),
            });
        }
        lines
    }

    #[test]
    fn a_user_is_fed_and_told_nothing_else() {
        let mut session = session(Some("t"), false, Policy::default());
        assert_eq!(effects(&mut session), ["verify"]);
        verified(&mut session);
        assert_eq!(effects(&mut session), ["welcome dashboard:overview"]);
        // An hour of pings answered, and nothing said about heartbeats or the token; in the end it has expired.
        let mut said = Vec::new();
        while let Some(at) = session.next_deadline() {
            session.on_traffic(crate::session::Traffic { bytes: 6, frames: 1 }, at);
            session.on_timer(at);
            said.extend(effects(&mut session).into_iter().filter(|line| line != "ping"));
            session.on_traffic(crate::session::Traffic { bytes: 6, frames: 1 }, at);
        }
        assert_eq!(said, ["error token_expired", "close 4001"]);
    }

    #[test]
    fn a_drain_closes_it_at_its_slot_without_a_word() {
        let mut session = session(Some("t"), false, Policy::default());
        verified(&mut session);
        session.on_drain(500, START);
        assert_eq!(effects(&mut session), ["verify", "welcome dashboard:overview"]);
        session.on_timer(START + 500);
        assert_eq!(effects(&mut session), ["close 1012"]);
    }

    #[test]
    fn who_may_not_have_the_metrics_is_closed_for_good() {
        let mut session = session(Some("t"), false, nobody());
        assert_eq!(effects(&mut session), ["verify"]);
        verified(&mut session);
        assert_eq!(effects(&mut session), ["error forbidden", "close 4502"]);
    }

    #[test]
    fn without_a_token_it_waits_for_one_and_not_for_ever() {
        // That anonymous clients may stay does not let them have what the policy keeps for users.
        for anonymous in [false, true] {
            let mut session = session(None, anonymous, Policy::default());
            assert_eq!(effects(&mut session), ["welcome "]);
            session.on_text(r#"{"type":"auth","payload":{"token":"t"}}"#, START);
            assert_eq!(effects(&mut session), ["verify"]);
            verified(&mut session);
            assert_eq!(effects(&mut session), ["welcome dashboard:overview"]);
        }
        let mut session = session(None, false, Policy::default());
        session.on_timer(START + 10_000);
        assert_eq!(effects(&mut session), ["welcome ", "close 4500"]);
    }

    #[test]
    fn anything_else_is_for_another_port() {
        let mut session = session(Some("t"), false, Policy::default());
        verified(&mut session);
        effects(&mut session);
        for text in [
            r#"{"type":"join","payload":{"room":"agent:7"}}"#,
            r#"{"type":"connect","payload":{"protocol":1}}"#,
            r#"{"type":"own","payload":{}}"#,
        ] {
            session.on_text(text, START);
            assert_eq!(effects(&mut session), ["error bad_request"], "{text}");
        }
        session.on_text(r#"{"type":"heartbeat"}"#, START);
        assert_eq!(effects(&mut session), ["send heartbeat"]);
    }
}
