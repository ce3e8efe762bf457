//! A room's stream (§5): epoch, offsets, the events that are still held, and the newest of each key.

use super::SNAPSHOT_MS;
use crate::hub::event::StoredEvent;
use osbackend_protocol::{Published, Timestamp};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// How long a publish with an idempotency key is remembered, in milliseconds.
const IDEMPOTENCY_MS: u64 = 300_000;
/// Idempotency keys that one room remembers at most: those of 166 events a second for the whole window.
const IDEMPOTENCY_KEYS: usize = 50_000;
/// Keys that one room's snapshot holds at most; the ones that were updated longest ago go first.
pub(super) const SNAPSHOT_KEYS: usize = 10_000;

/// How much history a room keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events at most.
    pub events: usize,
    /// Their age at most, in milliseconds; 0 for any age.
    pub age_ms: u64,
}

/// How far a client has read a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The epoch in which the offset counts.
    pub epoch: String,
    /// The last offset that was received.
    pub offset: u64,
}

/// What a joining client gets.
pub enum Recovered {
    /// Every event after its position.
    Replay(Vec<Arc<StoredEvent>>),
    /// Something after its position may be gone: the newest event of each key instead.
    Lost(Vec<Arc<StoredEvent>>),
}

/// The events of one room.
pub struct Stream {
    epoch: String,
    offset: u64,
    retention: Retention,
    events: VecDeque<Arc<StoredEvent>>,
    latest: HashMap<(Arc<str>, Box<str>), Arc<StoredEvent>>,
    idempotent: HashMap<String, Published>,
    idempotent_order: VecDeque<(u64, String)>,
    /// How long the snapshot of a room that nobody is in is kept after the newest event, in milliseconds; 0: for ever.
    snapshot_ms: u64,
    /// When the newest event came.
    newest: Timestamp,
}

impl Stream {
    /// An empty stream that begins at offset 0 of `epoch`.
    pub fn new(epoch: String, retention: Retention) -> Self {
        let (events, latest) = (VecDeque::new(), HashMap::new());
        let (idempotent, idempotent_order) = (HashMap::new(), VecDeque::new());
        let (snapshot_ms, newest) = (SNAPSHOT_MS, Timestamp(0));
        Self { epoch, offset: 0, retention, events, latest, idempotent, idempotent_order, snapshot_ms, newest }
    }

    /// Keeps the snapshot of a room that nobody is in for `snapshot_ms` after the newest event; 0: for ever.
    #[must_use]
    pub fn with_snapshot(self, snapshot_ms: u64) -> Self {
        Self { snapshot_ms, ..self }
    }

    /// A stream as it was stored: `events` in the order of their offsets, the history from `first` on; an earlier one is only
    /// for the snapshot. The offset is that of the last one, or `offset` where nothing that late is held.
    pub fn restore(
        epoch: String,
        retention: Retention,
        first: u64,
        offset: u64,
        events: impl IntoIterator<Item = Arc<StoredEvent>>,
    ) -> Self {
        let mut stream = Self::new(epoch, retention);
        for event in events {
            let Some(at) = event.offset else { continue };
            let event_at = event.timestamp;
            if let Some(key) = &event.key {
                stream.latest.insert((event.kind.clone(), key.clone()), event.clone());
            }
            // A hole would make a recovery from before it a lie.
            if stream.events.back().is_some_and(|last| last.offset != Some(at - 1)) {
                stream.events.clear();
            }
            if at >= first && retention.events > 0 {
                stream.events.push_back(event);
            }
            stream.offset = at;
            stream.newest = event_at;
        }
        if stream.offset < offset {
            stream.events.clear();
            stream.offset = offset;
        }
        while stream.latest.len() > SNAPSHOT_KEYS {
            stream.forget_oldest_key();
        }
        while stream.events.len() > retention.events {
            stream.events.pop_front();
        }
        stream
    }

    /// The epoch.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The offset of the newest event, 0 before the first.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The offset that the next event gets.
    pub fn next_offset(&self) -> u64 {
        self.offset + 1
    }

