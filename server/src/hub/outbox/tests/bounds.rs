//! What may wait: live events, answers and replays each have a bound, and none of them is at another's cost.

use super::*;

const BOUND: usize = 1 << 20;

fn answer(bytes: usize) -> Item {
    Item::Text("x".repeat(bytes).into())
}

fn replay(count: usize, bytes: usize) -> Vec<Arc<StoredEvent>> {
    let held = event(1, 1, None, bytes);
    vec![held; count]
}

#[test]
fn one_answer_may_wait_however_large_and_costs_the_events_nothing() {
    let outbox = Outbox::new(BOUND);
    outbox.push(answer(5 * BOUND));
    outbox.push(live(event(1, 1, None, 1000)));
    assert_eq!(outbox.ending(), None);
    assert_eq!(take_all(&outbox).len(), 2);
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn answers_that_nobody_reads_end_the_connection() {
    let outbox = Outbox::new(BOUND);
    for _ in 0..=BOUND / 1000 {
        outbox.push(answer(1000));
    }
    assert_eq!(outbox.ending(), Some(CloseCode::SlowConsumer));
    assert!(outbox.bytes() < BOUND + 5_000, "{} bytes", outbox.bytes());
}

#[test]
fn a_greeting_is_bounded_as_any_answer_is() {
    let outbox = Outbox::new(BOUND);
    let greet = |bytes: usize| {
        let place = outbox.reserve();
        outbox.fill(place, "x".repeat(bytes).into());
    };
    greet(BOUND + 1);
    assert_eq!(outbox.ending(), None, "one may always wait");
    greet(10);
    assert_eq!(outbox.ending(), Some(CloseCode::SlowConsumer));
    let taken = outbox.take();
    assert!(taken.items.is_empty() && taken.close == Some(CloseCode::SlowConsumer));
}

#[test]
fn large_answers_wait_for_the_reader_and_one_goes_on_at_a_time() {
    let outbox = Outbox::new(BOUND);
    let wakes = Arc::new(Wakes::default());
    let waker = wakes.clone().into();
    let mut cx = Context::from_waker(&waker);
    let mut answers: Vec<_> = (0..6).map(|_| Some(answer(BOUND / 4))).collect();
    let mut taken = 0;
    for turn in 0..6 {
        let waiting: Vec<_> = answers.iter_mut().filter(|answer| answer.is_some()).collect();
        let queued =
            waiting.into_iter().filter_map(|answer| outbox.poll_answer(answer, &mut cx).is_ready().then_some(())).count();
        assert_eq!(queued, 1);
        assert!(outbox.is_holding());
        assert_eq!((outbox.ending(), wakes.0.load(Ordering::Relaxed)), (None, turn));
        taken += take_all(&outbox).len();
        assert!(!outbox.is_holding());
    }
    assert_eq!(taken, 6);
}

#[test]
fn an_answer_for_a_connection_that_goes_waits_no_longer() {
    let outbox = Outbox::new(BOUND);
    let wakes = Arc::new(Wakes::default());
    let waker = wakes.clone().into();
    let mut cx = Context::from_waker(&waker);
    outbox.push(answer(BOUND));
    let mut late = Some(answer(10));
    assert!(outbox.poll_answer(&mut late, &mut cx).is_pending());
    outbox.abandon();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert!(outbox.poll_answer(&mut late, &mut cx).is_ready());
    assert_eq!((late.is_none(), outbox.bytes()), (true, 0));
}

#[test]
fn a_replay_is_taken_in_parts_and_before_what_came_after_it() {
    for (limit, count, size) in [(BOUND, 21_000, 1), (10_000, 2_000, 1000), (BOUND, 1_000, 64 * 1024)] {
        let outbox = Outbox::new(limit);
        let mark = outbox.replay(replay(count, size), false);
        outbox.push(live(event(1, 7, None, 10)));
        assert!(mark.is_whole());
        let first = outbox.take().items;
        assert!(!mark.is_whole());
        let bytes: usize = first.iter().map(|item| item.bytes()).sum();
        assert!(first.len() == 1 || bytes <= 64 * 1024, "{bytes} bytes at once");
        let rest = take_all(&outbox);
        assert_eq!(first.len() + rest.len(), count + 1, "nothing is left out");
        assert!(matches!(rest.last(), Some(Item::Event(last)) if last.event.offset == Some(7)));
        assert_eq!((outbox.ending(), outbox.bytes()), (None, 0));
    }
}

#[test]
fn replays_are_bounded_in_bytes_and_one_goes_over() {
    let outbox = Outbox::new(BOUND);
    // A recovery larger than the bound is queued whole, or it would never end.
    outbox.replay(replay(70, BOUND), false);
    assert!(outbox.replays_are_full());
    assert_eq!(outbox.ending(), None);
    while outbox.replays_are_full() {
        assert!(!outbox.take().items.is_empty());
    }
    assert_eq!(take_all(&outbox).iter().filter(|item| item.is_event()).count() + 7, 70);
    assert!(!Outbox::new(0).replays_are_full());
}

proptest! {
    /// Whatever is queued and taken: events go over their bound by one message, answers by the one that may wait and the one that
    /// ends the connection, and all accounts end at nothing.
    #[test]
    fn no_account_grows_beyond_its_bound(steps in prop::collection::vec((0_usize..6, 1_usize..9000), 1..300)) {
        const BOUND: usize = 64 * 1024;
        let outbox = Outbox::new(BOUND);
        let mut offset = 0;
        for (what, bytes) in steps {
            let before = outbox.ending();
            match what {
                0 => outbox.push(answer(bytes)),
                1 => {
                    let place = outbox.reserve();
                    outbox.fill(place, "x".repeat(bytes).into());
                }
                2 => drop(outbox.take()),
                3 if !outbox.replays_are_full() => drop(outbox.replay(replay(bytes / 100, 2000), true)),
                4 => outbox.seal(1),
                _ => {
                    offset += 1;
                    outbox.push(live(event(1, offset, (bytes % 2 == 0).then_some("k"), bytes)));
                }
            }
            prop_assert!(outbox.bytes() <= 2 * BOUND + 3 * 9_500);
            prop_assert!(before.is_none() || outbox.ending() == before, "the first close decides");
        }
        take_all(&outbox);
        prop_assert_eq!(outbox.bytes(), 0);
        prop_assert!(!outbox.replays_are_full());
    }
}
