//! A disk that is full: nothing is acknowledged that isn't stored, reads go on, and it recovers by itself.

use super::*;
use crate::engine::{
    EngineError, Refused,
    testing::{event, keep},
};
use crate::hub::event::NewEvent;
use osbackend_protocol::JsonObject;
use std::sync::Arc;

const ROOM: &str = "agent:1";

fn large(n: u64) -> NewEvent {
    NewEvent { data: JsonObject::parse(&format!(r#"{{"pad":"{}"}}"#, "x".repeat(20_000))).expect("an object"), ..event(n) }
}

#[test]
fn a_full_disk_refuses_publishes_and_nothing_else_until_there_is_space() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let options = SqliteOptions { max_pages: Some(300), retention: keep(1_000_000, 60_000), ..options(&dir, &clock) };
    let hub = start(options, &clock);
    let member = hub.enter(ROOM, None);
    let mut stored = 0;
    let refused: EngineError = loop {
        match hub.publish(ROOM, large(stored + 1)) {
            Ok(published) => {
                stored += 1;
                assert_eq!(published.offset, Some(stored));
            }
            Err(error) => break error,
        }
    };
    let order = Arc::new(Refused::default());
    hub.publish_in(ROOM, large(0), &order, "first", None).expect_err("the disk is full");
    assert!(stored > 10 && refused.to_string().contains("the disk is full"), "{stored} {refused}");
    assert!(hub.hub.engine_ready().is_err());
    assert_eq!(member.offsets(), (1..=stored).collect::<Vec<_>>(), "what was refused is delivered to nobody");
    let ephemeral = NewEvent { ephemeral: true, ..event(0) };
    hub.publish(ROOM, ephemeral).expect("what is kept nowhere needs no disk");
    assert_eq!(member.events().len(), 1);
    hub.sweep();
    assert_eq!(hub.join(ROOM, &member.joined.epoch, stored - 2).offsets(), [stored - 1, stored], "reads go on");
    hub.epoch("agent:2");

    // The old events go, and their space with them.
    clock.pass(70_000);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while hub.hub.engine_ready().is_err() {
        assert!(std::time::Instant::now() < deadline, "it does not recover");
        std::thread::yield_now();
    }
    assert_eq!(hub.publish(ROOM, large(0)).expect("published").offset, Some(stored + 1), "no offset was used up");
    assert_eq!(member.offsets(), [stored + 1]);
    let second = hub.publish_in(ROOM, event(2), &order, "second", Some("first"));
    assert!(matches!(second, Err(EngineError::Follows)), "it would pass one that was refused: {second:?}");
    hub.publish_in(ROOM, event(1), &order, "first", None).expect("published");
    hub.publish_in(ROOM, event(2), &order, "second", None).expect("published");
}

#[test]
fn a_stopped_engine_refuses_with_a_reason_and_answers_what_was_queued() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let hub = start(options(&dir, &clock), &clock);
    let (tell, told) = std::sync::mpsc::channel();
    for n in 1..=200 {
        let tell = tell.clone();
        let done = Box::new(move |result| drop(tell.send(result)));
        hub.hub.publish(crate::engine::testing::room(ROOM), event(n), clock.now(), done);
    }
    hub.hub.stop();
    let offsets: Vec<_> =
        told.try_iter().map(|result: Result<osbackend_protocol::Published, _>| result.expect("stored").offset).collect();
    assert_eq!(offsets, (1..=200).map(Some).collect::<Vec<_>>());
    assert!(hub.publish(ROOM, event(0)).expect_err("refused").to_string().contains("stopping"));
}

#[test]
fn an_upkeep_that_fails_is_tried_again_after_a_while_and_not_all_the_time() {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::{Duration, Instant},
    };
    let (dir, clock, looks) = (TempDir::new(), Clock::new(), Arc::new(AtomicU64::new(0)));
    drop(start(options(&dir, &clock), &clock));
    let connection = rusqlite::Connection::open(dir.path().join(super::super::file::FILE)).expect("a file");
    connection.execute_batch("DROP TABLE idempotent").expect("dropped");
    let counting = looks.clone();
    let counted = move || {
        counting.fetch_add(1, Ordering::Relaxed);
        1_700_000_000_000
    };
    // The clock is read once for each attempt, while nobody publishes.
    let hub = start(SqliteOptions { clock: Arc::new(counted), ..options(&dir, &clock) }, &clock);
    let attempts = |number| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while looks.load(Ordering::Relaxed) < number {
            assert!(Instant::now() < deadline, "attempt {number} never came");
            std::thread::yield_now();
        }
        Instant::now()
    };
    let first = attempts(1);
    assert!(attempts(3) - first >= Duration::from_secs(1), "it spins");
    hub.notes(ROOM, 1..=2);
}
