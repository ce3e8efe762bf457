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
    let plan = Plan { engine: "sqlite", expected: Expected::Continues, kills: 50, clients: 200, rooms: 20, seed: seed() };
    let (recovered, refused, acknowledged) = survive(plan).await;
    assert_eq!(refused, 0);
    // Each life but those that are cut short in the storm brings everyone back, into two rooms.
    assert!(recovered > 10_000, "{recovered} recoveries");
    assert!(acknowledged > 2_000, "{acknowledged} publishes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_file_every_kill_is_another_epoch_and_nobody_is_told_otherwise() {
    let plan = Plan { engine: "memory", expected: Expected::Lost, kills: 6, clients: 60, rooms: 10, seed: seed() };
    let (recovered, refused, acknowledged) = survive(plan).await;
    assert_eq!(recovered, 0);
    assert!(refused > 400, "{refused} refused recoveries");
    assert!(acknowledged > 100, "{acknowledged} publishes");
}
