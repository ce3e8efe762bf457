//! Liveness and the token of a running session.

use super::*;

#[test]
fn silence_is_death_and_any_frame_is_life() {
    let mut rig = Rig::live(vec![]);
    rig.now += 34_000;
    rig.machine.on_activity(rig.now);
    assert_eq!(rig.advance(34_999), []);
    let outputs = rig.advance(1);
    assert!(matches!(outputs[0], Output::CloseSocket { code: 4004, .. }));
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { .. }));
}

#[test]
fn a_page_that_is_seen_again_checks_at_once() {
    let mut rig = Rig::live(vec![]);
    rig.now += 20_000;
    let probe = writes(rig.input(Input::Visible));
    assert_eq!(probe[0].1, ClientMessage::Heartbeat);
    assert_eq!(rig.input(Input::Online), []);
    assert!(matches!(rig.advance(10_000)[0], Output::CloseSocket { code: 4004, .. }));
    // And a wait is over.
    assert!(matches!(rig.input(Input::Online)[..], [Output::State(ConnectionState::Connecting { .. }), Output::NeedToken]));
}

#[test]
fn a_server_without_heartbeats_is_asked() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    rig.open();
    let mut quiet = greeting(vec![]);
    quiet.heartbeat_interval_ms = 0;
    rig.control(Control::Greeting(Box::new(quiet)));
    assert_eq!(writes(rig.advance(25_000))[0].1, ClientMessage::Heartbeat);
    rig.machine.on_activity(rig.now + 5);
    assert_eq!(rig.advance(10_000), []);
    assert!(!writes(rig.advance(15_005)).is_empty());
    assert!(matches!(rig.advance(10_000)[0], Output::CloseSocket { .. }));
}

#[test]
fn the_token_is_refreshed_in_place() {
    let mut rig = Rig::live(vec![]);
    assert_eq!(rig.control(Control::TokenExpiring), [Output::NeedToken]);
    // The provider fails, and is asked again.
    rig.input(Input::Token(Err("offline".to_owned())));
    assert_eq!(rig.advance(5_000), [Output::NeedToken]);
    let sent = writes(rig.input(Input::Token(Ok(Some("t2".to_owned())))));
    assert!(matches!(&sent[0].1, ClientMessage::Auth(auth) if auth.token == "t2"));
    let user =
        Authenticated { user_id: "u1".to_owned(), role: Some("user".to_owned()), rooms: vec![], policy: None, resume: None };
    assert_eq!(rig.control(Control::Authenticated(user)), []);
    rig.machine.on_activity(rig.now + 20_000);
    assert_eq!(rig.advance(30_000), []);
}

#[test]
fn a_provider_of_short_lived_tokens_is_not_asked_at_every_round_trip() {
    let mut rig = Rig::live(vec![]);
    assert_eq!(rig.control(Control::TokenExpiring), [Output::NeedToken]);
    rig.input(Input::Token(Ok(Some("short".to_owned()))));
    let user =
        Authenticated { user_id: "u1".to_owned(), role: Some("user".to_owned()), rooms: vec![], policy: None, resume: None };
    rig.control(Control::Authenticated(user));
    // The server says at once that this one is about to expire as well.
    assert_eq!(rig.control(Control::TokenExpiring), []);
    assert_eq!(rig.advance(4_999), []);
    assert_eq!(rig.advance(1), [Output::NeedToken]);
}

#[test]
fn a_refused_refresh_is_told_and_tried_again() {
    let mut rig = Rig::live(vec![]);
    rig.control(Control::TokenExpiring);
    let (id, _) = writes(rig.input(Input::Token(Ok(Some("stale".to_owned()))))).remove(0);
    let outputs = rig.control(Control::Error { id: Some(id), error: error("token_expired") });
    assert!(
        matches!(&outputs[..], [Output::SendRefused { kind, failure, .. }] if kind == "auth" && failure.code == "token_expired"),
        "{outputs:?}"
    );
    assert_eq!(rig.advance(5_000), [Output::NeedToken]);
}

#[test]
fn another_users_token_is_another_session() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    rig.advance(6_000);
    let (id, _) = writes(rig.input(Input::Token(Ok(Some("other".to_owned()))))).remove(0);
    let outputs = rig.control(Control::Error { id: Some(id), error: error("forbidden") });
    assert!(matches!(outputs[0], Output::CloseSocket { .. }));
    assert_eq!(outputs.last(), Some(&Output::NeedToken));
    assert_eq!(rig.open().resume, None);
}

#[test]
fn an_anonymous_session_becomes_a_users() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    rig.open();
    let mut anonymous = greeting(vec![]);
    (anonymous.authenticated, anonymous.user_id, anonymous.role) = (false, None, None);
    rig.control(Control::Greeting(Box::new(anonymous)));
    assert!(!rig.machine.can(&room("dashboard:overview"), Action::Join));
    rig.input(Input::Token(Ok(Some("t".to_owned()))));
    let rooms = vec![outcome("user:u1", "e", 0, false)];
    let policy = policy("u1", "admin");
    let user = Authenticated { user_id: "u1".to_owned(), role: Some("admin".to_owned()), rooms, policy, resume: None };
    let outputs = rig.control(Control::Authenticated(user));
    assert!(matches!(&outputs[0], Output::State(ConnectionState::Connected { authenticated: true, .. })));
    assert_eq!(rig.event("user:u1", 1), Delivery::Deliver);
    assert!(rig.machine.can(&room("dashboard:overview"), Action::Publish));
}

#[test]
fn a_refresh_replaces_what_the_user_may_do_and_silence_allows_nothing() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    rig.open();
    let mut admin = greeting(vec![]);
    admin.policy = policy("u1", "admin");
    rig.control(Control::Greeting(Box::new(admin)));
    let can = |rig: &Rig, action| rig.machine.can(&room("agent:7"), action);
    assert!(can(&rig, Action::Join) && can(&rig, Action::Publish));
    let refreshed =
        |policy| Authenticated { user_id: "u1".to_owned(), role: Some("user".to_owned()), rooms: vec![], policy, resume: None };
    rig.control(Control::Authenticated(refreshed(policy("u1", "user"))));
    assert!(can(&rig, Action::Join) && !can(&rig, Action::Publish));
    rig.control(Control::Authenticated(refreshed(None)));
    assert!(!can(&rig, Action::Join));
}
