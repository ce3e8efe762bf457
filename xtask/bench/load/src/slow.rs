//! Members that stop reading among members that don't: what the others notice of it, and what it costs the server.
//!
//! Values are published at a steady rate, each meant for a moment that is fixed beforehand: a publisher that was held up
//! doesn't make the figures better than they are.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::args::Args;
use crate::frames;
use crate::process::Process;
use crate::swarm::{Identity, Swarm};
use crate::token;

/// Keys of the published values: an older one gives way to a newer one of the same. Enough that nothing gives way for a healthy
/// member that a busy machine holds up for seconds, and too few to fill the queue of one that doesn't read.
const KEYS: u64 = 200;
/// Together far more than the system holds for one connection (4 MiB to be sent, on Linux): many give way before they are
/// written.
const FILLERS: usize = 300;
const FILLER_BYTES: usize = 60_000;
const FILLER_PAUSE: Duration = Duration::from_millis(20);
const QUIET: Duration = Duration::from_millis(300);

struct Run {
    swarm: Swarm,
    publisher: usize,
    bytes: usize,
    every: Duration,
    /// When each event was meant to be published.
    due: Vec<Instant>,
    received: Vec<u32>,
}

/// `--healthy` members and `--stalled` ones, of which the latter stop reading half way.
pub(crate) fn run(args: &Args) -> Result<Value> {
    let server = Process(args.number("pid")?);
    let (healthy, stalled): (usize, usize) = (args.number("healthy")?, args.number("stalled")?);
    let (warmup, window) = (args.millis("warmup-ms")?, args.millis("window-ms")?);
    let rate: u32 = args.number("rate")?;
    let mut identities = (0..healthy + stalled)
        .map(|n| {
            let token = token::sign(args.secret()?, &format!("bench-user-{n}"), "user")?;
            // What the system would hold for a reader that doesn't read is not what is measured.
            Ok(Identity { token, member: true, small_buffer: n >= healthy, opening: None })
        })
        .collect::<Result<Vec<_>>>()?;
    let token = token::sign(args.secret()?, "bench-admin", "admin")?;
    identities.push(Identity { token, member: false, small_buffer: false, opening: None });
    let mut swarm = Swarm::new(args.addr()?, args.dialect()?)?;
    swarm.connect(identities, args.millis("within-ms")?)?;
    swarm.settle(QUIET, Duration::from_secs(20))?;

    let mut run = Run {
        swarm,
        publisher: healthy + stalled,
        bytes: args.number("bytes")?,
        every: Duration::from_secs(1) / rate,
        due: Vec::new(),
        received: vec![0; healthy],
    };
    run.publish_for(warmup)?;
    let before = run.publish_for(window)?;
    let resident_before = server.resident()?;
    let published_before = run.due.len();
    run.swarm.pause(healthy..healthy + stalled);
    run.fill()?;
    run.publish_for(warmup)?;
    let during = run.publish_for(window)?;
    let resident_during = server.resident()?;
    let late = run.wake(healthy..healthy + stalled, published_before)?;
    let (before, during) = (Quantiles::of(&before)?, Quantiles::of(&during)?);
    Ok(json!({
        "latencyMillisP50Before": before.p50,
        "latencyMillisP99Before": before.p99,
        "latencyMillisP50During": during.p50,
        "latencyMillisP99During": during.p99,
        "timesP99": during.p99 / before.p99,
        "bytesPerStalled": resident_during.saturating_sub(resident_before) as f64 / stalled as f64,
        "conflatedShare": 1.0 - late,
        "events": run.due.len(),
    }))
}

impl Run {
    /// Publishes at the rate for so long, and waits until the healthy members have it all; for each second of it, a
    /// latency a delivery, in microseconds.
    fn publish_for(&mut self, length: Duration) -> Result<Vec<Vec<u32>>> {
        let mut latencies = Vec::new();
        let begun = Instant::now();
        let first = self.due.len();
        let end = begun + length;
        loop {
            let now = Instant::now();
            let next = begun + self.every * u32::try_from(self.due.len() - first)?;
            if next < end && next <= now {
                let seq = self.due.len() as u64;
                let mut frame = Vec::new();
                frames::encode(frames::TEXT, metric(seq, self.bytes).as_bytes(), &mut frame);
                self.due.push(next);
                self.swarm.send(self.publisher, &frame)?;
                continue;
            }
            if next >= end && self.received.iter().all(|received| *received as usize == self.due.len()) {
                return Ok(latencies);
            }
            if now > end + Duration::from_secs(10) {
                bail!("events never reached all healthy members");
            }
            let wait = if next < end { next - now } else { Duration::from_millis(50) };
            let (received, due) = (&mut self.received, &self.due);
            self.swarm.turn(wait, |member, count| {
                // Nothing gives way for a healthy member: each value comes.
                if let Some(received) = received.get_mut(member) {
                    let now = Instant::now();
                    let from = *received as usize;
                    *received += count;
                    for due in due.iter().skip(from).take(count as usize) {
                        let second = (*due - begun).as_secs() as usize;
                        if latencies.len() <= second {
                            latencies.resize_with(second + 1, Vec::new);
                        }
                        latencies[second].push(u32::try_from((now - *due).as_micros()).unwrap_or(u32::MAX));
                    }
                }
            })?;
        }
    }

