//! The queue's promises: order, bounds, exact `skipped`, one wake.

use super::*;
use crate::hub::event::NewEvent;
use osbackend_protocol::{Classified, DeliveryClass, JsonObject, RoomName, Timestamp};
use proptest::prelude::*;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::Wake,
};

fn event(room: u64, offset: u64, key: Option<&str>, bytes: usize) -> Arc<StoredEvent> {
    let class = if key.is_some() { DeliveryClass::Latest } else { DeliveryClass::Reliable };
    let new = NewEvent {
        kind: "metric_update".into(),
        data: JsonObject::parse(&format!(r#"{{"pad":"{}"}}"#, "x".repeat(bytes))).expect("an object"),
        classified: Classified { class, key: key.map(str::to_owned) },
        event_id: "e".into(),
        ephemeral: false,
        idempotency_key: None,
    };
    let name = RoomName::parse(&format!("agent:{room}")).expect("a room");
    Arc::new(StoredEvent::new(&new, &name, room, Some(offset), Timestamp(0)))
}

fn live(event: Arc<StoredEvent>) -> Item {
    Item::Event(QueuedEvent::live(event))
}

fn take_all(outbox: &Outbox) -> Vec<Item> {
    let mut all = Vec::new();
    loop {
        let taken = outbox.take().items;
        if taken.is_empty() {
            return all;
        }
        all.extend(taken);
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_short_queue_keeps_every_event_of_a_key() {
    let outbox = Outbox::new(1 << 20);
    (1..=10).for_each(|offset| outbox.push(live(event(1, offset, Some("k"), 100))));
    assert_eq!(take_all(&outbox).len(), 10);
    assert_eq!(outbox.conflated(), 0);
}

#[test]
fn a_long_queue_keeps_the_newest_of_each_key_and_counts_what_it_skips() {
    let outbox = Outbox::new(1 << 20);
    for offset in 1..=1000 {
        outbox.push(live(event(1, offset, Some(if offset % 2 == 0 { "even" } else { "odd" }), 1000)));
    }
    assert!(outbox.bytes() < 100_000, "{} bytes are queued", outbox.bytes());
    let items = take_all(&outbox);
    let mut at = 0;
    let mut newest = None;
    for item in items {
        let Item::Event(queued) = item else { panic!("only events were queued") };
        let offset = queued.event.offset.expect("an offset");
        assert_eq!(offset, at + 1 + queued.skipped, "the skipped offsets are told exactly");
        at = offset;
        newest = Some(offset);
    }
    assert_eq!(newest, Some(1000));
    assert!(outbox.conflated() > 900);
}

#[test]
fn reliable_events_are_never_conflated_and_overflow_ends_the_connection() {
    let outbox = Outbox::new(100_000);
    (1..=50).for_each(|offset| outbox.push(live(event(1, offset, None, 1000))));
    assert_eq!(outbox.ending(), None);
    (51..=200).for_each(|offset| outbox.push(live(event(1, offset, None, 1000))));
    assert_eq!(outbox.ending(), Some(CloseCode::SlowConsumer));
    assert!(outbox.bytes() <= 102_000, "{} bytes", outbox.bytes());
    let taken = outbox.take();
    assert!(taken.items.is_empty() && taken.close == Some(CloseCode::SlowConsumer));
}

#[test]
fn a_replay_is_not_counted() {
    let outbox = Outbox::new(10_000);
    outbox.push_all((1..=100).map(|offset| Item::Event(QueuedEvent::replayed(event(1, offset, None, 1000), false))));
    assert_eq!(outbox.ending(), None);
    assert_eq!(take_all(&outbox).len(), 100);
}

#[test]
fn a_reserved_place_holds_back_what_came_after_it() {
    let outbox = Outbox::new(1 << 20);
    let place = outbox.reserve();
    outbox.push(live(event(1, 1, None, 10)));
    assert!(outbox.take().items.is_empty());
    outbox.fill(place, "greeting".into());
    let items = take_all(&outbox);
    assert!(matches!(&items[0], Item::Text(text) if text.as_str() == "greeting"));
    assert_eq!(items.len(), 2);
}

#[test]
fn the_writer_is_woken_once_until_it_looks_again() {
    let outbox = Outbox::new(1 << 20);
    let wakes = Arc::new(Wakes::default());
    let waker = wakes.clone().into();
    let mut cx = Context::from_waker(&waker);
    assert!(outbox.poll_ready(&mut cx).is_pending());
    (1..=5).for_each(|offset| outbox.push(live(event(1, offset, None, 10))));
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert!(outbox.poll_ready(&mut cx).is_ready());
    take_all(&outbox);
    assert!(outbox.poll_ready(&mut cx).is_pending());
    outbox.close(CloseCode::Normal);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
    assert_eq!(outbox.take().close, Some(CloseCode::Normal));
}

#[test]
fn a_marked_event_says_so_in_its_text() {
    let mut queued = QueuedEvent::replayed(event(1, 7, Some("k"), 1), true);
    queued.skipped = 3;
    let value: serde_json::Value = serde_json::from_str(queued.text().as_str()).expect("JSON");
    assert_eq!((&value["snapshot"], &value["skipped"], &value["offset"]), (&true.into(), &3.into(), &7.into()));
}

proptest! {
    /// Whatever is pushed and taken in whatever order: each room's offsets are accounted for, and nothing reliable is missing.
    #[test]
    fn every_offset_is_delivered_or_told(steps in prop::collection::vec((0_u64..3, 0_usize..6, 1_usize..4000, prop::bool::weighted(0.02)), 1..400)) {
        let outbox = Outbox::new(0);
        let (mut next, mut reliable, mut seen) = ([0_u64; 3], [const { Vec::new() }; 3], [0_u64; 3]);
        let mut check = |items: Vec<Item>, reliable: &mut [Vec<u64>; 3]| -> Result<(), TestCaseError> {
            for item in items {
                let Item::Event(queued) = item else { continue };
                let room = queued.event.room_id as usize;
                let offset = queued.event.offset.unwrap_or_default();
                prop_assert_eq!(offset, seen[room] + 1 + queued.skipped);
                seen[room] = offset;
                if queued.event.key.is_none() {
                    prop_assert_eq!(reliable[room].remove(0), offset);
                }
            }
            Ok(())
        };
        for (room, key, bytes, take) in steps {
            let index = room as usize;
            next[index] += 1;
            let name = format!("k{key}");
            let key = (key > 0).then_some(name.as_str());
            if key.is_none() {
                reliable[index].push(next[index]);
            }
            outbox.push(live(event(room, next[index], key, bytes)));
            if take {
                check(outbox.take().items, &mut reliable)?;
            }
        }
        check(take_all(&outbox), &mut reliable)?;
        prop_assert_eq!(seen, next);
        prop_assert!(reliable.iter().all(Vec::is_empty));
        prop_assert_eq!(outbox.bytes(), 0);
    }
}

#[test]
fn a_new_membership_is_not_told_of_what_the_old_one_skipped() {
    let outbox = Outbox::new(1 << 20);
    (1..=40).for_each(|offset| outbox.push(live(event(1, offset, Some(["a", "b"][offset as usize % 2]), 2_000))));
    outbox.seal(1);
    // Joined anew at offset 40, without a snapshot.
    (41..=60).for_each(|offset| outbox.push(live(event(1, offset, Some(["a", "b"][offset as usize % 2]), 2_000))));
    let mut position = 40;
    let events = take_all(&outbox).into_iter().filter_map(|item| if let Item::Event(event) = item { Some(event) } else { None });
    for event in events.filter(|event| event.event.offset > Some(40)) {
        position += 1 + event.skipped;
        assert_eq!(event.event.offset, Some(position));
    }
    assert_eq!(position, 60);
}
