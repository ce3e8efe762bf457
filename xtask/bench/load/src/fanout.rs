//! One publisher, many members, a fixed number of events on their way: what a delivery costs the server.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::args::Args;
use crate::dialect::Dialect;
use crate::frames;
use crate::process::{CpuReading, Process};
use crate::swarm::{Identity, Swarm};
use crate::token;

/// Nothing delivered for so long means that events were lost.
const STALLED: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(300);

/// Which events have reached whom.
struct Ledger {
    members: usize,
    /// Events received, by member.
    received: Vec<u32>,
    /// By event: members still without it, and when it was published.
    events: Vec<(u32, Instant)>,
    completed: usize,
    deliveries: u64,
    /// Reads that brought at least one event: how much came at once.
    reads: u64,
    latencies: Vec<Duration>,
}

impl Ledger {
    fn new(members: usize) -> Self {
        Self {
            members,
            received: vec![0; members],
            events: Vec::new(),
            completed: 0,
            deliveries: 0,
            reads: 0,
            latencies: Vec::new(),
        }
    }

    fn published(&mut self) {
        self.events.push((self.members as u32, Instant::now()));
    }

    /// `member` got its next `count` events. Every server keeps the order of a room, so counting is enough.
    fn delivered(&mut self, member: usize, count: u32) {
        let Some(received) = self.received.get_mut(member) else {
            return;
        };
        let from = *received as usize;
        *received += count;
        self.deliveries += u64::from(count);
        self.reads += 1;
        for (missing, published) in self.events.iter_mut().skip(from).take(count as usize) {
            *missing -= 1;
            if *missing == 0 {
                self.completed += 1;
                self.latencies.push(published.elapsed());
            }
        }
    }

    fn outstanding(&self) -> usize {
        self.events.len() - self.completed
    }
}

/// State at the start of the measured window.
struct Window {
    started: Instant,
    server: CpuReading,
    own: CpuReading,
    deliveries: u64,
    reads: u64,
    latencies: usize,
}

/// Keeps `--outstanding` events on their way to `--members` members for `--warmup-ms` and then `--window-ms`.
pub(crate) fn run(args: &Args) -> Result<Value> {
    let (server, own) = (Process(args.number("pid")?), Process(std::process::id()));
    let members: usize = args.number("members")?;
    let outstanding: usize = args.number("outstanding")?;
    let bytes: usize = args.number("bytes")?;
    let (warmup, length) = (args.millis("warmup-ms")?, args.millis("window-ms")?);
    let dialect = args.dialect()?;

    let mut identities = (0..members)
        .map(|n| {
            Ok(Identity {
                token: token::sign(args.secret()?, &format!("bench-user-{n}"), "user")?,
                member: true,
                small_buffer: false,
                opening: None,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    // The publisher is the last connection: its index is the number of members.
    identities.push(Identity {
        token: token::sign(args.secret()?, "bench-admin", "admin")?,
        member: false,
        small_buffer: false,
        opening: None,
    });
    let mut swarm = Swarm::new(args.addr()?, dialect)?;
    swarm.connect(identities, args.millis("within-ms")?)?;
    swarm.settle(QUIET, Duration::from_secs(20))?;

    let mut ledger = Ledger::new(members);
    publish(&mut swarm, &mut ledger, dialect, outstanding, bytes)?;
    let begun = Instant::now();
    let mut last_delivery = begun;
    let mut window: Option<Window> = None;
    loop {
        let before = ledger.deliveries;
        swarm.turn(Duration::from_millis(100), |member, count| ledger.delivered(member, count))?;
        publish(&mut swarm, &mut ledger, dialect, outstanding, bytes)?;
        let now = Instant::now();
        if ledger.deliveries > before {
            last_delivery = now;
        } else if now - last_delivery > STALLED {
            bail!("{} events never reached all members", ledger.outstanding());
        }
        match &window {
            None if now - begun >= warmup => {
                window = Some(Window {
                    started: now,
                    server: server.cpu()?,
                    own: own.cpu()?,
                    deliveries: ledger.deliveries,
                    reads: ledger.reads,
                    latencies: ledger.latencies.len(),
                });
            }
            Some(window) if now - window.started >= length => {
                return report(&ledger, window, server, own);
            }
            _ => {}
        }
    }
}

/// Tops up to `outstanding` events on their way, as one write.
fn publish(swarm: &mut Swarm, ledger: &mut Ledger, dialect: Dialect, outstanding: usize, bytes: usize) -> Result<()> {
    let mut batch = Vec::new();
    while ledger.outstanding() < outstanding {
        let seq = ledger.events.len() as u64 + 1;
        frames::encode(frames::TEXT, dialect.publish(seq, bytes).as_bytes(), &mut batch);
        ledger.published();
    }
    if batch.is_empty() { Ok(()) } else { swarm.send(ledger.members, &batch) }
}

fn report(ledger: &Ledger, window: &Window, server: Process, own: Process) -> Result<Value> {
    let deliveries = (ledger.deliveries - window.deliveries) as f64;
    let mut latencies = ledger.latencies[window.latencies..].to_vec();
    if latencies.is_empty() {
        bail!("no event reached all members within the window: make it longer");
    }
    latencies.sort_unstable();
    let millis = |quantile: f64| {
        let index = (quantile * (latencies.len() - 1) as f64) as usize;
        latencies[index].as_secs_f64() * 1000.0
    };
    Ok(json!({
        "cpuMicrosPerDelivery": window.server.micros_until(&server.cpu()?) / deliveries,
        "loadMicrosPerDelivery": window.own.micros_until(&own.cpu()?) / deliveries,
        "eventsPerRead": deliveries / (ledger.reads - window.reads) as f64,
        "deliveriesPerSecond": deliveries / window.started.elapsed().as_secs_f64(),
        "latencyMillisP50": millis(0.5),
        "latencyMillisP99": millis(0.99),
        "events": latencies.len(),
    }))
}
