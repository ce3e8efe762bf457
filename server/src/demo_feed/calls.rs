//! The numbers of the overview: calls, what they cost, how the system carries them, what they bring.

use std::collections::BTreeMap;
use std::time::Duration;

use osbackend_protocol::DomainEvent;

use super::{Random, STEP, metric};

/// Steps of the slow wave in the number of calls: three minutes, so that a chart has a shape.
const WAVE: f64 = 720.0;
/// Calls in the middle of that wave, with the usual number of agents busy.
const USUAL: f64 = 34.0;
const DAY: f64 = 86_400.0;

/// How many metrics there are.
pub(super) const METRICS: u64 = 4;
/// Their names, by turn.
pub(super) const NAMES: [&str; METRICS as usize] = ["voice_call", "call_cost", "system_health", "conversion"];

pub(super) struct Calls {
    active: f64,
    completed: f64,
    failed: f64,
    duration_sec: f64,
    usd: f64,
    per_minute: f64,
    cpu: f64,
    memory_mb: f64,
    latency_ms: f64,
    rate: f64,
    leads: f64,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self {
            active: 32.0,
            completed: 1240.0,
            failed: 31.0,
            duration_sec: 184.0,
            usd: 412.6,
            per_minute: 0.118,
            cpu: 38.0,
            memory_mb: 1480.0,
            latency_ms: 42.0,
            rate: 23.5,
            leads: 288.0,
        }
    }

    /// A quarter of a second with so many agents busy.
    pub(super) fn step(&mut self, busy: usize, step: u64, random: &mut Random) {
        let wave = (step as f64 / WAVE * std::f64::consts::TAU).sin();
        let expected = 26.0 + 14.0 * wave + 2.0 * busy as f64;
        self.active = random.walk(self.active, expected, 0.03, 0.9).max(0.0);
        let ended = self.active / self.duration_sec * 20.0 * STEP.as_secs_f64();
        self.completed += ended;
        if random.chance(ended * 0.06) {
            self.failed += 1.0;
        }
        self.drift(STEP, random);
        if random.chance(ended * self.rate / 100.0) {
            self.leads += 1.0;
        }
    }

    /// Before anything has happened.
    pub(super) fn empty_counters(&mut self) {
        (self.completed, self.failed, self.usd, self.leads) = (0.0, 0.0, 0.0, 0.0);
    }

    /// A longer time at once, `age` ago: the days have a shape, and the last one ends where the live business begins.
    pub(super) fn coast(&mut self, length: Duration, age: Duration, random: &mut Random) {
        let seconds = length.as_secs_f64();
        let expected = USUAL + 13.0 * (age.as_secs_f64() / DAY * std::f64::consts::TAU).sin();
        self.active = random.walk(self.active, expected, (seconds / 240.0).min(0.5), 1.8).max(0.0);
        let ended = self.active / self.duration_sec * seconds;
        self.completed += ended;
        self.failed += ended * random.within(0.0, 0.06);
        self.leads += ended * self.rate / 100.0;
        self.drift(length, random);
    }

    /// What moves in the same way however long the step is.
    fn drift(&mut self, length: Duration, random: &mut Random) {
        self.duration_sec = random.walk(self.duration_sec, 180.0, 0.01, 1.2).clamp(60.0, 400.0);
        self.per_minute = random.walk(self.per_minute, 0.12, 0.02, 0.0012).clamp(0.05, 0.3);
        self.usd += self.active * self.per_minute / 60.0 * length.as_secs_f64();
        self.cpu = random.walk(self.cpu, 14.0 + self.active * 0.8, 0.06, 1.4).clamp(1.0, 99.0);
        self.memory_mb = random.walk(self.memory_mb, 1300.0 + self.active * 6.0, 0.02, 4.0);
        self.latency_ms = random.walk(self.latency_ms, 28.0 + self.cpu * 0.4, 0.08, 2.2).max(4.0);
        self.rate = random.walk(self.rate, 24.0, 0.01, 0.18).clamp(5.0, 60.0);
    }

    /// Goes on from values that were published before, as they are named in [`Self::metric`].
    pub(super) fn resume(&mut self, values: &BTreeMap<String, f64>) {
        let fields = [
            ("active", &mut self.active),
            ("completed", &mut self.completed),
            ("failed", &mut self.failed),
            ("avgDurationSec", &mut self.duration_sec),
            ("usd", &mut self.usd),
            ("perMinute", &mut self.per_minute),
            ("cpu", &mut self.cpu),
            ("memoryMb", &mut self.memory_mb),
            ("latencyMs", &mut self.latency_ms),
            ("rate", &mut self.rate),
            ("leads", &mut self.leads),
        ];
        for (name, field) in fields {
            if let Some(value) = values.get(name) {
                *field = *value;
            }
        }
    }

    /// The metric whose turn it is.
    pub(super) fn metric(&self, turn: u64) -> DomainEvent {
        match turn {
            0 => metric(
                "voice_call",
                &[
                    ("active", (self.active.round() as u64).into()),
                    ("completed", (self.completed as u64).into()),
                    ("failed", (self.failed as u64).into()),
                    ("avgDurationSec", rounded(self.duration_sec, 1).into()),
                ],
            ),
            1 => metric("call_cost", &[("usd", rounded(self.usd, 2).into()), ("perMinute", rounded(self.per_minute, 4).into())]),
            2 => metric(
                "system_health",
                &[
                    ("cpu", rounded(self.cpu, 1).into()),
                    ("memoryMb", rounded(self.memory_mb, 0).into()),
                    ("latencyMs", rounded(self.latency_ms, 1).into()),
                ],
            ),
            _ => metric("conversion", &[("rate", rounded(self.rate, 1).into()), ("leads", (self.leads as u64).into())]),
        }
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
