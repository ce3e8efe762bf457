//! The bodies of the `cargo fuzz` targets on a fixed set of inputs: seeds, and what a seeded generator makes of them.
//!
//! The targets themselves are in `fuzz/`, which needs libFuzzer; how to run them is in CONTRIBUTING.md.

// A test that fails says so; `clippy.toml` allows it in test functions only, and these have helpers.
#![allow(clippy::unwrap_used)]

mod decode;
mod session;

use serde_json::Value;

const GENERATED: usize = 5_000;

/// SplitMix64: the same inputs in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// The texts of the golden frames: good ones, bad ones, and arrays of them.
fn frames() -> Vec<Vec<u8>> {
    let good: Vec<Value> = serde_json::from_str(include_str!("../../../shared-protocol/fixtures/client_frames.json")).unwrap();
    let bad: Vec<Value> = serde_json::from_str(include_str!("../../../shared-protocol/fixtures/bad_client_frames.json")).unwrap();
    let good: Vec<String> = good.iter().map(|entry| entry["frame"].to_string()).collect();
    let bad = bad.iter().map(|entry| entry["text"].as_str().map_or_else(|| entry["frame"].to_string(), str::to_owned));
    let array = format!("[{}]", good.join(","));
    good.iter().cloned().chain(bad).chain([array]).map(String::into_bytes).collect()
}

const TOKENS: [&[u8]; 14] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"null",
    b"1e999",
    b"\\ud800",
    b"\"type\":",
    b"\"id\":-0",
    b",",
    b"\xf0\x9f\x98\x80",
    b"\0",
];

fn mutated(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(input.len() + 1);
        match dice.below(6) {
            0 => drop(input.drain(at..)),
            1 => drop(input.splice(at..at, TOKENS[dice.below(TOKENS.len())].iter().copied())),
            2 if at < input.len() => input[at] = dice.next().to_le_bytes()[0],
            3 if at < input.len() => drop(input.remove(at)),
            4 => {
                let other = &seeds[dice.below(seeds.len())];
                input.truncate(at);
                input.extend(&other[dice.below(other.len() + 1)..]);
            }
            _ => {
                let deep = dice.below(40);
                drop(input.splice(at..at, std::iter::repeat_n(b'[', deep)));
                input.extend(std::iter::repeat_n(b']', deep));
            }
        }
    }
    input
}

#[test]
fn the_decoder_keeps_its_promises_on_any_text() {
    let seeds = frames();
    seeds.iter().for_each(|seed| decode::run(seed));
    let mut dice = Dice(1);
    for _ in 0..GENERATED {
        decode::run(&mutated(&mut dice, &seeds));
    }
}

#[test]
fn a_session_keeps_its_promises_in_any_sequence() {
    let mut dice = Dice(2);
    for _ in 0..GENERATED {
        let input: Vec<u8> = (0..dice.below(300)).map(|_| dice.next().to_le_bytes()[0]).collect();
        session::run(&input);
    }
}

/// Inputs that libFuzzer found to break a promise, each with what it was.
#[test]
fn what_was_found_stays_fixed() {
    for input in FOUND_IN_SESSION {
        session::run(input);
    }
    for input in FOUND_IN_DECODER {
        decode::run(input);
    }
}

const FOUND_IN_SESSION: [&[u8]; 0] = [];
const FOUND_IN_DECODER: [&[u8]; 0] = [];
