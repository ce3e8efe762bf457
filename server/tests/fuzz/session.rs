//! The session machine on any sequence of inputs, time among them: what it may never do.
//!
//! Each byte of the input is a decision: what comes next, which of the prepared messages, how much time passes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use osbackend_protocol::{ErrorCode, Identity, Policy, RequestId, RoomName, ServerMessage};
use osbackend_server::auth::{AuthError, Verified, resume::ResumeKeys};
use osbackend_server::config::Config;
use osbackend_server::session::{Asks, Effect, Mode, Refusal, Session, SessionSettings, Traffic, Verdict, Welcome};

const START: u64 = 1_700_000_000_000;
/// Steps of one input: enough for every limit to be met.
const MOST_STEPS: usize = 4_000;
const MAX_ROOMS: usize = 5;
const RATE: u32 = 20;
const BURST: u32 = 30;

/// One input.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let Some(first) = bytes.next() else { return };
    let mut run = Run::new(first);
    run.effects();
    for _ in 0..MOST_STEPS {
        let Some(decision) = bytes.next() else { break };
        run.step(decision, &mut bytes);
        run.effects();
        run.check();
    }
    run.ends();
}

struct Run {
    session: Session,
    now: u64,
    anonymous: bool,
    authenticated: bool,
    closed: bool,
    verifying: bool,
    /// Questions to the backend that are not answered.
    questions: VecDeque<u64>,
    /// Requests by id, with how many answers each had.
    asked: HashMap<u64, u32>,
    next_id: u64,
    /// Requests that were taken: not refused for their rate.
    taken: u32,
}

/// Messages; `ID` becomes a number that was not used before, `@` a room.
const MESSAGES: &[&str] = &[
    r#"{"type":"connect","payload":{"protocol":1,"token":"t","rooms":[{"room":"@"},{"room":"@"},{"room":"bad"}],"batch":true},"id":ID}"#,
    r#"{"type":"connect","payload":{"protocol":1},"id":ID}"#,
    r#"{"type":"connect","payload":{"protocol":2},"id":ID}"#,
    r#"{"type":"auth","payload":{"token":"t"},"id":ID}"#,
    r#"{"type":"join","payload":{"room":"@"},"id":ID}"#,
    r#"{"type":"join","payload":{"room":"@","epoch":"e","offset":7},"id":ID}"#,
    r#"{"type":"leave","payload":{"room":"@"},"id":ID}"#,
    r#"{"type":"publish","payload":{"room":"@","type":"note","data":{}},"id":ID}"#,
    r#"{"type":"publish","payload":{"room":"@","type":"room_joined","data":{}},"id":ID}"#,
    r#"{"type":"metrics:get","payload":{},"id":ID}"#,
    r#"{"type":"presence:get","payload":{"room":"@"},"id":ID}"#,
    r#"{"type":"history:get","payload":{"room":"@"},"id":ID}"#,
    r#"{"type":"heartbeat","id":ID}"#,
    r#"{"type":"custom:thing","payload":{"a":1},"id":ID}"#,
    r#"{"type":"join","payload":{"room":7},"id":ID}"#,
];

const ROOMS: &[&str] =
    &["agent:1", "agent:2", "agent:3", "dashboard:overview", "user:ada", "user:eve", "admin:broadcast", "no:rule"];

