//! What every engine promises, run against each of them.

use super::{
    Engine, EngineError, MemoryEngine, Refused, Retentions, SqliteEngine,
    sqlite::SqliteOptions,
    testing::{Clock, TempDir, TestHub, event, keep, keyed, once, room},
};
use crate::hub::event::NewEvent;
use std::sync::Arc;

type Start = fn(&Retentions, &TempDir, &Clock) -> Box<dyn Engine>;

fn with_each(events: usize, age_ms: u64, test: impl Fn(&TestHub)) {
    let retention = keep(events, age_ms);
    let memory: Start = |retention, _, _| Box::new(MemoryEngine::new("p", retention.clone()));
    let sqlite: Start = |retention, dir, clock| {
        let options = SqliteOptions::new(dir.path(), retention.clone(), clock.function());
        Box::new(SqliteEngine::start(options).expect("starts"))
    };
    for engine in [memory, sqlite] {
        let (dir, clock) = (TempDir::new(), Clock::new());
        let engine = engine(&retention, &dir, &clock);
        println!("{}", engine.name());
        test(&TestHub::new(engine, clock));
    }
}

#[test]
fn a_room_numbers_from_one_without_holes_and_members_see_that_order() {
    with_each(100, 0, |hub| {
        let member = hub.enter("agent:1", None);
        hub.notes("agent:1", 1..=20);
        hub.notes("agent:2", 1..=3);
        assert_eq!(member.offsets(), (1..=20).collect::<Vec<_>>());
        let page = hub.hub.history(&room("agent:1"), Some(18), 10, false, hub.clock.now()).expect("a page");
        assert_eq!((page.offset, page.events.len(), page.epoch), (20, 2, member.joined.epoch.clone()));
    });
}

#[test]
fn who_comes_back_gets_what_was_missed_or_the_truth() {
    with_each(3, 0, |hub| {
        let epoch = hub.epoch("agent:1");
        hub.publish("agent:1", keyed(1, "a")).expect("published");
        hub.notes("agent:1", 2..=6);
        for (offset, recovered) in [(6, true), (5, true), (3, true), (2, false), (0, false), (7, false)] {
            let back = hub.join("agent:1", &epoch, offset);
            assert_eq!(back.joined.recovered, recovered, "from {offset}");
            let expected: Vec<u64> = if recovered { (offset + 1..=6).collect() } else { vec![1] };
            assert_eq!(back.offsets(), expected, "from {offset}");
        }
        assert!(!hub.join("agent:1", "another", 6).joined.recovered);
    });
}

#[test]
fn the_snapshot_has_the_newest_of_each_key_whatever_the_history_lost() {
    with_each(2, 0, |hub| {
        for (n, key) in (1..).zip(["a", "b", "a", "c", "a"]) {
            hub.publish("agent:1", keyed(n, key)).expect("published");
        }
        (6..=200).for_each(|n| drop(hub.publish("agent:1", event(n)).expect("published")));
        hub.publish("agent:1", keyed(201, "b")).expect("published");
        assert_eq!(hub.enter("agent:1", None).offsets(), [4, 5, 201]);
        hub.sweep();
        assert_eq!(hub.enter("agent:1", None).offsets(), [4, 5, 201], "after it was dropped from memory");
    });
}

#[test]
fn a_key_is_stored_once_in_five_minutes() {
    with_each(100, 0, |hub| {
        let member = hub.enter("agent:1", None);
        let first = hub.publish("agent:1", once(1, "k")).expect("published");
        let again = hub.publish("agent:1", once(2, "k")).expect("published");
        assert_eq!(first, again);
        assert_ne!(hub.publish("agent:2", once(3, "k")).expect("published").event_id, first.event_id, "each room by itself");
        hub.clock.pass(300_000);
        assert_eq!(hub.publish("agent:1", once(4, "k")).expect("published"), first, "five minutes are not over");
        hub.clock.pass(1);
        assert_eq!(hub.publish("agent:1", once(5, "k")).expect("published").offset, Some(2));
        assert_eq!(member.offsets(), [1, 2]);
    });
}

