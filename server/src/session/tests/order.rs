//! Events that a session refuses for now are remembered, so that nothing passes them (§5).

use super::{ask::asks, *};
use crate::config::HookEvent;

impl Bench {
    fn admin(change: impl Fn(&mut Config)) -> Self {
        let mut bench = Self::new(Mode::V1, Ok(None), change);
        bench.text(r#"{"type":"connect","payload":{"protocol":1,"token":"t"}}"#);
        bench.verified(Ok(user("ada", "admin", START + 3_600_000)));
        bench.effects();
        bench
    }

    fn publish(&mut self, fields: &str) {
        self.text(&format!(
            "{{\"type\":\"publish\",\"payload\":{{\"room\":\"agent:1\",\"type\":\"note\",\"data\":{{}}{fields}}}}}"
        ));
    }

    /// Of the event that is published next: whether it may not pass the one with `key`.
    fn held_by(&mut self, key: &str) -> bool {
        loop {
            match self.session.poll_effect() {
                Some(Effect::Publish { place, .. }) => {
                    return place.is_some_and(|place| place.after.as_deref() == Some(key) && place.refused.holds(key, self.now));
                }
                Some(_) => {}
                None => panic!("nothing is published"),
            }
        }
    }
}

#[test]
fn an_event_over_the_rate_is_not_passed_by_what_names_it() {
    let mut bench = Bench::admin(|config| {
        config.limits.message_rate = Some(1);
        config.limits.message_burst = Some(1);
    });
    bench.publish(r#","idempotencyKey":"a""#);
    assert!(bench.effects()[0].starts_with("error rate_limited"));
    bench.now += 1_000;
    bench.publish(r#","idempotencyKey":"b","after":"a""#);
    assert!(bench.held_by("a"));
    // Who gave it up, or has no order, is not held up.
    bench.now += 1_000;
    bench.publish(r#","idempotencyKey":"c""#);
    assert!(!bench.held_by("a"));
    bench.now += 1_000;
    bench.publish("");
    assert_eq!(bench.effects(), ["publish agent:1 note"]);
}

#[test]
fn an_event_that_the_backend_could_not_be_asked_about_is_not_passed_and_one_that_it_denies_is() {
    for (verdict, held) in [
        (Verdict::Unavailable { retry_after_ms: 500 }, true),
        (Verdict::Deny { code: ErrorCode::RateLimited, message: String::new() }, true),
        (Verdict::Deny { code: ErrorCode::Forbidden, message: String::new() }, false),
    ] {
        let mut bench = Bench::admin(asks(&[HookEvent::Publish]));
        bench.publish(r#","idempotencyKey":"a""#);
        bench.publish(r#","idempotencyKey":"b","after":"a""#);
        bench.session.on_answer(0, verdict.clone(), bench.now);
        bench.session.on_answer(1, Verdict::Allow, bench.now);
        assert_eq!(bench.held_by("a"), held, "{verdict:?}");
    }
}
