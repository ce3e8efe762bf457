//! Deliveries on other threads than the writer's: in order, once, and not for ever waited for.

use super::*;
use crate::engine::{
    sqlite::DropThere,
    testing::{event, room},
};
use osbackend_protocol::Published;
use parking_lot::Mutex;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};

const ROOM: &str = "agent:1";

/// A thread that drops what comes, and lives as long as somebody may send.
fn there() -> DropThere {
    let (give, take) = mpsc::channel::<Box<dyn Send>>();
    let run = move || take.into_iter().for_each(|turn| drop(catch_unwind(AssertUnwindSafe(|| drop(turn)))));
    thread::Builder::new().name("members".to_owned()).spawn(run).expect("a thread");
    let give = Mutex::new(give);
    Arc::new(move |turn| drop(give.lock().send(turn)))
}

fn start_there(dir: &TempDir, clock: &Clock, there: DropThere) -> TestHub {
    start(SqliteOptions { deliver_there: Some(there), ..options(dir, clock) }, clock)
}

/// Publishes without waiting; tells the offset, and the thread that told it.
fn publish(hub: &TestHub, n: u64, tell: &mpsc::Sender<(Option<u64>, Option<String>)>) {
    let tell = tell.clone();
    let done = move |result: Result<Published, _>| {
        let offset = result.expect("stored").offset;
        drop(tell.send((offset, thread::current().name().map(str::to_owned))));
    };
    hub.hub.publish(room(ROOM), event(n), hub.clock.now(), Box::new(done));
}

#[test]
fn members_get_events_on_the_thread_that_was_named_in_order() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let hub = start_there(&dir, &clock, there());
    let member = hub.enter(ROOM, None);
    let (tell, told) = mpsc::channel();
    (1..=500).for_each(|n| publish(&hub, n, &tell));
    for n in 1..=500 {
        assert_eq!(told.recv().expect("told"), (Some(n), Some("members".to_owned())));
    }
    assert_eq!(member.offsets(), (1..=500).collect::<Vec<_>>());
}

#[test]
fn a_stop_does_not_wait_for_a_runtime_that_runs_nothing() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let held = Arc::new(Mutex::new(Vec::new()));
    let hold = held.clone();
    let (taken, was_taken) = mpsc::channel();
    let taken = Mutex::new(taken);
    let there: DropThere = Arc::new(move |turn| {
        hold.lock().push(turn);
        taken.lock().send(()).expect("the test waits");
    });
    let hub = start_there(&dir, &clock, there);
    let member = hub.enter(ROOM, None);
    let (tell, told) = mpsc::channel();
    publish(&hub, 1, &tell);
    was_taken.recv().expect("the writer waits for its turn");
    (2..=100).for_each(|n| publish(&hub, n, &tell));
    assert!(told.try_recv().is_err() && member.offsets().is_empty());
    hub.hub.stop();
    held.lock().clear();
    assert_eq!(told.try_iter().filter_map(|(offset, _)| offset).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    assert_eq!(member.offsets(), (1..=100).collect::<Vec<_>>());
}

#[test]
fn a_delivery_that_panics_is_the_last() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let hub = start_there(&dir, &clock, there());
    let (tell, told) = mpsc::channel();
    let done = move |_| {
        tell.send(()).expect("the test waits");
        panic!("the test's own");
    };
    hub.hub.publish(room(ROOM), event(1), clock.now(), Box::new(done));
    told.recv().expect("delivered");
    hub.publish(ROOM, event(2)).expect_err("refused");
    assert!(hub.hub.engine_ready().is_err());
}
