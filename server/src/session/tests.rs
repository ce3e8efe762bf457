//! Sessions stepped by hand in virtual time: the handshake, the token's life, liveness, limits.

mod ask;
mod connects;
mod order;

use super::*;
use crate::{
    auth::{AuthError, resume::ResumeKeys},
    config::{Config, Secret},
};
use osbackend_protocol::Policy;

mod usage;

const START: u64 = 1_000_000;

struct Bench {
    session: Session,
    now: u64,
}

fn settings(change: impl Fn(&mut Config)) -> Arc<SessionSettings> {
    let mut config = Config::default();
    change(&mut config);
    let keys = ResumeKeys::new(&Secret::from("a secret of at least 32 bytes, kept"));
    Arc::new(SessionSettings::new(&config, Policy::default(), keys))
}

fn user(sub: &str, role: &str, expires_at_ms: u64) -> Verified {
    Verified { identity: Identity::new(sub, Some(role)), expires_at_ms, info: None }
}

impl Bench {
    fn new(mode: Mode, token: Result<Option<&str>, Refusal>, change: impl Fn(&mut Config)) -> Self {
        let token = token.map(|token| token.map(str::to_owned));
        Self { session: Session::new(settings(change), mode, "c-1".into(), token, START), now: START }
    }

    /// A greeted session of `ada` whose token lives an hour.
    fn live(change: impl Fn(&mut Config)) -> Self {
        let mut bench = Self::new(Mode::V1, Ok(None), change);
        bench.text(r#"{"type":"connect","payload":{"protocol":1,"token":"t"}}"#);
        bench.verified(Ok(user("ada", "user", START + 3_600_000)));
        bench.effects();
        bench
    }

    fn text(&mut self, text: &str) {
        self.session.on_text(text, self.now);
    }

    fn verified(&mut self, result: Result<Verified, Refusal>) {
        assert!(matches!(self.session.poll_effect(), Some(Effect::Verify(_))));
        self.session.on_verified(result, self.now);
    }

    /// What was done, as short lines.
    fn effects(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(effect) = self.session.poll_effect() {
            lines.push(match effect {
                Effect::Send(frame) => match frame.message {
                    ServerMessage::Error(error) => format!("error {} {}", error.code, error.message),
                    message => format!("send {}", message.kind()),
                },
                Effect::Welcome(Welcome::Greeting { rooms, .. }) => format!("greet {}", lines_of(&rooms)),
                Effect::Welcome(Welcome::Authenticated { rooms, .. }) => format!("authenticated {}", lines_of(&rooms)),
                Effect::Join { request, .. } => format!("join {}", request.room),
                Effect::Leave { room, reason, .. } => format!("leave {room} {reason:?}"),
                Effect::Publish { room, kind, .. } => format!("publish {room} {kind}"),
                Effect::Close(code) => format!("close {} {}", code.code(), code.reason()),
                Effect::Ask { ticket, question } => format!("ask {ticket} {}", asked(&question)),
                Effect::Ping => "ping".to_owned(),
                other => format!("{other:?}"),
            });
        }
        lines
    }

    /// Steps through every deadline up to `ms` from now.
    fn advance(&mut self, ms: u64) -> Vec<String> {
        let end = self.now + ms;
        let mut lines = Vec::new();
        while let Some(at) = self.session.next_deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.session.on_timer(self.now);
            lines.extend(self.effects());
        }
        self.now = end;
        lines
    }
}

fn asked(question: &Question) -> String {
    match question {
        Question::Connect { resumed } => format!("connect {resumed}"),
        Question::Join { room } => format!("join {room}"),
        Question::Publish { room, kind, .. } => format!("publish {room} {kind}"),
        Question::Presence { room } => format!("presence {room}"),
        Question::History { room } => format!("history {room}"),
    }
}

