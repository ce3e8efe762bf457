//! Exact recovery, proved on the real binary: it is killed again and again under load, and an oracle hears of everything.

// A test that fails says so; `clippy.toml` allows it in test functions only, and these have helpers.
#![allow(clippy::unwrap_used)]

mod oracle;
mod process;
mod raw;
mod run;
mod sdk;

use std::future::Future;
use std::time::Duration;

use oracle::Expected;
use run::{Plan, survive};

/// What the servers here check tokens with.
const SECRET: &str = "the tests' secret, longer than 32 bytes";

/// Fails the test where something that must happen does not; never what a passing test waits for.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(value) => value,
        Err(_) => panic!("waited 60 s for {what}"),
    }
}

/// `KILLS_SEED` runs another plan, or the one that failed again.
fn seed() -> u64 {
    std::env::var("KILLS_SEED").ok().map_or(1, |seed| seed.parse().expect("KILLS_SEED is no number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_fifty_kills_under_load_nothing_is_lost_doubled_or_out_of_order() {
    let plan = Plan {
        engine: "sqlite",
        expected: Expected::Continues,
        kills: 50,
        clients: 200,
        rooms: 20,
        connect_rate: 0,
        seed: seed(),
    };
    let outcome = survive(plan).await;
    assert_eq!(outcome.refused, 0);
    // Each life but those that are cut short in the storm brings everyone back, into two rooms.
    assert!(outcome.recovered > 10_000 && outcome.acknowledged > 2_000, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_file_every_kill_is_another_epoch_and_nobody_is_told_otherwise() {
    let plan =
        Plan { engine: "memory", expected: Expected::Lost, kills: 6, clients: 60, rooms: 10, connect_rate: 0, seed: seed() };
    let outcome = survive(plan).await;
    assert_eq!(outcome.recovered, 0);
    assert!(outcome.refused > 400 && outcome.acknowledged > 100, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_let_in_at_the_connect_rate_and_nobody_is_turned_away() {
    let plan = Plan {
        engine: "sqlite",
        expected: Expected::Continues,
        kills: 1,
        clients: 300,
        rooms: 20,
        connect_rate: 100,
        seed: seed(),
    };
    // A raw client that is turned away doesn't come again in this life: the run would not end.
    let outcome = survive(plan).await;
    assert_eq!(outcome.refused, 0);
    // A hundred at once, and then a hundred a second: no machine is fast enough to be sooner.
    assert!(outcome.returned_in.as_millis() >= 1_900, "{outcome:?}");
}