#[test]
fn what_is_ephemeral_is_delivered_in_its_place_and_kept_nowhere() {
    with_each(100, 0, |hub| {
        let ephemeral = |n| NewEvent { ephemeral: true, ..event(n) };
        let member = hub.enter("agent:1", None);
        hub.notes("agent:1", 1..=1);
        let published = hub.publish("agent:1", ephemeral(7)).expect("published");
        assert_eq!((published.offset, &published.epoch), (None, &member.joined.epoch));
        hub.notes("agent:1", 2..=2);
        let offsets: Vec<_> = member.events().iter().map(|event| event.offset).collect();
        assert_eq!(offsets, [Some(1), None, Some(2)]);
        assert_eq!(hub.join("agent:1", &member.joined.epoch, 0).offsets(), [1, 2]);

        let keyed = |n| NewEvent { idempotency_key: Some("k".to_owned()), ..ephemeral(n) };
        let first = hub.publish("agent:9", keyed(1)).expect("published");
        assert_eq!(hub.publish("agent:9", keyed(2)).expect("published"), first);
    });
}

#[test]
fn what_is_over_its_age_is_not_recovered() {
    with_each(100, 60_000, |hub| {
        let epoch = hub.epoch("agent:1");
        hub.notes("agent:1", 1..=3);
        hub.clock.pass(50_000);
        hub.notes("agent:1", 4..=5);
        assert_eq!(hub.join("agent:1", &epoch, 0).offsets(), [1, 2, 3, 4, 5]);
        hub.clock.pass(20_000);
        assert!(!hub.join("agent:1", &epoch, 2).joined.recovered);
        assert_eq!(hub.join("agent:1", &epoch, 3).offsets(), [4, 5]);
    });
}

#[test]
fn a_room_that_was_dropped_is_never_taken_for_what_it_was_before() {
    with_each(2, 1_000, |hub| {
        let epoch = hub.epoch("agent:1");
        hub.notes("agent:1", 1..=5);
        hub.clock.pass(400_000);
        hub.sweep();
        assert!(hub.hub.rooms().is_empty(), "nobody is in it, and it holds nothing");
        let (now, offset) = (hub.epoch("agent:1"), hub.enter("agent:1", None).joined.offset);
        assert!(now != epoch || offset == 5, "{now} {offset}");
        for position in 0..=4 {
            assert!(!hub.join("agent:1", &epoch, position).joined.recovered, "from {position}");
        }
    });
}

#[test]
fn reading_the_history_of_a_room_that_holds_nothing_keeps_nothing_and_lies_about_nothing() {
    with_each(100, 0, |hub| {
        let page = |to: &str| hub.hub.history(&room(to), None, 10, false, hub.clock.now()).expect("a page");
        let empty = page("agent:1");
        assert_eq!((empty.offset, empty.events.len()), (0, 0));
        assert!(hub.hub.rooms().is_empty() && hub.hub.totals() == (0, 0));
        hub.notes("agent:1", 1..=3);
        assert_eq!(hub.join("agent:1", &empty.epoch, 0).offsets(), [1, 2, 3], "the position that it told is one");
        assert_eq!(page("agent:1").events.len(), 3);
        hub.sweep();
        let stored = page("agent:1");
        assert_eq!((stored.offset, stored.events.len()), (3, 3), "after it was dropped from memory");
    });
}

#[test]
fn the_sums_are_those_of_the_rooms() {
    with_each(100, 0, |hub| {
        let sums = || (hub.hub.totals(), hub.hub.present_users());
        let members: Vec<_> = (0..5).map(|n| hub.enter(&format!("agent:{}", n % 2), None)).collect();
        assert_eq!(sums(), ((2, 5), 0));
        let ephemeral = NewEvent { ephemeral: true, ..event(1) };
        hub.publish("agent:nobody", ephemeral).expect("published");
        assert_eq!(sums(), ((2, 5), 0), "what is ephemeral keeps no room that nobody is in");
        hub.notes("agent:0", 1..=2);
        drop(members);
        hub.sweep();
        let counts = hub.hub.rooms();
        assert_eq!(sums(), ((counts.len(), counts.iter().map(|room| room.client_count).sum()), 0));
    });
}

#[test]
fn what_follows_an_event_that_was_refused_for_now_waits_until_that_one_came_again() {
    with_each(100, 0, |hub| {
        let refused = Arc::new(Refused::default());
        let publish = |n, key, after| hub.publish_in("agent:1", event(n), &refused, key, after);
        refused.refuse("a", hub.clock.now());
        assert!(matches!(publish(2, "b", Some("a")), Err(EngineError::Follows)));
        assert!(matches!(publish(3, "c", Some("b")), Err(EngineError::Follows)), "down the chain");
        let other = Arc::new(Refused::default());
        hub.publish_in("agent:1", event(9), &other, "b", Some("a")).expect("another connection's");
        for (n, key, after) in [(1, "a", None), (2, "b", None), (3, "c", Some("b"))] {
            publish(n, key, after).expect("published");
        }
        let member = hub.enter("agent:1", None);
        assert_eq!(member.joined.offset, 4);
    });
}