fn lines_of(rooms: &[RoomRequest]) -> String {
    let of = |room: &RoomRequest| match room {
        Ok(request) => request.room.to_string(),
        Err(refused) => format!("{}!{}", refused.room, refused.error.code),
    };
    rooms.iter().map(of).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_plain_client_without_token_is_greeted_and_has_ten_seconds() {
    let mut bench = Bench::new(Mode::Plain, Ok(None), |_| {});
    assert_eq!(bench.effects(), ["greet "]);
    bench.text(r#"{"type":"join","payload":{"room":"agent:7"},"id":1}"#);
    assert!(bench.effects()[0].starts_with("error unauthorized"));
    assert!(bench.advance(9_999).is_empty());
    assert_eq!(bench.advance(1), ["close 4500 auth_timeout"]);
}

#[test]
fn authenticating_in_time_joins_the_users_own_room_and_stops_the_clock() {
    let mut bench = Bench::new(Mode::Plain, Ok(None), |_| {});
    bench.effects();
    bench.text(r#"{"type":"auth","payload":{"token":"t"},"id":1}"#);
    bench.verified(Ok(user("ada", "user", START + 3_600_000)));
    assert_eq!(bench.effects(), ["authenticated user:ada"]);
    assert!(bench.advance(20_000).is_empty());
}

#[test]
fn an_invalid_token_ends_the_connection_by_every_route() {
    let refusal = || Refusal::Token(AuthError::Signature);
    let mut by_header = Bench::new(Mode::Plain, Ok(Some("bad")), |config| config.auth.allow_anonymous = true);
    by_header.verified(Err(refusal()));
    let mut by_auth = Bench::new(Mode::Plain, Ok(None), |config| config.auth.allow_anonymous = true);
    by_auth.effects();
    by_auth.text(r#"{"type":"auth","payload":{"token":"bad"}}"#);
    by_auth.verified(Err(refusal()));
    let mut by_connect = Bench::new(Mode::V1, Ok(None), |_| {});
    by_connect.text(r#"{"type":"connect","payload":{"protocol":1,"token":"bad"}}"#);
    by_connect.verified(Err(Refusal::Token(AuthError::Expired)));
    for mut bench in [by_header, by_auth, by_connect] {
        let effects = bench.effects();
        assert!(effects[0].starts_with("error unauthorized"), "{effects:?}");
        assert_eq!(effects[1], "close 4501 unauthorized");
    }
}

#[test]
fn a_source_of_tokens_that_is_down_is_no_invalid_token() {
    let mut bench = Bench::new(Mode::Plain, Ok(Some("t")), |_| {});
    bench.verified(Err(Refusal::Token(AuthError::Unavailable)));
    let effects = bench.effects();
    assert!(effects[0].starts_with("error unavailable"));
    assert_eq!(effects[1], "close 1013 try_later");
}

#[test]
fn connect_joins_what_is_allowed_and_tells_what_is_not() {
    let mut bench = Bench::new(Mode::V1, Ok(None), |_| {});
    bench.text(
        r#"{"type":"connect","payload":{"protocol":1,"token":"t","batch":true,"rooms":[
            {"room":"agent:7"},{"room":"user:eve"},{"room":"nope"}]},"id":"x"}"#,
    );
    bench.verified(Ok(user("ada", "user", START + 3_600_000)));
    assert_eq!(bench.effects(), ["greet agent:7 user:eve!forbidden nope!bad_request user:ada"]);
    assert!(bench.session.batch());
}

#[test]
fn what_comes_before_connect_or_in_another_version_ends_it() {
    let mut bench = Bench::new(Mode::V1, Ok(None), |_| {});
    bench.text(r#"{"type":"join","payload":{"room":"agent:7"}}"#);
    assert_eq!(bench.effects()[1], "close 4500 protocol_error");
    let mut bench = Bench::new(Mode::V1, Ok(None), |_| {});
    bench.text(r#"{"type":"connect","payload":{"protocol":2}}"#);
    assert_eq!(bench.effects()[1], "close 4503 upgrade_required");
    let mut bench = Bench::new(Mode::V1, Ok(None), |_| {});
    // Not 4500: a busy machine may be late, and the client is to try again.
    assert_eq!(bench.advance(10_000), ["close 4004 no_heartbeat"]);
}

#[test]
fn what_is_sent_while_a_token_is_checked_waits_for_it() {
    let mut bench = Bench::new(Mode::Plain, Ok(None), |_| {});
    bench.effects();
    bench.text(r#"[{"type":"auth","payload":{"token":"t"}},{"type":"join","payload":{"room":"agent:7"}}]"#);
    assert!(bench.session.is_verifying());
    bench.verified(Ok(user("ada", "user", START + 3_600_000)));
    assert_eq!(bench.effects(), ["authenticated user:ada", "join agent:7"]);
}

#[test]
fn a_token_is_announced_then_expires() {
    let mut bench = Bench::live(|config| config.liveness.heartbeat = None);
    assert_eq!(bench.advance(3_600_000 - 60_000), ["send token_expiring"]);
    assert!(bench.advance(60_000 + 24_999).is_empty());
    let end = bench.advance(1);
    assert!(end[0].starts_with("error token_expired"));
    assert_eq!(end[1], "close 4001 token_expired");
}

#[test]
fn a_refresh_keeps_the_user_and_loses_what_is_no_longer_allowed() {
    let mut bench = Bench::live(|config| config.liveness.heartbeat = None);
    let refresh = |bench: &mut Bench, result| {
        bench.text(r#"{"type":"auth","payload":{"token":"t2"},"id":2}"#);
        bench.verified(result);
        bench.effects()
    };
    let late = START + 7_200_000;
    assert!(refresh(&mut bench, Ok(user("eve", "user", late)))[0].starts_with("error forbidden"));
    assert!(refresh(&mut bench, Err(Refusal::Token(AuthError::Expired)))[0].starts_with("error token_expired"));
    assert_eq!(refresh(&mut bench, Ok(user("ada", "admin", late))), ["authenticated "]);
    bench.text(r#"{"type":"join","payload":{"room":"user:eve"}}"#);
    assert_eq!(bench.effects(), ["join user:eve"]);
    assert_eq!(refresh(&mut bench, Ok(user("ada", "user", late))), ["authenticated ", "leave user:eve PermissionLost"]);
    assert_eq!(bench.advance(3_600_000 + 3_600_000 - 60_000), ["send token_expiring"]);
}

#[test]
fn a_silent_client_is_pinged_told_and_closed() {
    let mut bench = Bench::live(|_| {});
    assert_eq!(bench.advance(25_000), ["ping", "send heartbeat"], "nothing else was sent in that time");
    bench.session.on_traffic(Traffic { bytes: 6, frames: 1 }, bench.now);
    assert_eq!(bench.advance(25_000), ["ping", "send heartbeat"]);
    assert_eq!(bench.advance(10_000), ["close 4004 no_heartbeat"]);
}

#[test]
fn a_dead_client_is_closed_however_often_it_is_pinged() {
    let mut bench = Bench::live(|config| config.liveness.heartbeat = Some(std::time::Duration::from_secs(3)));
    let lines = bench.advance(60_000);
    assert_eq!(lines.last().map(String::as_str), Some("close 4004 no_heartbeat"));
    assert_eq!(lines.iter().filter(|line| *line == "ping").count(), 4, "{lines:?}");
}

#[test]
fn a_connect_that_comes_too_late_may_be_tried_again() {
    let mut bench = Bench::new(Mode::V1, Ok(None), |_| {});
    assert!(bench.advance(9_999).is_empty());
    assert_eq!(bench.advance(1), ["close 4004 no_heartbeat"]);
}

#[test]
fn a_client_hears_something_in_each_interval_wherever_it_begins() {
    let mut bench = Bench::live(|config| config.liveness.pong_timeout = None);
    bench.session.on_sent(bench.now);
    let mut heard = bench.now;
    for step in 0..400 {
        // A message now and then, soon after a ping.
        if step % 75 == 26 {
            bench.session.on_sent(bench.now);
            heard = bench.now;
        }
        if bench.advance(1_000).iter().any(|line| line == "send heartbeat") {
            bench.session.on_sent(bench.now);
            heard = bench.now;
        }
        assert!(bench.now - heard <= 25_000, "silent for {} ms", bench.now - heard);
    }
}

#[test]
fn ten_malformed_frames_end_it_but_bad_payloads_do_not() {
    let mut bench = Bench::live(|_| {});
    for _ in 0..20 {
        bench.text(r#"{"type":"join","payload":{"room":"bad room"}}"#);
    }
    assert!(bench.effects().iter().all(|line| line.starts_with("error bad_request")));
    (0..9).for_each(|_| bench.text("nonsense"));
    assert!(bench.effects().iter().all(|line| line.starts_with("error bad_request")));
    bench.advance(10_001);
    (0..9).for_each(|_| bench.text("[1]"));
    assert!(!bench.effects().iter().any(|line| line.starts_with("close")), "the first nine are forgotten");
    bench.text("{}");
    assert_eq!(bench.effects().last().map(String::as_str), Some("close 4500 protocol_error"));
}

#[test]
fn rates_and_counts_are_bounded_and_say_when_to_try_again() {
    let mut bench = Bench::live(|config| {
        config.limits.max_rooms = Some(2);
        config.limits.message_burst = Some(20);
    });
    let join = |room: &str| format!(r#"{{"type":"join","payload":{{"room":"{room}"}}}}"#);
    bench.text(&join("agent:1"));
    bench.text(&join("agent:2"));
    bench.text(&join("agent:3"));
    let effects = bench.effects();
    assert_eq!(effects[..2], ["join agent:1", "join agent:2"]);
    assert!(effects[2].starts_with("error limit_reached"), "user:ada takes no place: {effects:?}");
    (0..30).for_each(|_| bench.text(r#"{"type":"heartbeat"}"#));
    let effects = bench.effects();
    assert!(effects.iter().any(|line| line.starts_with("error rate_limited")));
    (0..30).for_each(|_| bench.text(r#"{"type":"heartbeat"}"#));
    assert_eq!(bench.effects().last().map(String::as_str), Some("close 4003 rate_limited"));
}

#[test]
fn publishing_is_for_admins_and_checked() {
    let publish =
        |data: &str| format!(r#"{{"type":"publish","payload":{{"room":"agent:7","type":"agent_status_change","data":{data}}}}}"#);
    let good = publish(r#"{"agentId":"7","status":"online"}"#);
    let mut bench = Bench::live(|_| {});
    bench.text(&good);
    assert!(bench.effects()[0].starts_with("error forbidden"));
    bench.text(r#"{"type":"auth","payload":{"token":"t2"}}"#);
    bench.verified(Ok(user("ada", "service_role", START + 7_200_000)));
    bench.effects();
    bench.text(&good);
    bench.text(&publish(r#"{"agentId":"7"}"#));
    bench.text(r#"{"type":"publish","payload":{"room":"agent:7","type":"room_joined","data":{}}}"#);
    let effects = bench.effects();
    assert_eq!(effects[0], "publish agent:7 agent_status_change");
    assert!(effects[1].contains("payload.data.status"), "{effects:?}");
    assert!(effects[2].starts_with("error bad_request payload.type"), "{effects:?}");
}

#[test]
fn a_drain_tells_the_slot_and_closes_at_it() {
    let mut bench = Bench::live(|_| {});
    bench.session.on_drain(5_000, bench.now);
    assert_eq!(bench.effects(), ["send draining"]);
    assert!(bench.advance(4_999).is_empty());
    assert_eq!(bench.advance(1), ["close 1012 restart"]);
    let mut early = Bench::new(Mode::V1, Ok(None), |_| {});
    early.session.on_drain(5_000, START);
    assert_eq!(early.effects(), ["close 1012 restart"]);
    // Found by the fuzzer: who was closed already is told nothing, and waits for nothing.
    bench.session.on_drain(5_000, bench.now);
    assert_eq!((bench.effects(), bench.session.next_deadline()), (Vec::new(), None));
}

#[test]
fn binary_frames_are_not_part_of_the_protocol() {
    let mut bench = Bench::live(|_| {});
    bench.session.on_binary();
    assert_eq!(bench.effects(), ["close 1003 binary_frame"]);
    bench.text(r#"{"type":"heartbeat"}"#);
    assert!(bench.effects().is_empty(), "nothing is answered after the end");
}

/// The resume tokens among the messages of these effects.
fn resume_tokens(session: &mut Session) -> Vec<String> {
    let token = |effect| match effect {
        Effect::Send(SystemFrame { message: ServerMessage::Heartbeat(Heartbeat { resume, .. }), .. }) => resume,
        _ => None,
    };
    std::iter::from_fn(|| session.poll_effect()).filter_map(token).map(|grant| grant.token).collect()
}

#[test]
fn on_a_connection_that_lives_for_days_a_client_always_has_a_resume_token_that_is_good() {
    let mut bench = Bench::new(Mode::V1, Ok(None), |config| {
        config.auth.allow_anonymous = true;
        config.liveness.heartbeat = None;
    });
    bench.text(r#"{"type":"connect","payload":{"protocol":1}}"#);
    bench.effects();
    let greeting = bench.session.welcome(Welcome::Greeting { rooms: vec![], id: None }, vec![], 0, START);
    let ServerMessage::ConnectionEstablished(greeting) = greeting.message else { panic!("{greeting:?}") };
    let mut newest = greeting.resume.expect("granted").token;
    for _ in 0..3 * 24 {
        bench.now += 3_600_000;
        bench.session.on_timer(bench.now);
        newest = resume_tokens(&mut bench.session).pop().unwrap_or(newest);
        assert!(bench.session.settings.resume.verify(&newest, "c-1", None, bench.now));
    }
}
