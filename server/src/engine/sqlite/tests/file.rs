//! Which ends of a process the streams survive, and which files are refused.

use super::*;
use crate::engine::{
    sqlite::{OpenError, SyncMode, file::FILE, schema},
    testing::event,
};

const ROOM: &str = "agent:1";

/// Five events by a process that ended as `end` does; whether the next one, at `boot`, recovers the last two.
fn recovers(
    end: impl Fn(TestHub),
    change: impl Fn(SqliteOptions) -> SqliteOptions,
    boot: &str,
    between: impl Fn(&TempDir),
) -> bool {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let hub = start(change(options(&dir, &clock)), &clock);
    let epoch = hub.epoch(ROOM);
    hub.notes(ROOM, 1..=5);
    end(hub);
    between(&dir);
    let hub = start(SqliteOptions { boot: Some(boot.to_owned()), ..change(options(&dir, &clock)) }, &clock);
    let back = hub.join(ROOM, &epoch, 3);
    assert_eq!(back.joined.recovered, back.joined.epoch == epoch);
    if back.joined.recovered {
        assert_eq!(back.offsets(), [4, 5]);
    }
    assert_eq!(hub.publish(ROOM, event(6)).expect("published").offset, Some(6));
    back.joined.recovered
}

/// Ends without a word: the file stays marked as in use.
fn crash(hub: TestHub) {
    hub.hub.stop();
}

fn unmark(dir: &TempDir) {
    let connection = rusqlite::Connection::open(dir.path().join(FILE)).expect("a file");
    let changed = connection.execute("UPDATE meta SET value = 0 WHERE name = 'clean' AND value = 1", []).expect("an update");
    assert_eq!(changed, 1, "a stop marks the file as whole");
}

#[test]
fn streams_go_on_after_a_stop_whatever_comes_between() {
    assert!(recovers(drop, |options| options, "first boot", |_| {}));
    assert!(recovers(drop, |options| options, "second boot", |_| {}));
}

#[test]
fn streams_go_on_after_a_crash_of_the_process_and_not_of_the_machine() {
    assert!(recovers(crash, |options| options, "first boot", unmark));
    assert!(!recovers(crash, |options| options, "second boot", unmark), "commits may be lost with the power");
    let full = |options| SqliteOptions { sync: SyncMode::Full, ..options };
    assert!(recovers(crash, full, "second boot", unmark), "each commit was on the disk");
}

#[test]
fn a_copy_that_is_put_back_is_another_lineage() {
    let copied = |dir: &TempDir| {
        let (file, copy) = (dir.path().join(FILE), dir.path().join("copy"));
        std::fs::copy(&file, &copy).expect("a copy");
        std::fs::rename(&copy, &file).expect("put back");
    };
    assert!(!recovers(drop, |options| options, "first boot", copied));
    // Written over the file in place; the mark beside it tells that another process has written since.
    let (dir, clock) = (TempDir::new(), Clock::new());
    drop(start(options(&dir, &clock), &clock));
    let old = std::fs::read(dir.path().join(FILE)).expect("a file");
    let hub = start(options(&dir, &clock), &clock);
    let epoch = hub.epoch(ROOM);
    hub.notes(ROOM, 1..=5);
    drop(hub);
    std::fs::write(dir.path().join(FILE), old).expect("put back");
    let hub = start(options(&dir, &clock), &clock);
    hub.notes(ROOM, 1..=5);
    assert!(!hub.join(ROOM, &epoch, 3).joined.recovered);
}

#[test]
fn a_newer_file_and_one_in_use_are_refused_with_what_to_do() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let hub = start(options(&dir, &clock), &clock);
    let refused = |dir| SqliteEngine::start(options(dir, &clock)).err().expect("refused");
    assert!(matches!(refused(&dir), OpenError::InUse { .. }));
    drop(hub);
    let connection = rusqlite::Connection::open(dir.path().join(FILE)).expect("a file");
    connection.pragma_update(None, "user_version", schema::VERSION + 1).expect("a version");
    drop(connection);
    let error = refused(&dir);
    assert!(matches!(error, OpenError::Newer { .. }) && error.to_string().contains("start that version again"), "{error}");
}

#[test]
fn damage_in_the_middle_is_found_at_the_start() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let hub = start(options(&dir, &clock), &clock);
    (1..=100).for_each(|n| drop(hub.publish(ROOM, event(n)).expect("published")));
    drop(hub);
    let path = dir.path().join(FILE);
    let mut bytes = std::fs::read(&path).expect("a file");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xff);
    std::fs::write(&path, bytes).expect("damaged");
    let error = SqliteEngine::start(options(&dir, &clock)).err().expect("refused");
    assert!(matches!(error, OpenError::Corrupt { .. }) && error.to_string().contains("backup"), "{error}");
}

#[test]
fn events_of_rooms_that_were_forgotten_are_not_missed() {
    let (dir, clock) = (TempDir::new(), Clock::new());
    let short = || SqliteOptions { retention: crate::engine::testing::keep(100, 60_000), ..options(&dir, &clock) };
    let hub = start(short(), &clock);
    hub.notes("agent:2", 1..=7);
    hub.hub.stop();
    drop(hub);
    clock.pass(8 * 86_400_000);
    let hub = start(short(), &clock);
    let epoch = hub.epoch(ROOM);
    hub.notes(ROOM, 1..=3);
    let connection = rusqlite::Connection::open(dir.path().join(FILE)).expect("a file");
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while count("SELECT count(*) FROM rooms") > 1 {
        assert!(std::time::Instant::now() < deadline, "the room is not forgotten");
        std::thread::yield_now();
    }
    crash(hub);
    let hub = start(short(), &clock);
    assert!(hub.join(ROOM, &epoch, 1).joined.recovered, "nothing of what is left was lost");
    hub.hub.stop();
    drop(hub);
    // As many events less in a room that is there are missed.
    connection.execute("UPDATE rooms SET offset = offset - 1", []).expect("an update");
    assert_ne!(start(short(), &clock).epoch(ROOM), epoch);
}
