//! The file's size follows what is kept, not what was published.

use super::*;
use crate::{
    engine::{
        sqlite::file::FILE,
        testing::{event, keyed, once, room},
    },
    hub::event::NewEvent,
    metrics::{Keep, sqlite::InThisFile},
};
use osbackend_protocol::JsonObject;

/// Bytes of the database, and of its log.
fn sizes(dir: &TempDir) -> (u64, u64) {
    let bytes = |name: &str| std::fs::metadata(dir.path().join(name)).map_or(0, |file| file.len());
    (bytes(FILE), bytes(&format!("{FILE}-wal")))
}

fn agent(number: u64) -> String {
    format!("agent:{number}")
}

/// Publishes all, many on their way at once.
fn publish(hub: &TestHub, events: impl Iterator<Item = (String, NewEvent)>) {
    let (tell, told) = std::sync::mpsc::channel();
    let mut sent = 0;
    for (name, event) in events {
        let tell = tell.clone();
        let done = Box::new(move |result: Result<_, _>| tell.send(result.is_ok()).expect("the test waits"));
        hub.hub.publish(room(&name), event, hub.clock.now(), done);
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
    let round = |from: u64| (from..from + 4_000).map(|n| (agent(n % 20), if n % 3 == 0 { keyed(n, "k") } else { event(n) }));
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
    publish(&hub, (0..40_000).map(|n| (agent(n % 300), once(n, &format!("key-{n}")))));
    hub.hub.stop();
    let (full, _) = sizes(&dir);
    drop(hub);
    clock.pass(400_000);
    let hub = start(SqliteOptions { retention: keep(100_000, 60_000), ..options(&dir, &clock) }, &clock);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(300);
    while sizes(&dir).0 > full / 2 {
        assert!(std::time::Instant::now() < deadline, "from {full} to {:?} bytes", sizes(&dir));
        std::thread::yield_now();
    }
    let offset = hub.enter("agent:1", None).joined.offset;
    assert_eq!(hub.publish("agent:1", event(0)).expect("published").offset, Some(offset + 1));
}

#[test]
fn snapshots_of_deserted_rooms_go_after_their_time_with_their_epoch() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let with = |clock: &Clock| SqliteOptions { retention: keep(100, 1_000).with_snapshots(600_000), ..options(&dir, clock) };
    let hub = start(with(&clock), &clock);
    // In the order in which the upkeep looks at them: when the last is gone, the others have been looked at.
    for name in ["agent:entered", "agent:young", "agent:old"] {
        (1..=3).for_each(|n| drop(hub.publish(name, keyed(n, &format!("key-{n}"))).expect("published")));
    }
    let epoch = hub.epoch("agent:old");
    clock.pass(600_000);
    hub.publish("agent:young", keyed(4, "key-1")).expect("published");
    hub.hub.stop();
    drop(hub);
    let hub = start(with(&clock), &clock);
    let _member = hub.enter("agent:entered", None);
    clock.pass(1);
    let connection = rusqlite::Connection::open(dir.path().join(FILE)).expect("a file");
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(300);
    while count("SELECT count(*) FROM rooms") > 2 {
        assert!(std::time::Instant::now() < deadline, "the old room's snapshot stays");
        std::thread::yield_now();
    }
    assert_eq!((count("SELECT count(*) FROM latest"), count("SELECT count(*) FROM events")), (6, 6));
    assert_eq!(hub.enter("agent:entered", None).offsets(), [1, 2, 3]);
    assert_eq!(hub.enter("agent:young", None).offsets(), [2, 3, 4]);
    for position in 0..=3 {
        let back = hub.join("agent:old", &epoch, position);
        assert!(!back.joined.recovered && back.offsets().is_empty() && back.joined.epoch != epoch, "from {position}");
    }
    assert_eq!(hub.publish("agent:old", keyed(1, "key-1")).expect("published").offset, Some(1));
}

#[test]
fn metrics_that_come_fast_go_as_fast_when_they_are_over_their_age() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let second = |seconds| Some(std::time::Duration::from_secs(seconds));
    let keep = Keep { raw: second(60), minutes: second(60), hours: second(60) };
    let options = || SqliteOptions { points: Some(std::sync::Arc::new(InThisFile::new(keep))), ..options(&dir, &clock) };
    let hub = start(options(), &clock);
    let metric = |n: u64| NewEvent {
        kind: "metric_update".into(),
        data: JsonObject::parse(&format!(r#"{{"metric":"calls","values":{{"active":{n}}}}}"#)).expect("an object"),
        ..event(n)
    };
    publish(&hub, (0..20_000).map(|n| ("dashboard:overview".to_owned(), metric(n))));
    hub.hub.stop();
    drop(hub);
    clock.pass(86_400_000);
    let _hub = start(options(), &clock);
    let connection = rusqlite::Connection::open(dir.path().join(FILE)).expect("a file");
    let left = || connection.query_row("SELECT count(*) FROM metric_points", [], |row| row.get::<_, i64>(0)).expect("a number");
    // A round of the upkeep comes every 10 s, and takes 2,000 points at a time: ten of them would be as many rounds.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(300);
    while left() > 0 {
        assert!(std::time::Instant::now() < deadline, "{} points are left", left());
        std::thread::yield_now();
    }
}
