//! Questions to the backend: order, what goes on meanwhile, and answers that come too late.

use super::*;
use crate::config::HookEvent;

pub(super) fn asks(events: &[HookEvent]) -> impl Fn(&mut Config) {
    move |config| {
        config.hooks.url = Some("http://backend".to_owned());
        config.hooks.events = events.to_vec();
    }
}

/// A greeted admin `ada` whose joins and publishes are asked about.
fn live() -> Bench {
    let mut bench = Bench::new(Mode::V1, Ok(None), asks(&[HookEvent::Join, HookEvent::Publish]));
    bench.text(r#"{"type":"connect","payload":{"protocol":1,"token":"t"}}"#);
    bench.verified(Ok(user("ada", "admin", START + 3_600_000)));
    assert_eq!(bench.effects(), ["greet user:ada"], "the user's own room is not asked about");
    bench
}

fn join(room: &str) -> String {
    format!(r#"{{"type":"join","payload":{{"room":"{room}"}},"id":"{room}"}}"#)
}

fn publish(room: &str, kind: &str) -> String {
    format!(r#"{{"type":"publish","payload":{{"room":"{room}","type":"{kind}","data":{{}}}}}}"#)
}

fn leave(room: &str) -> String {
    format!(r#"{{"type":"leave","payload":{{"room":"{room}"}}}}"#)
}

impl Bench {
    fn answer(&mut self, ticket: u64, verdict: Verdict) -> Vec<String> {
        self.session.on_answer(ticket, verdict, self.now);
        self.effects()
    }
}

fn no() -> Verdict {
    Verdict::Deny { code: ErrorCode::LimitReached, message: "no seat".to_owned() }
}

fn away() -> Verdict {
    Verdict::Unavailable { retry_after_ms: 700 }
}

#[test]
fn requests_are_asked_at_once_and_take_effect_in_order() {
    let mut bench = live();
    bench.text(&format!("[{},{},{},{}]", join("agent:1"), publish("agent:1", "a"), leave("agent:9"), join("agent:2")));
    assert_eq!(bench.effects(), ["ask 0 join agent:1", "ask 1 publish agent:1 a", "ask 2 join agent:2"]);
    assert!(bench.answer(2, Verdict::Allow).is_empty());
    assert!(bench.answer(1, Verdict::Allow).is_empty());
    let all = bench.answer(0, Verdict::Allow);
    assert_eq!(all, ["join agent:1", "publish agent:1 a", "error not_joined this room is not joined", "join agent:2"]);
}

#[test]
fn a_heartbeat_and_the_timers_wait_for_nobody() {
    let mut bench = live();
    bench.text(&join("agent:1"));
    bench.text(r#"{"type":"heartbeat","id":1}"#);
    assert_eq!(bench.effects(), ["ask 0 join agent:1", "send heartbeat"]);
    assert_eq!(bench.advance(25_000)[0], "ping");
    bench.session.on_traffic(Traffic { bytes: 6, frames: 1 }, bench.now);
    assert_eq!(bench.answer(0, Verdict::Allow), ["join agent:1"]);
}

#[test]
fn a_denial_is_told_and_gives_the_place_back() {
    let mut bench = live();
    bench.text(&join("agent:1"));
    bench.effects();
    assert_eq!(bench.answer(0, no()), ["error limit_reached no seat"]);
    assert!(!bench.session.rooms().any(|room| room.as_str() == "agent:1"));
    bench.text(&publish("agent:1", "a"));
    bench.effects();
    assert!(bench.answer(1, away())[0].starts_with("error unavailable"));
}

#[test]
fn what_the_server_refuses_is_not_asked_about() {
    let mut bench = live();
    bench.text(&join("secret:1"));
    bench.text(&publish("agent:1", "room_joined"));
    let effects = bench.effects();
    assert!(effects[0].starts_with("error forbidden") && effects[1].starts_with("error bad_request"), "{effects:?}");
}

#[test]
fn a_room_that_is_left_meanwhile_is_not_joined() {
    let mut bench = live();
    bench.text(&join("agent:1"));
    bench.text(&leave("agent:1"));
    let effects = bench.effects();
    assert_eq!(effects[0], "ask 0 join agent:1");
    assert!(effects[1].starts_with("error not_joined the room was left"), "{effects:?}");
    assert_eq!(effects[2], "leave agent:1 Requested");
    assert!(bench.answer(0, Verdict::Allow).is_empty(), "nobody waits for it any more");
    bench.text(&join("agent:1"));
    assert_eq!(bench.effects(), ["ask 1 join agent:1"]);
}

#[test]
fn a_member_that_asks_again_and_is_denied_leaves() {
    let mut bench = live();
    bench.text(&join("agent:1"));
    bench.effects();
    bench.answer(0, Verdict::Allow);
    bench.text(&join("agent:1"));
    bench.effects();
    assert!(bench.answer(1, away())[0].starts_with("error unavailable"), "it stays a member");
    bench.text(&join("agent:1"));
    bench.effects();
    assert_eq!(bench.answer(2, no()), ["error limit_reached no seat", "leave agent:1 PermissionLost"]);
}

#[test]
fn rooms_of_connect_are_asked_about_after_the_connection() {
    let mut bench = Bench::new(Mode::V1, Ok(None), asks(&[HookEvent::Connect, HookEvent::Join]));
    bench.text(
        r#"{"type":"connect","payload":{"protocol":1,"token":"t","rooms":[{"room":"agent:1"},{"room":"agent:2"},{"room":"x:1"}]}}"#,
    );
    assert!(!bench.session.is_introduced());
    bench.verified(Ok(user("ada", "user", START + 3_600_000)));
    bench.text(&join("agent:3"));
    assert_eq!(bench.effects(), ["ask 0 connect false"]);
    assert!(bench.session.is_introduced());
    assert_eq!(bench.answer(0, Verdict::Allow), ["ask 1 join agent:1", "ask 2 join agent:2"]);
    assert!(bench.answer(2, no()).is_empty());
    assert_eq!(
        bench.answer(1, Verdict::Allow),
        ["greet agent:1 agent:2!limit_reached x:1!forbidden user:ada", "ask 3 join agent:3"]
    );
}

#[test]
fn who_may_not_connect_is_told_and_closed() {
    for (verdict, close, introduced) in [(no(), "close 4502 forbidden", false), (away(), "close 1013 try_later", true)] {
        let mut bench = Bench::new(Mode::Plain, Ok(Some("t")), asks(&[HookEvent::Connect]));
        bench.verified(Ok(user("ada", "user", START + 3_600_000)));
        bench.effects();
        let effects = bench.answer(0, verdict);
        assert!(effects[0].starts_with("error "), "{effects:?}");
        assert_eq!((effects[1].as_str(), bench.session.is_introduced()), (close, introduced));
    }
}

#[test]
fn a_plain_client_is_asked_about_once_it_is_somebody() {
    let mut bench = Bench::new(Mode::Plain, Ok(None), asks(&[HookEvent::Connect]));
    assert_eq!(bench.effects(), ["greet "], "it has not said who it is");
    let auth = r#"{"type":"auth","payload":{"token":"t"}}"#;
    bench.text(&format!("[{auth},{}]", join("agent:1")));
    bench.verified(Ok(user("ada", "user", START + 3_600_000)));
    assert_eq!(bench.effects(), ["ask 0 connect false"]);
    assert_eq!(bench.answer(0, Verdict::Allow), ["authenticated user:ada", "join agent:1"]);
    bench.text(auth);
    bench.verified(Ok(user("ada", "user", START + 7_200_000)));
    assert_eq!(bench.effects(), ["authenticated "], "a refresh is not asked about");
}

#[test]
fn a_refresh_asks_about_the_rooms_again_before_what_follows_it() {
    let mut bench = live();
    bench.text(&join("agent:1"));
    bench.text(&join("agent:2"));
    bench.effects();
    bench.answer(0, Verdict::Allow);
    bench.answer(1, Verdict::Allow);
    let refresh = |bench: &mut Bench| {
        bench.text(r#"{"type":"auth","payload":{"token":"t"}}"#);
        bench.verified(Ok(user("ada", "admin", START + 7_200_000)));
        bench.text(&publish("agent:1", "a"));
        bench.effects()
    };
    let effects = refresh(&mut bench);
    assert_eq!(effects[0], "authenticated ");
    assert_eq!(effects.len(), 4, "{effects:?}");
    assert!(bench.answer(4, Verdict::Allow).is_empty());
    let (first, second) = if effects[1].ends_with("agent:1") { (2, 3) } else { (3, 2) };
    assert!(bench.answer(first, no()).is_empty());
    assert_eq!(bench.answer(second, Verdict::Allow), ["leave agent:1 PermissionLost", "publish agent:1 a"]);
    // Nobody can be asked whether the other one stays: the client comes back and is asked about anew.
    refresh(&mut bench);
    let effects = bench.answer(5, away());
    assert_eq!(effects[1], "close 1013 try_later");
}

#[test]
fn what_comes_behind_an_auth_is_asked_about_for_the_new_user() {
    let mut bench = Bench::new(Mode::Plain, Ok(None), |config| {
        asks(&[HookEvent::Join])(config);
        config.auth.allow_anonymous = true;
    });
    bench.effects();
    let auth = r#"{"type":"auth","payload":{"token":"t"}}"#;
    bench.text(&format!("[{},{auth},{}]", join("agent:1"), join("agent:2")));
    let effects = bench.effects();
    assert!(effects[0].starts_with("error unauthorized"), "not for anonymous clients: {effects:?}");
    bench.session.on_verified(Ok(user("ada", "user", START + 3_600_000)), bench.now);
    assert_eq!(bench.effects(), ["authenticated user:ada", "ask 0 join agent:2"]);
    bench.text(&format!("[{auth},{}]", join("agent:3")));
    assert!(!bench.session.is_verifying(), "the token waits for its turn");
    assert_eq!(bench.answer(0, Verdict::Allow)[0], "join agent:2");
    assert!(bench.session.is_verifying());
    bench.session.on_verified(Ok(user("ada", "user", START + 3_600_000)), bench.now);
    assert_eq!(bench.effects(), ["authenticated ", "ask 1 join agent:2"]);
    assert_eq!(bench.answer(1, Verdict::Allow), ["ask 2 join agent:3"]);
}

#[test]
fn as_much_waits_as_may_and_then_nothing_is_read_and_no_silence_held_against_it() {
    let mut bench = live();
    (0..31).for_each(|n| bench.text(&join(&format!("agent:{n}"))));
    assert!(!bench.session.is_held());
    bench.text(&join("agent:31"));
    assert!(bench.session.is_held());
    let lines = bench.advance(120_000);
    assert!(!lines.iter().any(|line| line.starts_with("close")), "{lines:?}");
    for ticket in 0..32 {
        bench.answer(ticket, Verdict::Allow);
    }
    assert!(!bench.session.is_held());
    assert_eq!(bench.advance(60_000).last().map(String::as_str), Some("close 4004 no_heartbeat"));
}

#[test]
fn an_answer_after_the_end_does_nothing() {
    let mut bench = live();
    bench.text(&join("agent:1"));
    bench.effects();
    bench.session.on_binary();
    bench.effects();
    assert!(bench.answer(0, Verdict::Allow).is_empty());
    let mut bench = live();
    bench.text(&join("agent:1"));
    bench.effects();
    bench.session.on_closed();
    assert!(bench.answer(0, Verdict::Allow).is_empty());
    assert!(bench.answer(77, Verdict::Allow).is_empty(), "a ticket that was never given");
}

#[test]
fn the_legacy_port_asks_too_before_it_feeds() {
    let start = || {
        let mut bench = Bench::new(Mode::Legacy, Ok(Some("t")), asks(&[HookEvent::Connect, HookEvent::Join]));
        bench.verified(Ok(user("ada", "user", START + 3_600_000)));
        assert_eq!(bench.effects(), ["ask 0 connect false"]);
        assert_eq!(bench.answer(0, Verdict::Allow), ["ask 1 join dashboard:overview"]);
        bench
    };
    assert_eq!(start().answer(1, Verdict::Allow), ["greet dashboard:overview"]);
    assert_eq!(start().answer(1, no())[1], "close 4502 forbidden");
    assert_eq!(start().answer(1, away())[1], "close 1013 try_later");
    let mut late = Bench::new(Mode::Legacy, Ok(None), asks(&[HookEvent::Join]));
    assert_eq!(late.effects(), ["greet "]);
    late.text(r#"{"type":"auth","payload":{"token":"t"}}"#);
    late.verified(Ok(user("ada", "user", START + 3_600_000)));
    late.text(&join("agent:1"));
    assert_eq!(late.effects(), ["ask 0 join dashboard:overview"]);
    let effects = late.answer(0, Verdict::Allow);
    assert_eq!(effects[0], "authenticated dashboard:overview");
    assert!(effects[1].starts_with("error bad_request"), "this port has no other rooms: {effects:?}");
}