/// Without an id, or with one that can't be answered.
const OTHERS: &[&str] =
    &["", "nonsense", "{}", "[]", "[7,{\"type\":\"heartbeat\"},[]]", r#"{"type":"heartbeat"}"#, r#"{"type":7}"#];

impl Run {
    fn new(first: u8) -> Self {
        let mut config = Config::default();
        config.auth.allow_anonymous = first & 1 != 0;
        config.limits.max_rooms = Some(MAX_ROOMS);
        config.limits.message_rate = Some(RATE);
        config.limits.message_burst = Some(BURST);
        config.limits.byte_rate = Some(10_000);
        if first & 2 != 0 {
            config.liveness.heartbeat = Some(Duration::from_millis(700));
        }
        let keys = ResumeKeys::new(&"a secret of at least 32 bytes, kept".into());
        let mut settings = SessionSettings::new(&config, Policy::default(), keys);
        if first & 32 != 0 {
            let asks = first & 64 == 0;
            settings.asks = Asks { connect: asks, join: true, publish: true };
            settings.asks_about_rooms = true;
        }
        let settings = Arc::new(settings);
        let mode = if first & 4 != 0 { Mode::V1 } else { Mode::Plain };
        let token = match first >> 3 & 3 {
            0 => Ok(None),
            1 => Err(Refusal::AddressLimit),
            _ => Ok(Some("t".to_owned())),
        };
        Self {
            session: Session::new(settings, mode, "c-1".into(), token, START),
            now: START,
            anonymous: config.auth.allow_anonymous,
            authenticated: false,
            closed: false,
            verifying: false,
            questions: VecDeque::new(),
            asked: HashMap::new(),
            next_id: 1,
            taken: 0,
        }
    }

    fn step(&mut self, decision: u8, bytes: &mut impl Iterator<Item = u8>) {
        let mut next = || bytes.next().unwrap_or(0);
        match decision % 16 {
            0..=6 => {
                let text = self.message(next(), next());
                self.text(&text);
            }
            7 => {
                let messages: Vec<String> = (0..next() % 8).map(|_| self.message(next(), next())).collect();
                self.text(&format!("[{}]", messages.join(",")));
            }
            8 => self.text(OTHERS[usize::from(next()) % OTHERS.len()]),
            9 => {
                let length = usize::from(next());
                let raw: Vec<u8> = (0..length).map(|_| next()).collect();
                self.text(&String::from_utf8_lossy(&raw));
            }
            10 => self.passes(u64::from(next())),
            11 => self.passes(u64::from(next()) * 1_000),
            12 => self.verified(next()),
            13 => {
                let traffic = Traffic { bytes: u64::from(next()) * 256, frames: u32::from(next() % 16) };
                self.session.on_traffic(traffic, self.now);
            }
            14 => match next() {
                0 => self.session.on_binary(),
                1 => self.session.on_drain(1_000, self.now),
                2..=9 => self.fails_to_join(),
                which @ 10..=199 => self.backend(which),
                _ => self.session.on_sent(self.now),
            },
            _ => {
                self.passes(5_000);
                self.verified(2);
            }
        }
    }

    fn message(&mut self, which: u8, room: u8) -> String {
        let id = self.next_id;
        self.next_id += 1;
        self.asked.insert(id, 0);
        let message = MESSAGES[usize::from(which) % MESSAGES.len()];
        message.replace("ID", &id.to_string()).replace('@', ROOMS[usize::from(room) % ROOMS.len()])
    }

    fn text(&mut self, text: &str) {
        self.session.on_traffic(Traffic { bytes: text.len() as u64, frames: 0 }, self.now);
        self.session.on_text(text, self.now);
    }

    /// As the driver does: from deadline to deadline.
    fn passes(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(at) = self.session.next_deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.session.on_timer(self.now);
            assert!(self.session.next_deadline().is_none_or(|next| next > self.now), "a deadline that is never over");
            self.effects();
        }
        self.now = end;
    }

    fn verified(&mut self, how: u8) {
        let sub = if how % 8 == 7 { "eve" } else { "ada" };
        let role = if how % 4 == 3 { "admin" } else { "user" };
        let result = match how % 16 {
            0 => Err(Refusal::Token(AuthError::Expired)),
            1 => Err(Refusal::UserLimit),
            _ => Ok(Verified {
                identity: Identity::new(sub, Some(role)),
                expires_at_ms: self.now + 1_000 * u64::from(how),
                info: None,
            }),
        };
        self.verifying = false;
        // Closed meanwhile, or unasked: it must change nothing.
        self.authenticated |= self.session.is_verifying() && result.is_ok();
        self.session.on_verified(result, self.now);
    }

    /// The backend answers a question: an old one, a new one, or one that was never asked.
    fn backend(&mut self, how: u8) {
        let ticket = match how % 8 {
            0 => 1_000_000,
            1 => self.questions.pop_back().unwrap_or(0),
            _ => self.questions.pop_front().unwrap_or(0),
        };
        let verdict = match how % 5 {
            0 => Verdict::Deny { code: ErrorCode::Forbidden, message: "no".to_owned() },
            1 => Verdict::Unavailable { retry_after_ms: 100 },
            _ => Verdict::Allow,
        };
        self.session.on_answer(ticket, verdict, self.now);
    }

    fn fails_to_join(&mut self) {
        let room = self.session.rooms().next().cloned();
        if let Some(room) = room {
            self.session.on_join_failed(&room);
        }
    }

    /// Takes what is to be done, and checks each.
    fn effects(&mut self) {
        while let Some(effect) = self.session.poll_effect() {
            assert!(!self.closed, "after the end: {effect:?}");
            let known = self.authenticated || self.anonymous;
            match effect {
                Effect::Send(frame) => {
                    if let ServerMessage::Error(error) = &frame.message {
                        assert!(error.message.len() <= 1024, "{error:?}");
                        let limited = error.code == ErrorCode::RateLimited;
                        assert!(!limited || error.retry_after_ms.is_some_and(|ms| ms > 0), "a rate without a time: {error:?}");
                        self.taken += u32::from(!limited && frame.id.is_some());
                    } else {
                        self.taken += u32::from(frame.id.is_some());
                    }
                    self.answered(frame.id);
                }
                Effect::Welcome(Welcome::Greeting { rooms, id } | Welcome::Authenticated { rooms, id }) => {
                    assert!(known || rooms.iter().all(Result::is_err), "a room for nobody");
                    self.taken += u32::from(id.is_some());
                    self.answered(id);
                }
                Effect::Leave { id, .. } => {
                    assert!(known);
                    self.taken += u32::from(id.is_some());
                    self.answered(id);
                }
                Effect::Join { id, .. }
                | Effect::Publish { id, .. }
                | Effect::Metrics { id, .. }
                | Effect::Presence { id, .. }
                | Effect::History { id, .. }
                | Effect::Custom { id, .. } => {
                    assert!(known, "done for nobody");
                    self.taken += 1;
                    self.answered(id);
                }
                Effect::Verify(_) => {
                    assert!(!self.verifying, "two checks at once");
                    self.verifying = true;
                }
                Effect::Claim => unreachable!("it was let in"),
                Effect::Ask { ticket, .. } => self.questions.push_back(ticket),
                Effect::Ping => {}
                Effect::Close(code) => {
                    assert!((1000..5000).contains(&code.code()) && code.reason().len() < 123);
                    self.closed = true;
                }
            }
        }
    }

    fn answered(&mut self, id: Option<RequestId>) {
        let Some(RequestId::Number(number)) = id else { return };
        let Some(answers) = number.as_u64().and_then(|id| self.asked.get_mut(&id)) else { return };
        *answers += 1;
        assert_eq!(*answers, 1, "request {number} was answered twice");
    }

    fn check(&self) {
        assert_eq!(self.session.is_verifying(), self.verifying && !self.closed, "who waits for what");
        let own: Option<RoomName> = self.session.identity().and_then(|who| RoomName::of_user(&who.sub).ok());
        let rooms = self.session.rooms().filter(|room| Some(*room) != own.as_ref()).count();
        assert!(rooms <= MAX_ROOMS, "{rooms} rooms");
        assert_eq!(self.session.identity().is_some(), self.authenticated);
        if self.closed {
            assert_eq!(self.session.next_deadline(), None, "a timer of nobody");
        }
        let seconds = (self.now - START).div_ceil(1000);
        let most = u64::from(BURST) + u64::from(RATE) * seconds + 1;
        assert!(u64::from(self.taken) <= most, "{} requests in {seconds} s", self.taken);
    }

    /// Every request has its answer, unless the connection ended first or waits.
    fn ends(mut self) {
        while !self.closed && (self.verifying || !self.questions.is_empty()) {
            if self.verifying {
                self.verified(2);
            } else {
                self.backend(2);
            }
            self.effects();
        }
        if !self.closed && !self.session.is_verifying() {
            for (id, answers) in &self.asked {
                assert_eq!(*answers, 1, "request {id}");
            }
        }
    }
}
