//! The file's size follows what is kept, not what was published.

use super::*;
use crate::engine::{
    sqlite::file::FILE,
    testing::{event, keyed, once, room},
};

/// Bytes of the database, and of its log.
fn sizes(dir: &TempDir) -> (u64, u64) {
    let bytes = |name: &str| std::fs::metadata(dir.path().join(name)).map_or(0, |file| file.len());
    (bytes(FILE), bytes(&format!("{FILE}-wal")))
}

/// Publishes all, many on their way at once.
fn publish(hub: &TestHub, events: impl Iterator<Item = (u64, crate::hub::event::NewEvent)>) {
    let (tell, told) = std::sync::mpsc::channel();
    let mut sent = 0;
    for (number, event) in events {
        let tell = tell.clone();
        let done = Box::new(move |result: Result<_, _>| tell.send(result.is_ok()).expect("the test waits"));
        hub.hub.publish(room(&format!("agent:{number}")), event, hub.clock.now(), done);
        sent += 1;
        if sent % 500 == 0 {
            assert!(told.iter().take(500).all(|stored| stored));
        }
    }
    assert!(told.iter().take(sent % 500).all(|stored| stored));
}

#[test]
fn twenty_times_more_than_is_kept_leaves_a_file_of_what_is_kept() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let hub = start(SqliteOptions { retention: keep(100, 0), ..options(&dir, &clock) }, &clock);
    let round = |from: u64| (from..from + 4_000).map(|n| (n % 20, if n % 3 == 0 { keyed(n, "k") } else { event(n) }));
    publish(&hub, round(0));
    for n in 1..20 {
        publish(&hub, round(4_000 * n));
    }
    let (_, log) = sizes(&dir);
    // What the checkpoint begins at, and what is written while it runs.
    assert!(log < 64 << 20, "the log has {log} bytes");
    hub.hub.stop();
    let (file, log) = sizes(&dir);
    assert_eq!(log, 0, "a stop leaves no log");
    // 20 rooms with up to 125 events of less than 400 bytes, and as much again for pages that are half full.
    assert!(file < 20 * 125 * 400 * 2, "{file} bytes");
}

#[test]
fn keys_and_old_events_go_and_their_space_is_given_back() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let hub = start(SqliteOptions { retention: keep(100_000, 60_000), ..options(&dir, &clock) }, &clock);
    publish(&hub, (0..40_000).map(|n| (n % 300, once(n, &format!("key-{n}")))));
    hub.hub.stop();
    let (full, _) = sizes(&dir);
    drop(hub);
    clock.pass(400_000);
    let hub = start(SqliteOptions { retention: keep(100_000, 60_000), ..options(&dir, &clock) }, &clock);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while sizes(&dir).0 > full / 2 {
        assert!(std::time::Instant::now() < deadline, "from {full} to {:?} bytes", sizes(&dir));
        std::thread::yield_now();
    }
    let offset = hub.enter("agent:1", None).joined.offset;
    assert_eq!(hub.publish("agent:1", event(0)).expect("published").offset, Some(offset + 1));
}
