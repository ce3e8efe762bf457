//! Rooms that are opened, dropped and read while the writer commits: nobody misses an event or gets one twice.

use super::*;
use crate::engine::{Position, testing::event};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

const ROOMS: u64 = 3;
const EVENTS: u64 = 3_000;

#[test]
fn who_comes_and_goes_while_events_are_committed_sees_each_once_and_in_order() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let hub = start(SqliteOptions { retention: keep(100_000, 0), ..options(&dir, &clock) }, &clock);
    let published = AtomicBool::new(false);
    let name = |number: u64| format!("agent:{number}");
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..ROOMS)
            .map(|number| {
                scope.spawn({
                    let hub = &hub;
                    move || {
                        (1..=EVENTS).for_each(|n| {
                            assert_eq!(hub.publish(&name(number), event(n)).expect("published").offset, Some(n));
                        })
                    }
                })
            })
            .collect();
        // Drops every room that nobody is in at that moment.
        scope.spawn(|| {
            while !published.load(Ordering::Relaxed) {
                hub.sweep();
            }
        });
        let readers: Vec<_> = (0..ROOMS)
            .map(|number| {
                scope.spawn({
                    let (hub, published) = (&hub, &published);
                    move || {
                        let (mut position, mut visits) = (Position { epoch: hub.epoch(&name(number)), offset: 0 }, 0);
                        loop {
                            let last = published.load(Ordering::Relaxed);
                            let member = hub.enter(&name(number), Some(position.clone()));
                            assert!(member.joined.recovered, "at {position:?}: {:?}", member.joined);
                            for _ in 0..visits % 7 {
                                for offset in member.offsets() {
                                    assert_eq!(offset, position.offset + 1);
                                    position.offset = offset;
                                }
                                thread::yield_now();
                            }
                            visits += 1;
                            if last && visits % 7 > 1 {
                                return position.offset;
                            }
                        }
                    }
                })
            })
            .collect();
        publishers.into_iter().for_each(|publisher| publisher.join().expect("a publisher"));
        published.store(true, Ordering::Relaxed);
        for reader in readers {
            assert_eq!(reader.join().expect("a reader"), EVENTS);
        }
    });
}
