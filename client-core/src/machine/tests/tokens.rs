//! Tokens that are refused, expired or missing, and what the application is told of it.

use super::*;

/// One attempt with this token, which the server refuses.
fn refused(rig: &mut Rig, token: &str) {
    assert_eq!(rig.input(Input::Token(Ok(Some(token.to_owned())))), [Output::OpenSocket]);
    rig.input(Input::SocketOpened);
    rig.control(Control::Error { id: Some(1), error: error("unauthorized") });
}

#[test]
fn a_provider_whose_token_was_refused_is_asked_again_with_the_servers_words_in_the_state() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    refused(&mut rig, "stale");
    let ConnectionState::Reconnecting { attempt, code, reason, message, retry_at_ms } = rig.machine.state() else { panic!() };
    assert_eq!((attempt, code, reason.as_str(), message.as_deref()), (1, Some(4501), "unauthorized", Some("m")));
    assert!((2_500..=5_000).contains(&(retry_at_ms.unwrap() - rig.now)));
    assert_eq!(rig.ring().last(), Some(&Output::NeedToken));
    rig.open();
    rig.control(Control::Greeting(Box::new(greeting(vec![]))));
    assert!(matches!(rig.machine.state(), ConnectionState::Connected { .. }));
}

#[test]
fn three_different_answers_that_were_refused_in_a_row_are_final() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    for token in ["a", "b"] {
        refused(&mut rig, token);
        rig.ring();
    }
    refused(&mut rig, "c");
    assert_eq!(rig.machine.state(), closed(Some(4501), "unauthorized", Some("m")));
    assert_eq!((rig.machine.next_deadline(), rig.input(Input::Online)), (None, vec![]));
    // The application may try anew, and has the same patience then.
    rig.input(Input::Connect);
    refused(&mut rig, "d");
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { .. }));
}

#[test]
fn one_answer_is_final_after_a_full_backoff_and_uses_up_no_attempts() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    let begin = rig.now;
    for _ in 1..10 {
        refused(&mut rig, "same");
        assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { attempt: 1, .. }));
        rig.ring();
    }
    refused(&mut rig, "same");
    assert_eq!(rig.machine.state(), closed(Some(4501), "unauthorized", Some("m")));
    assert!(rig.now - begin >= 100_000, "{} ms", rig.now - begin);
}

#[test]
fn a_token_that_is_taken_makes_up_for_the_refusals_before() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    for token in ["a", "b"] {
        refused(&mut rig, token);
        rig.ring();
    }
    rig.open();
    rig.control(Control::Greeting(Box::new(greeting(vec![]))));
    rig.advance(6_000);
    rig.close(1006);
    rig.ring();
    refused(&mut rig, "c");
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { code: Some(4501), .. }));
}

#[test]
fn a_fixed_token_that_expired_is_not_sent_again_until_there_is_a_newer_one() {
    let mut rig = Rig::live(vec![]);
    rig.input(Input::TokenIsFixed(true));
    assert_eq!(rig.control(Control::TokenExpiring), []);
    rig.advance(6_000);
    rig.close(4001);
    let held = |rig: &Rig| {
        let state = rig.machine.state();
        let ConnectionState::Reconnecting { code: Some(4001), retry_at_ms: None, message: Some(_), reason, .. } = state else {
            panic!("{state:?}")
        };
        assert_eq!((reason.as_str(), rig.machine.next_deadline()), ("token_expired", None));
    };
    held(&rig);
    for input in [Input::Visible, Input::Online, Input::Offline, Input::Online, Input::Timer] {
        assert_eq!(rig.input(input), []);
    }
    // Where the shell knows that the text is still the expired one, it says so instead of sending it.
    assert_eq!(rig.input(Input::Connect).last(), Some(&Output::NeedToken));
    rig.input(Input::TokenExpired);
    held(&rig);
    rig.input(Input::Connect);
    assert_eq!(rig.open().token.as_deref(), Some("t"));
}

#[test]
fn who_has_no_token_for_a_server_that_wants_one_is_told_so_at_the_greeting() {
    let greeted = |fixed| {
        let mut rig = Rig::new();
        rig.input(Input::TokenIsFixed(fixed));
        rig.input(Input::Connect);
        rig.input(Input::Token(Ok(None)));
        rig.input(Input::SocketOpened);
        let nobody = Greeting { authenticated: false, user_id: None, auth_timeout_ms: Some(10_000), ..greeting(vec![]) };
        assert!(matches!(rig.control(Control::Greeting(Box::new(nobody)))[0], Output::CloseSocket { .. }));
        rig.machine.state()
    };
    let ConnectionState::Closed { code: Some(4501), message: Some(message), .. } = greeted(true) else { panic!() };
    assert!(message.contains("wants a token"), "{message}");
    assert!(matches!(greeted(false), ConnectionState::Reconnecting { code: Some(4501), .. }));
}

#[test]
fn what_the_server_said_right_before_a_close_explains_it() {
    let mut rig = Rig::live(vec![]);
    rig.advance(6_000);
    rig.control(Control::Error { id: None, error: error("bad_request") });
    rig.advance(2_001);
    rig.close(4505);
    assert_eq!(rig.machine.state(), closed(Some(4505), "connection lost", None));
    let mut rig = Rig::live(vec![]);
    rig.control(Control::Error { id: None, error: error("limit_reached") });
    rig.input(Input::SocketClosed { code: 4505, reason: "disconnected".to_owned() });
    assert_eq!(rig.machine.state(), closed(Some(4505), "disconnected", Some("m")));
}

#[test]
fn only_a_connection_that_existed_is_lost() {
    let reason = |rig: &mut Rig| {
        rig.close(1006);
        match rig.machine.state() {
            ConnectionState::Reconnecting { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    };
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    rig.input(Input::Token(Ok(None)));
    assert_eq!(reason(&mut rig), "the server can't be reached");
    rig.ring();
    rig.open();
    assert_eq!(reason(&mut rig), "the connection ended before the server's greeting");
    rig.ring();
    rig.open();
    rig.control(Control::Greeting(Box::new(greeting(vec![]))));
    assert_eq!(reason(&mut rig), "connection lost");
}

#[test]
fn what_waits_is_not_sent_in_another_users_name() {
    let mut rig = Rig::live(vec![]);
    rig.advance(6_000);
    rig.close(1006);
    rig.input(Input::Send { kind: "pay".to_owned(), payload: None });
    let id = rig.machine.request("ask", None, None, rig.now);
    rig.ring();
    rig.open();
    let outputs = rig.control(Control::Greeting(Box::new(Greeting { user_id: Some("u2".to_owned()), ..greeting(vec![]) })));
    assert!(outputs.iter().any(|output| matches!(output, Output::SendRefused { kind, .. } if kind == "pay")), "{outputs:?}");
    assert!(outputs.iter().any(|output| matches!(output, Output::RequestFailed { id: failed, .. } if *failed == id)));
    assert_eq!(writes(outputs), []);
    // From nobody to somebody the same person goes on.
    let mut rig = Rig::new();
    rig.input(Input::Send { kind: "pay".to_owned(), payload: None });
    rig.input(Input::Connect);
    rig.open();
    assert_eq!(writes(rig.control(Control::Greeting(Box::new(greeting(vec![]))))).len(), 1);
}
