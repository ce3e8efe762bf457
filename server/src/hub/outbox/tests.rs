//! The queue's promises: order, bounds, exact `skipped`, one wake.

use super::*;
use crate::hub::event::{NewEvent, StoredEvent};
use osbackend_protocol::{Classified, DeliveryClass, JsonObject, RoomName, Timestamp};
use proptest::prelude::*;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::Wake,
};

mod bounds;
mod memberships;

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
fn before_an_end_nothing_but_answers_is_written_unless_it_is_a_graceful_one() {
    for (code, written) in [(CloseCode::Disconnected, 2), (CloseCode::TokenExpired, 2), (CloseCode::Restart, 5)] {
        let outbox = Outbox::new(1 << 20);
        outbox.push(Item::Text("an answer".into()));
        outbox.push(live(event(1, 1, None, 10)));
        outbox.replay(vec![event(1, 2, Some("k"), 10)], true);
        outbox.push(live(event(2, 1, None, 10)));
        outbox.push(Item::Text("another".into()));
        outbox.close(code);
        outbox.push(live(event(2, 2, None, 10)));
        let taken = outbox.take();
        assert_eq!((taken.items.len(), taken.close, taken.ending), (written, Some(code), true), "{code:?}");
        assert_eq!(outbox.bytes(), 0);
    }
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

fn run(room: u64, offsets: std::ops::RangeInclusive<u64>, key: Option<&str>, bytes: usize) -> Item {
    let mut items = Run::items(offsets.map(|offset| event(room, offset, key, bytes)).collect());
    assert_eq!(items.len(), 1);
    items.remove(0)
}

fn offsets(items: &[Item]) -> Vec<(u64, u64)> {
    let mut offsets = Vec::new();
    for item in items {
        match item {
            Item::Event(event) => offsets.push((event.event.offset.unwrap(), event.skipped)),
            Item::Run(run) => offsets.extend(run.events.iter().map(|event| (event.offset.unwrap(), 0))),
            other => panic!("{other:?}"),
        }
    }
    offsets
}

#[test]
fn a_run_is_one_entry_that_counts_as_much_as_its_events() {
    let (together, single) = (Outbox::new(1 << 20), Outbox::new(1 << 20));
    together.push(run(1, 1..=10, None, 100));
    (1..=10).for_each(|offset| single.push(live(event(1, offset, None, 100))));
    assert_eq!(together.bytes(), single.bytes());
    let items = take_all(&together);
    assert!(matches!(items.as_slice(), [Item::Run(_)]), "{items:?}");
    assert_eq!(offsets(&items), offsets(&take_all(&single)));
    assert_eq!(together.bytes(), 0);
}

#[test]
fn the_events_of_a_run_give_way_one_by_one_once_the_reader_is_behind() {
    let outbox = Outbox::new(1 << 20);
    outbox.push(run(1, 1..=25, None, 1000));
    outbox.push(live(event(1, 26, Some("k"), 100)));
    outbox.push(live(event(1, 27, None, 6000)));
    outbox.push(run(1, 28..=30, Some("k"), 100));
    let items = take_all(&outbox);
    let expected: Vec<_> = (1..=25).map(|offset| (offset, 0)).chain([(27, 1), (30, 2)]).collect();
    assert_eq!(offsets(&items), expected);
}

#[test]
fn a_run_behind_a_gap_tells_it() {
    let outbox = Outbox::new(1 << 20);
    outbox.push(live(event(1, 1, Some("k"), 100)));
    outbox.push(run(1, 2..=4, None, 100));
    outbox.push(live(event(2, 1, None, 40_000)));
    // Behind by now: this replaces offset 1, and the run is the next of its room.
    outbox.push(live(event(1, 5, Some("k"), 100)));
    let items = take_all(&outbox);
    let of_room: Vec<_> = items.into_iter().filter(|item| !matches!(item, Item::Event(e) if e.event.room_id == 2)).collect();
    assert_eq!(offsets(&of_room), [(2, 1), (3, 0), (4, 0), (5, 0)]);
}

#[test]
fn long_runs_are_split_and_lone_events_are_none() {
    let items = Run::items((1..=100).map(|offset| event(1, offset, None, 1000)).collect());
    assert!(items.len() > 2);
    assert_eq!(offsets(&items).len(), 100);
    assert!(matches!(Run::items(vec![event(1, 1, None, 10)]).as_slice(), [Item::Event(_)]));
    assert!(Run::items(Vec::new()).is_empty());
}

#[test]
fn a_run_of_an_old_membership_is_delivered_as_it_is() {
    let outbox = Outbox::new(1 << 20);
    outbox.push(run(1, 1..=25, Some("k"), 1000));
    outbox.push(live(event(2, 1, None, 10_000)));
    outbox.seal(1);
    outbox.push(live(event(1, 30, Some("k"), 100)));
    let of_room: Vec<_> =
        take_all(&outbox).into_iter().filter(|item| !matches!(item, Item::Event(e) if e.event.room_id == 2)).collect();
    let expected: Vec<_> = (1..=25).chain([30]).map(|offset| (offset, 0)).collect();
    assert_eq!(offsets(&of_room), expected);
}
