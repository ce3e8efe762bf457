//! Both machines of the protocol in one deterministic simulation: virtual time, unreliable sockets, a server that restarts.
//!
//! After any schedule of drops, delays, restarts, losses of power, drains and slow readers every client has, for each room,
//! each event exactly once and in order, or was told `recovered: false`; what was acknowledged is still there, and once; a
//! session is its client's only; and no state but `closed` is ever stuck. Everything follows from one seed.
//! `SIM_SEED=…` runs one seed and prints what happened, `SIM_SEEDS=…` says how many are run, `SIM_FROM=…` from which on.

#![allow(clippy::unwrap_used, reason = "a failed assumption of a test is a failed test")]

mod app;
mod clients;
mod deeds;
mod dice;
mod durable;
mod judge;
mod mutant;
mod network;
mod node;
mod oracle;
mod orders;
mod presence;
mod process;
mod rest;
mod schedule;
mod sessions;
mod world;

use mutant::Mutant;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use world::{Tally, run};

/// Seeds in a normal run.
const SEEDS: u64 = 10_000;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}")))
}

/// The beginning of a long text.
fn short(text: &str) -> String {
    text.chars().take(600).collect()
}

/// What went wrong in `seed`, with all that led to it.
fn report(seed: u64, what: &str) -> String {
    let (_, trace) = run(seed, Mutant::None, true);
    let skipped = trace.len().saturating_sub(60);
    let trace = trace[skipped..].join("\n");
    format!(
        "{trace}\nseed {seed}: {what}\nrun it alone, with the whole trace: SIM_SEED={seed} cargo test -p osbackend-server --test simulation any_schedule"
    )
}

#[test]
fn any_schedule_of_faults_loses_nothing_in_silence() {
    if let Some(seed) = setting("SIM_SEED") {
        let (result, trace) = run(seed, Mutant::None, true);
        println!("{}", trace.join("\n"));
        println!("{:?}", result.unwrap_or_else(|what| panic!("seed {seed}: {what}")));
        return;
    }
    let (from, count) = (setting("SIM_FROM").unwrap_or(0), setting("SIM_SEEDS").unwrap_or(SEEDS));
    let next = AtomicU64::new(from);
    let failures = Mutex::new(Vec::new());
    let total = Mutex::new(Tally::default());
    let begin = Instant::now();
    // Each run has one thread; the runs share the machine.
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |number| number.get()) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    match run(seed, Mutant::None, false).0 {
                        Ok(tally) => *total.lock().unwrap() += tally,
                        Err(what) => failures.lock().unwrap().push((seed, what)),
                    }
                }
            });
        }
    });
    let (total, seconds) = (*total.lock().unwrap(), begin.elapsed().as_secs_f64());
    println!("{count} seeds in {seconds:.1} s, {:.0} a second: {total:?}", count as f64 / seconds);
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    if let Some((seed, what)) = failures.first() {
        let all: Vec<String> = failures.iter().take(25).map(|(seed, what)| format!("seed {seed}: {what}")).collect();
        panic!("{}\n{} of {count} seeds failed:\n{}", report(*seed, what), failures.len(), all.join("\n"));
    }
    // A run in which hardly anything happens would pass as well.
    assert!(total.delivered > count * 100, "too few events: {total:?}");
    assert!(total.skipped > count / 2, "too few conflated events: {total:?}");
    assert!(total.pictures > count, "too few pictures of presence: {total:?}");
    assert!(total.retried > count / 4, "too few publishes were retried: {total:?}");
    assert!(total.orders > count * 5 && total.repeated > count, "too few publishes by key: {total:?}");
    assert!(total.taken_over > count / 4 && total.thefts > count / 4, "too few resume tokens: {total:?}");
    assert!(total.drained > count / 20, "too few drains: {total:?}");
    assert!(total.handled > count / 20, "too few answers of slow handlers: {total:?}");
    assert!(total.recovered > count * 2 && total.lost > count * 2, "too few joins: {total:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..5 {
        assert_eq!(run(seed, Mutant::None, true).1, run(seed, Mutant::None, true).1, "seed {seed}");
    }
}

