//! Many clients of one room come back at once, each having missed many events: whether each gets exactly those, and what the
//! members that were there all the time notice of it, in the same room and in another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use serde_json::{Value, json};

use crate::args::Args;
use crate::dialect::{Dialect, MARKER};
use crate::frames;
use crate::swarm::{Identity, Swarm};
use crate::token;
use crate::victim::{Victim, fresh, port_below_the_ephemeral};

/// Where the events are missed, and where nothing is.
const ROOMS: [&str; 2] = ["agent:7", "agent:9"];
/// Numbers of live events begin here: those below are the missed ones.
const LIVE: u64 = 1_000_000;
/// Missed events that are published with one write.
const TOGETHER: u64 = 50;
const WITHIN: Duration = Duration::from_secs(60);

/// Those that stay: half of them in each room, and behind them the publisher.
struct Stayers {
    swarm: Swarm,
    members: usize,
    every: Duration,
    bytes: usize,
    /// When each live event was meant to be published.
    due: Vec<Instant>,
    /// Live events that each member has got.
    received: Vec<u64>,
    missed: Vec<u64>,
}

/// `--clients` clients miss `--missed` events; `--stayers` members get `--rate` live events a second meanwhile.
pub(crate) fn run(args: &Args) -> Result<Value> {
    let (clients, missed): (usize, u64) = (args.number("clients")?, args.number("missed")?);
    let (rate, bytes): (u32, usize) = (args.number("rate")?, args.number("bytes")?);
    let quiet = args.millis("window-ms")?;
    let victim = Victim {
        program: args.text("server")?.into(),
        dir: fresh(args.text("dir")?.as_ref(), "recovery")?,
        secret: args.secret()?.to_owned(),
        port: port_below_the_ephemeral()?,
        // All at once, and the live events don't push those that are missed out of the history meanwhile.
        env: vec![("CONNECT_RATE", "0".to_owned()), ("HISTORY_SIZE", (4 * missed).to_string())],
        log: None,
    };
    let running = victim.start()?;
    let (addr, secret, process) = (running.ws, victim.secret.clone(), running.process());
    let mut stayers = Stayers::gather(addr, &secret, args.number("stayers")?, rate, bytes)?;
    let before = stayers.live(|begun| begun.elapsed() >= quiet)?;
    let position = positions(addr, &secret, clients)?;
    stayers.miss(missed)?;
    // The first room has the even numbers.
    let live = LIVE + stayers.due.len().next_multiple_of(2) as u64;
    let resident_before = process.resident()?;
    let (done, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let (tell, opening) = (done.clone(), json!([{"room": ROOMS[0], "epoch": position.0, "offset": position.1}]));
    let returning = thread::spawn(move || {
        let recovered = recover(addr, &secret, clients, missed, live, &opening);
        tell.store(true, Ordering::Release);
        recovered
    });
    let during = stayers.live(|_| done.load(Ordering::Acquire))?;
    let mut seconds = returning.join().map_err(|_| anyhow::anyhow!("the clients that come back panicked"))??;
    seconds.sort_by(f64::total_cmp);
    let (resident, peak) = (process.resident()?, process.peak()?);
    let quantile = |times: &[f64], share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok(json!({
        "clients": clients,
        "missed": missed,
        "secondsUntilHalfHaveAll": quantile(&seconds, 0.5),
        "secondsUntilAllHaveAll": quantile(&seconds, 1.0),
        "secondsInAll": began.elapsed().as_secs_f64(),
        "liveMillisP99Before": quantile(&before, 0.99),
        "liveMillisP50": quantile(&during, 0.5),
        "liveMillisP99": quantile(&during, 0.99),
        "liveMillisMax": quantile(&during, 1.0),
        "liveDeliveries": during.len(),
        "residentBefore": resident_before,
        "residentPeak": peak.max(resident),
    }))
}

fn identity(secret: &str, user: &str, role: &str, rooms: &Value) -> Result<Identity> {
    let token = token::sign(secret, user, role)?;
    let payload = json!({"protocol": 1, "token": token, "rooms": rooms, "batch": true});
    let opening = Some(json!({"type": "connect", "payload": payload}).to_string());
    Ok(Identity { token, member: true, small_buffer: false, opening })
}

/// Lets the clients join and leave again; the position from which they miss.
fn positions(addr: SocketAddr, secret: &str, clients: usize) -> Result<(String, u64)> {
    let identities = (0..clients)
        .map(|n| identity(secret, &format!("bench-user-{n}"), "user", &json!([{"room": ROOMS[0]}])))
        .collect::<Result<Vec<_>>>()?;
    let mut position = None;
    Swarm::new(addr, Dialect::Batch)?.connect_and_see(identities, WITHIN, |_, message| {
        let found = joined(message).and_then(|room| Some((room["epoch"].as_str()?.to_owned(), room["offset"].as_u64()?)));
        position = found.or(position.take());
    })?;
    position.context("no greeting told a position")
}

/// What a greeting says of the room where events are missed. The user's own room stands beside it, and is joined without a position.
fn joined(message: &[u8]) -> Option<Value> {
    memmem::find(message, br#""connection_established""#)?;
    let messages: Value = serde_json::from_slice(message).ok()?;
    let all = messages.as_array().map_or(std::slice::from_ref(&messages), Vec::as_slice);
    let mut rooms = all.iter().filter_map(|message| message["data"]["rooms"].as_array()).flatten();
    rooms.find(|room| room["room"] == ROOMS[0]).cloned()
}

/// The numbers of the events in a message, in their order.
fn numbers(message: &[u8]) -> impl Iterator<Item = u64> {
    memmem::find_iter(message, MARKER).map(|at| {
        let digits = message[at + MARKER.len() + 1..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    })
}

/// All come back from the position; when each had all that it missed. Fails where one gets anything else.
fn recover(addr: SocketAddr, secret: &str, clients: usize, missed: u64, live: u64, rooms: &Value) -> Result<Vec<f64>> {
    let identities =
        (0..clients).map(|n| identity(secret, &format!("bench-user-{n}"), "user", rooms)).collect::<Result<Vec<_>>>()?;
    // The next number that each must get: the missed ones, then live ones from `live` on, of which the other room has every second.
    let mut next = vec![1; clients];
    let (mut complete, mut wrong, mut refused) = (Vec::with_capacity(clients), None, 0);
    let mut seen = |began: Instant, complete: &mut Vec<f64>, client: usize, message: &[u8]| {
        refused += usize::from(joined(message).is_some_and(|room| room["recovered"] != true));
        for number in numbers(message) {
            let expected = next[client];
            if number != expected {
                wrong.get_or_insert((client, expected, number));
            }
            next[client] = match number {
                number if number > missed => number + 2,
                number if number == missed => live,
                number => number + 1,
            };
            if number == missed {
                complete.push(began.elapsed().as_secs_f64());
            }
        }
    };
    let mut swarm = Swarm::new(addr, Dialect::Batch)?.all_at_once();
    let began = Instant::now();
    swarm.connect_and_see(identities, WITHIN, |client, message| seen(began, &mut complete, client, message))?;
    while complete.len() < clients {
        ensure!(began.elapsed() < WITHIN, "only {} of {clients} clients have all after {WITHIN:?}", complete.len());
        swarm.see(Duration::from_millis(100), |client, message| seen(began, &mut complete, client, message))?;
    }
    // What would be delivered twice comes later: the live events behind it go on for a moment.
    let after = Instant::now();
    while after.elapsed() < Duration::from_millis(500) {
        swarm.see(Duration::from_millis(100), |client, message| seen(began, &mut complete, client, message))?;
    }
    if let Some((client, expected, number)) = wrong {
        bail!("client {client} got event {number} instead of {expected}");
    }
    ensure!(refused == 0, "{refused} clients were told that they had not recovered");
    Ok(complete)
}

impl Stayers {
    fn gather(addr: SocketAddr, secret: &str, members: usize, rate: u32, bytes: usize) -> Result<Self> {
        let mut identities = (0..members)
            .map(|n| identity(secret, &format!("bench-stayer-{n}"), "user", &json!([{"room": ROOMS[n % 2]}])))
            .collect::<Result<Vec<_>>>()?;
        identities.push(identity(secret, "bench-admin", "admin", &json!([]))?);
        let mut swarm = Swarm::new(addr, Dialect::Batch)?;
        swarm.connect(identities, WITHIN)?;
        let every = Duration::from_secs(1) / rate;
        Ok(Self { swarm, members, every, bytes, due: Vec::new(), received: vec![0; members], missed: vec![0; members] })
    }

    fn publish(&mut self, room: usize, numbers: impl Iterator<Item = u64>) -> Result<()> {
        let (room, fill) = (ROOMS[room], "x".repeat(self.bytes));
        let mut frames = Vec::new();
        for number in numbers {
            let data = format!(r#"{{{MARKER}:{number},"fill":"{fill}"}}"#);
            let text = format!(r#"{{"type":"publish","payload":{{"room":"{room}","type":"bench_event","data":{data}}}}}"#);
            frames::encode(frames::TEXT, text.as_bytes(), &mut frames);
        }
        self.swarm.send(self.members, &frames)
    }

    /// Publishes what the others miss; returns when those that stayed in the room have it, so that it is stored.
    fn miss(&mut self, events: u64) -> Result<()> {
        for first in (1..=events).step_by(TOGETHER as usize) {
            self.publish(0, first..=events.min(first + TOGETHER - 1))?;
            let until = Instant::now() + WITHIN;
            while (0..self.members).step_by(2).any(|member| self.missed[member] + 1 < first) {
                self.take(Duration::from_millis(100), &mut Vec::new())?;
                ensure!(Instant::now() < until, "an event never reached all members");
            }
        }
        let until = Instant::now() + WITHIN;
        while (0..self.members).step_by(2).any(|member| self.missed[member] < events) {
            self.take(Duration::from_millis(100), &mut Vec::new())?;
            ensure!(Instant::now() < until, "an event never reached all members");
        }
        Ok(())
    }

    /// Publishes at the rate into both rooms in turn until `over`, and waits for the last; milliseconds of every delivery, sorted.
    fn live(&mut self, over: impl Fn(Instant) -> bool) -> Result<Vec<f64>> {
        let (begun, first, mut latencies) = (Instant::now(), self.due.len(), Vec::new());
        let mut ended = None;
        loop {
            let now = Instant::now();
            let next = begun + self.every * u32::try_from(self.due.len() - first)?;
            if ended.is_none() && over(begun) {
                ended = Some(now);
            }
            if let Some(ended) = ended {
                let all = self.received.iter().zip(0..).all(|(received, member)| *received == self.published(member % 2));
                if all && !latencies.is_empty() {
                    latencies.sort_by(f64::total_cmp);
                    return Ok(latencies);
                }
                ensure!(now - ended < WITHIN, "a live event never reached all members");
            } else if now >= next {
                let number = self.due.len();
                // Of the moment that was meant: a publisher that was held up doesn't make the figures better than they are.
                self.due.push(next);
                self.publish(number % 2, std::iter::once(LIVE + number as u64))?;
            }
            let patience =
                if ended.is_some() { Duration::from_millis(20) } else { next.saturating_duration_since(Instant::now()) };
            self.take(patience.min(Duration::from_millis(20)), &mut latencies)?;
        }
    }

    /// Live events of a room so far.
    fn published(&self, room: u64) -> u64 {
        (self.due.len() as u64 + 1 - room) / 2
    }

    fn take(&mut self, patience: Duration, latencies: &mut Vec<f64>) -> Result<()> {
        let Self { swarm, due, received, missed, members, .. } = self;
        swarm.see(patience, |member, message| {
            // The publisher hears of its acknowledgements only.
            if member >= *members {
                return;
            }
            let now = Instant::now();
            for number in numbers(message) {
                match number.checked_sub(LIVE) {
                    Some(live) => {
                        received[member] += 1;
                        latencies.push((now - due[live as usize]).as_secs_f64() * 1000.0);
                    }
                    None => missed[member] = number,
                }
            }
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_tells_of_the_room_and_not_of_the_users_own() {
        let greeting = br#"[{"type":"connection_established","data":{"rooms":[
            {"room":"user:a","recovered":false},{"room":"agent:7","epoch":"e","offset":4,"recovered":true}]}},{"type":"x"}]"#;
        assert_eq!(joined(greeting).map(|room| room["recovered"] == true), Some(true));
        assert_eq!(joined(br#"{"type":"bench_event","data":{"rooms":[]}}"#), None);
    }

    #[test]
    fn numbers_of_a_batch_are_found_in_order() {
        let batch = br#"[{"data":{"benchSeq":7,"fill":"x"}},{"data":{"benchSeq":1000012}}]"#;
        assert_eq!(numbers(batch).collect::<Vec<_>>(), [7, 1_000_012]);
        assert_eq!(numbers(br#"{"type":"published"}"#).count(), 0);
    }
}
