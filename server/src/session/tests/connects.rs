//! `connect` on a connection that was greeted, and how many rooms it may name.

use super::*;

fn rooms(names: impl IntoIterator<Item = String>) -> String {
    let rooms: Vec<_> = names.into_iter().map(|name| format!(r#"{{"room":"{name}"}}"#)).collect();
    format!(r#"{{"type":"connect","payload":{{"protocol":1,"rooms":[{}]}}}}"#, rooms.join(","))
}

fn agents(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("agent:{n}"))
}

/// `ada`, greeted by the server without a `connect`.
fn plain(change: impl Fn(&mut Config)) -> Bench {
    let mut bench = Bench::new(Mode::Plain, Ok(Some("t")), change);
    bench.verified(Ok(user("ada", "user", START + 3_600_000)));
    assert_eq!(bench.effects(), ["greet user:ada"]);
    bench
}

#[test]
fn one_connect_is_taken_in_both_modes() {
    let mut plain = plain(|_| {});
    plain.text(&rooms(agents(1)));
    assert_eq!(plain.effects(), ["greet agent:0"]);
    let mut v1 = Bench::live(|_| {});
    for bench in [&mut plain, &mut v1] {
        for _ in 0..3 {
            bench.text(&rooms(agents(2)));
            let effects = bench.effects();
            assert!(effects.len() == 1 && effects[0].starts_with("error bad_request already connected"), "{effects:?}");
        }
    }
    let mut anonymous = Bench::new(Mode::Plain, Ok(None), |_| {});
    anonymous.effects();
    anonymous.text(&rooms([String::new()]));
    assert_eq!(anonymous.effects(), ["greet !bad_request"]);
    anonymous.text(&rooms([String::new()]));
    assert!(anonymous.effects()[0].starts_with("error bad_request"));
}

#[test]
fn rooms_over_the_limit_get_one_refusal_together() {
    for bad in [0, 1_000] {
        let mut bench = Bench::new(Mode::V1, Ok(None), |config| config.limits.max_rooms = Some(3));
        let names = ["user:ada".to_owned()].into_iter().chain(agents(1_000)).chain(std::iter::repeat_n("nope".to_owned(), bad));
        let connect = rooms(names).replace("\"protocol\":1", r#""protocol":1,"token":"t""#);
        bench.text(&connect);
        bench.verified(Ok(user("ada", "user", START + 3_600_000)));
        assert_eq!(bench.effects(), ["greet user:ada agent:0 agent:1 agent:2 agent:3!limit_reached"]);
    }
    // Names that are none take places, too.
    let mut bench = plain(|config| config.limits.max_rooms = Some(2));
    bench.text(&rooms(["nope", "", "x"].map(str::to_owned)));
    assert_eq!(bench.effects(), ["greet nope!bad_request !bad_request x!limit_reached"]);
}

#[test]
fn a_connect_after_the_greeting_is_charged_as_joins_are() {
    let mut bench = plain(|config| config.limits.join_burst = 5);
    bench.text(&rooms(agents(7)));
    let greeting = bench.effects().remove(0);
    assert_eq!(greeting.matches("!rate_limited").count(), 2, "{greeting}");
    bench.text(r#"{"type":"join","payload":{"room":"agent:6"}}"#);
    assert!(bench.effects()[0].starts_with("error rate_limited"));
    // Who comes back with all its rooms is not held up.
    let mut back = Bench::new(Mode::V1, Ok(None), |config| config.limits.join_burst = 5);
    back.text(&rooms(agents(90)).replace("\"protocol\":1", r#""protocol":1,"token":"t""#));
    back.verified(Ok(user("ada", "user", START + 3_600_000)));
    assert!(!back.effects()[0].contains("rate_limited"));
}

#[test]
fn a_reader_that_takes_its_answers_slowly_is_not_taken_for_dead() {
    let mut bench = Bench::live(|_| {});
    let history = r#"{"type":"history:get","payload":{"room":"agent:1"},"id":1}"#;
    // Held: nobody asks for the effect until the answers before it are read, and no pong is read either.
    let step = |bench: &mut Bench| {
        bench.now = bench.session.next_deadline().expect("a deadline");
        bench.session.on_timer(bench.now);
    };
    bench.text(history);
    while bench.now < START + 60_000 {
        bench.session.on_sent(bench.session.next_deadline().expect("a deadline") - 1);
        step(&mut bench);
        assert!(!bench.session.is_closed());
    }
    while !bench.session.is_closed() {
        step(&mut bench);
        assert!(bench.now < START + 120_000, "who reads nothing is dead");
    }
    assert_eq!(bench.effects().last().map(String::as_str), Some("close 4004 no_heartbeat"));
}