/// Within a few runs the judges must notice the mutant, in words that fit.
fn is_noticed(mutant: Mutant, words: &str) {
    let mut verdicts = Vec::new();
    for seed in 0..200 {
        let Err(what) = run(seed, mutant, false).0 else { continue };
        if what.contains(words) {
            println!("{mutant:?} was noticed with seed {seed}: {what}");
            return;
        }
        verdicts.push(what);
    }
    panic!("{mutant:?} went unnoticed: {verdicts:?}");
}

#[test]
fn an_event_lost_on_its_last_step_is_noticed() {
    is_noticed(Mutant::EventLost, "with skipped 0 came after");
}

#[test]
fn an_event_delivered_twice_is_noticed() {
    is_noticed(Mutant::EventTwice, "came again after");
}

#[test]
fn a_server_that_lies_about_recovery_is_noticed() {
    is_noticed(Mutant::LyingServer, "the snapshot's event");
}

#[test]
fn a_reliable_event_that_is_skipped_is_noticed() {
    is_noticed(Mutant::ReliableSkipped, "which nothing replaces");
}

#[test]
fn an_engine_that_acknowledges_before_its_commit_is_noticed() {
    is_noticed(Mutant::AcknowledgedEarly, "was acknowledged, and the restart left");
}

#[test]
fn an_epoch_that_goes_on_after_a_loss_is_noticed() {
    is_noticed(Mutant::EpochReused, "was acknowledged, and the restart left");
}

#[test]
fn an_engine_that_begins_a_new_epoch_for_no_reason_is_noticed() {
    is_noticed(Mutant::NewEpochAtRestart, "though nothing can have been lost");
}

#[test]
fn an_engine_that_forgets_its_history_at_a_restart_is_noticed() {
    is_noticed(Mutant::HistoryForgotten, "not recovered at");
}

#[test]
fn an_engine_that_forgets_idempotency_keys_at_a_restart_is_noticed() {
    is_noticed(Mutant::KeysForgotten, "was stored twice");
}

#[test]
fn a_resume_token_that_anyone_may_use_is_noticed() {
    is_noticed(Mutant::ForeignResume, "took over");
}

#[test]
fn a_key_of_resume_tokens_that_changes_is_noticed() {
    is_noticed(Mutant::ResumeKeyChanged, "lost its id");
}

#[test]
fn rights_that_outlive_their_token_are_noticed() {
    is_noticed(Mutant::RightsKept, "should be Refused");
}

#[test]
fn a_token_that_nobody_refreshes_is_noticed() {
    is_noticed(Mutant::ProviderSilent, "lost a healthy connection");
}

#[test]
fn a_drain_with_one_slot_for_all_is_noticed() {
    is_noticed(Mutant::OneSlot, "come back at once");
}

#[test]
fn a_drain_that_keeps_to_no_slot_is_noticed() {
    is_noticed(Mutant::SlotIgnored, "before its slot");
}

#[test]
fn a_client_that_is_stuck_is_noticed() {
    is_noticed(Mutant::DeafTimers, "is not live again");
}

#[test]
fn a_lost_word_of_who_came_or_went_is_noticed() {
    is_noticed(Mutant::PresenceLost, "believes");
}

#[test]
fn a_request_without_an_outcome_is_noticed() {
    is_noticed(Mutant::AnswerLost, "never had an outcome");
}

#[test]
fn a_handler_that_answers_another_question_is_noticed() {
    is_noticed(Mutant::AnswerMixed, "and was answered");
}

#[test]
fn an_event_that_passes_one_that_was_refused_for_now_is_noticed() {
    is_noticed(Mutant::OrderLost, "was stored after");
}

/// Found among 190,000 further seeds: an event that was refused for now and came again was passed by a later one, which had been
/// written meanwhile.
#[test]
fn the_order_holds_where_it_broke_by_a_refusal_for_now() {
    for seed in [3_018_687, 7_034_850] {
        run(seed, Mutant::None, false).0.unwrap_or_else(|what| panic!("{}", report(seed, &what)));
    }
}

#[test]
fn a_publish_that_is_stored_again_at_its_retry_is_noticed() {
    is_noticed(Mutant::KeyLost, "was stored twice");
}