    /// Appends the event that was encoded with [`Self::next_offset`].
    pub fn append(&mut self, event: Arc<StoredEvent>) {
        debug_assert_eq!(event.offset, Some(self.offset + 1));
        self.offset += 1;
        if let Some(key) = &event.key {
            self.latest.insert((event.kind.clone(), key.clone()), event.clone());
            if self.latest.len() > SNAPSHOT_KEYS {
                self.forget_oldest_key();
            }
        }
        let now = event.timestamp;
        self.newest = now;
        if self.retention.events > 0 {
            self.events.push_back(event);
        }
        self.expire(now);
    }

    /// One tenth of the keys at a time: finding the oldest reads them all.
    fn forget_oldest_key(&mut self) {
        let mut offsets: Vec<_> = self.latest.values().filter_map(|event| event.offset).collect();
        let tenth = offsets.len() / 10;
        let (_, limit, _) = offsets.select_nth_unstable(tenth);
        let limit = *limit;
        self.latest.retain(|_, event| event.offset.is_some_and(|offset| offset > limit));
    }

    /// Drops what is over the retention.
    pub fn expire(&mut self, now: Timestamp) {
        while self.events.len() > self.retention.events {
            self.events.pop_front();
        }
        if self.retention.age_ms > 0 {
            let oldest = now.0.saturating_sub(self.retention.age_ms);
            while self.events.front().is_some_and(|event| event.timestamp.0 < oldest) {
                self.events.pop_front();
            }
        }
        while self.idempotent_order.front().is_some_and(|(at, _)| at + IDEMPOTENCY_MS < now.0)
            || self.idempotent_order.len() > IDEMPOTENCY_KEYS
        {
            if let Some((_, key)) = self.idempotent_order.pop_front() {
                self.idempotent.remove(&key);
            }
        }
    }

    /// Whether nothing would be lost with this stream but its epoch.
    pub fn is_idle(&self) -> bool {
        self.events.is_empty() && self.latest.is_empty() && self.idempotent.is_empty()
    }

    /// As [`Self::is_idle`], or nothing but a snapshot that is over its time: that of a room that nobody is in has one.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let snapshot_is_over = self.snapshot_ms > 0 && self.newest.0.saturating_add(self.snapshot_ms) <= now.0;
        self.events.is_empty() && self.idempotent.is_empty() && (self.latest.is_empty() || snapshot_is_over)
    }

    /// What a client at `position` gets.
    pub fn recover(&self, position: Option<&Position>) -> Recovered {
        if let Some(position) = position
            && position.epoch == self.epoch
            && position.offset <= self.offset
            && let Some(missed) = self.after(position.offset)
        {
            return Recovered::Replay(missed);
        }
        Recovered::Lost(self.snapshot())
    }

    /// Every event after `offset`, or `None` when one of them is no longer held.
    fn after(&self, offset: u64) -> Option<Vec<Arc<StoredEvent>>> {
        let missed = usize::try_from(self.offset - offset).ok()?;
        if missed > self.events.len() {
            return None;
        }
        Some(self.events.range(self.events.len() - missed..).cloned().collect())
    }

    /// The newest event of each key, in offset order.
    pub fn snapshot(&self) -> Vec<Arc<StoredEvent>> {
        let mut events: Vec<_> = self.latest.values().cloned().collect();
        events.sort_unstable_by_key(|event| event.offset);
        events
    }

    /// Up to `limit` of the held events: the first ones after `since`, or, `reverse`, the last ones before it, newest first.
    pub fn history(&self, since: Option<u64>, limit: usize, reverse: bool) -> Vec<Arc<StoredEvent>> {
        let offset = |event: &Arc<StoredEvent>| event.offset.unwrap_or_default();
        if reverse {
            let before = since.unwrap_or(u64::MAX);
            self.events.iter().rev().filter(|event| offset(event) < before).take(limit).cloned().collect()
        } else {
            let after = since.unwrap_or(0);
            let first = self.events.partition_point(|event| offset(event) <= after);
            self.events.range(first..).take(limit).cloned().collect()
        }
    }

    /// The outcome of an earlier publish with this key.
    pub fn idempotent(&self, key: &str) -> Option<&Published> {
        self.idempotent.get(key)
    }

    /// Remembers the outcome of a publish with this key.
    pub fn remember(&mut self, key: String, published: Published, now_ms: u64) {
        self.idempotent_order.push_back((now_ms, key.clone()));
        self.idempotent.insert(key, published);
    }
}
