//! Sessions whose clients send too much: what counts, what is answered, when it ends.

use super::*;

#[test]
fn frames_that_nobody_answers_count_and_a_flood_of_them_closes() {
    let mut bench = Bench::live(|config| config.limits.message_burst = Some(20));
    let pings = |frames| Traffic { bytes: 6, frames };
    // One more was `connect`.
    bench.session.on_traffic(pings(18), bench.now);
    assert!(bench.effects().is_empty());
    bench.text(r#"{"type":"heartbeat"}"#);
    assert_eq!(bench.effects(), ["send heartbeat"]);
    bench.text(r#"{"type":"heartbeat"}"#);
    assert!(bench.effects()[0].starts_with("error rate_limited"), "they came out of the same quota");
    bench.session.on_traffic(pings(19), bench.now);
    assert!(bench.effects().is_empty(), "another burst is forgiven");
    bench.session.on_traffic(pings(1), bench.now);
    let effects = bench.effects();
    assert!(effects[0].starts_with("error rate_limited"), "{effects:?}");
    assert_eq!(effects[1], "close 4003 rate_limited");
}

#[test]
fn a_client_that_stays_a_little_over_the_rate_is_told_and_one_that_floods_is_closed() {
    let lines_after_ten_seconds = |a_second: u64| {
        let mut bench = Bench::live(|_| {});
        for _ in 0..10 * a_second {
            bench.text(r#"{"type":"heartbeat"}"#);
            bench.now += 1000 / a_second;
        }
        bench.effects()
    };
    let steady = lines_after_ten_seconds(50);
    assert!(steady.iter().all(|line| line == "send heartbeat"), "the rate itself is free");
    let over = lines_after_ten_seconds(90);
    assert!(over.iter().any(|line| line.starts_with("error rate_limited")));
    assert!(!over.iter().any(|line| line.starts_with("close")), "told, not closed");
    assert_eq!(lines_after_ten_seconds(500).last().map(String::as_str), Some("close 4003 rate_limited"));
}

#[test]
fn bytes_over_their_rate_refuse_messages_until_they_are_paid_back() {
    let mut bench = Bench::live(|config| {
        config.limits.byte_rate = Some(1000);
        config.limits.byte_burst = Some(100_000);
    });
    let bytes = |bytes| Traffic { bytes, frames: 0 };
    bench.session.on_traffic(bytes(100_000), bench.now);
    bench.text(r#"{"type":"heartbeat"}"#);
    assert_eq!(bench.effects(), ["send heartbeat"]);
    bench.session.on_traffic(bytes(5_000), bench.now);
    bench.text(r#"{"type":"heartbeat","id":1}"#);
    match bench.session.poll_effect() {
        Some(Effect::Send(SystemFrame { message: ServerMessage::Error(error), id: Some(_), .. })) => {
            assert_eq!((error.code, error.retry_after_ms), (ErrorCode::RateLimited, Some(5_000)));
        }
        other => panic!("{other:?}"),
    }
    bench.now += 5_000;
    bench.text(r#"{"type":"heartbeat"}"#);
    assert_eq!(bench.effects(), ["send heartbeat"]);
    bench.session.on_traffic(bytes(200_000), bench.now);
    assert_eq!(bench.effects().last().map(String::as_str), Some("close 4003 rate_limited"), "another whole burst");
}

#[test]
fn one_message_of_the_largest_size_is_never_too_many_bytes() {
    let mut bench = Bench::live(|config| {
        config.limits.byte_rate = Some(1);
        config.limits.byte_burst = Some(1);
    });
    bench.session.on_traffic(Traffic { bytes: 65_536 + 14, frames: 0 }, bench.now);
    bench.text(r#"{"type":"heartbeat"}"#);
    assert_eq!(bench.effects(), ["send heartbeat"]);
}