    /// Fills what lies between the server and the members that don't read, so that the server's own queues have to hold the
    /// rest. One key: of what is too much the newest waits.
    fn fill(&mut self) -> Result<()> {
        let fill = "x".repeat(FILLER_BYTES);
        let data = format!(r#"{{"metric":"filler","values":{{"fill":"{fill}"}}}}"#);
        let room = crate::dialect::SLOW_ROOM;
        let text = format!(r#"{{"type":"publish","payload":{{"room":"{room}","type":"metric_update","data":{data}}}}}"#);
        let mut frame = Vec::new();
        frames::encode(frames::TEXT, text.as_bytes(), &mut frame);
        for _ in 0..FILLERS {
            self.swarm.send(self.publisher, &frame)?;
            // The server takes them one by one: together they would be one write to each.
            self.swarm.turn(FILLER_PAUSE, |_, _| ())?;
        }
        Ok(())
    }

    /// Lets the stalled ones read again; the share of what was published since event `from` that they still got.
    fn wake(&mut self, stalled: Range<usize>, from: usize) -> Result<f64> {
        let (mut got, first) = (0_u64, stalled.start);
        let count = |member: usize, events: u32, got: &mut u64| {
            if member >= first {
                *got += u64::from(events);
            }
        };
        // A connection that was closed as too slow ends the measurement here: `latest` values never are.
        self.swarm.resume(stalled.clone(), |member, events| count(member, events, &mut got))?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.swarm.turn(QUIET, |member, events| count(member, events, &mut got))? {
            if Instant::now() > deadline {
                bail!("the stalled members never caught up");
            }
        }
        let published = (self.due.len() - from) * stalled.len();
        Ok(got as f64 / published as f64)
    }
}

/// The message by which the publisher sends value `seq`, about `bytes` long.
fn metric(seq: u64, bytes: usize) -> String {
    let (key, marker, fill) = (seq % KEYS, crate::dialect::MARKER, "x".repeat(bytes));
    let data = format!(r#"{{"metric":"m{key}","values":{{{marker}:{seq},"fill":"{fill}"}}}}"#);
    format!(r#"{{"type":"publish","payload":{{"room":"agent:7","type":"metric_update","data":{data}}}}}"#)
}

/// Each of one second, the median of all seconds: what another program does to one of them decides nothing.
struct Quantiles {
    p50: f64,
    p99: f64,
}

impl Quantiles {
    fn of(seconds: &[Vec<u32>]) -> Result<Self> {
        let full: Vec<Vec<u32>> = seconds.iter().filter(|second| !second.is_empty()).map(|second| sorted(second)).collect();
        if full.is_empty() {
            bail!("nothing was delivered within the window: make it longer");
        }
        let of_seconds = |quantile| {
            let values: Vec<u32> = full.iter().map(|second| at(second, quantile)).collect();
            f64::from(at(&sorted(&values), 0.5)) / 1000.0
        };
        Ok(Self { p50: of_seconds(0.5), p99: of_seconds(0.99) })
    }
}

fn sorted(values: &[u32]) -> Vec<u32> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted
}

/// Of sorted values, at least one.
fn at(sorted: &[u32], quantile: f64) -> u32 {
    sorted[(quantile * (sorted.len() - 1) as f64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_disturbed_second_decides_nothing() {
        let quiet: Vec<u32> = (1..=100).map(|n| n * 1000).collect();
        let disturbed = vec![900_000; 100];
        let quantiles = Quantiles::of(&[quiet.clone(), disturbed, quiet, Vec::new()]).unwrap();
        assert_eq!((quantiles.p50, quantiles.p99), (50.0, 99.0));
        assert!(Quantiles::of(&[]).is_err());
    }
}
