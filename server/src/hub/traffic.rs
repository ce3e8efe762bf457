//! What one connection read and wrote. Only its own task counts, so that counting is a plain addition, not a locked one; others
//! may look at any time.

use std::sync::atomic::{AtomicU64, Ordering};

/// Messages and bytes one way.
#[derive(Debug, Default)]
pub struct Flow {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Flow {
    /// Adds messages; to be called by one task only.
    pub fn add(&self, messages: usize, bytes: usize) {
        let add = |sum: &AtomicU64, more: usize| sum.store(sum.load(Ordering::Relaxed) + more as u64, Ordering::Relaxed);
        add(&self.messages, messages);
        add(&self.bytes, bytes);
    }
}

/// Both ways.
#[derive(Debug, Default)]
pub struct Traffic {
    /// What the client sent.
    pub read: Flow,
    /// What it was sent, pings left out.
    pub written: Flow,
}

/// Sums of [`Traffic`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficTotals {
    /// Messages that came.
    pub messages_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// WebSocket messages that were written.
    pub messages_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
}

impl TrafficTotals {
    pub(super) fn add(&mut self, traffic: &Traffic) {
        self.messages_in += traffic.read.messages.load(Ordering::Relaxed);
        self.bytes_in += traffic.read.bytes.load(Ordering::Relaxed);
        self.messages_out += traffic.written.messages.load(Ordering::Relaxed);
        self.bytes_out += traffic.written.bytes.load(Ordering::Relaxed);
    }
}
