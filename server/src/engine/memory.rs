//! The memory engine: streams live as long as the process, and begin in a new epoch with it.

use super::{Apply, Engine, EngineError, Pending, Retentions, Stream, in_order};
use crate::metrics::Point;
use osbackend_protocol::RoomName;
use std::sync::atomic::{AtomicU64, Ordering};

/// Streams in memory only.
pub struct MemoryEngine {
    retentions: Retentions,
    /// Different for every process, so that no position of an earlier one is taken for one of this.
    process: String,
    /// Raised whenever a stream that held events is forgotten: the room's next stream has to be another epoch.
    generation: AtomicU64,
    /// Told of each point of the metrics that is published.
    points: Option<Box<dyn Fn(Point) + Send + Sync>>,
}

impl MemoryEngine {
    /// `process` must be unlike that of every earlier process.
    pub fn new(process: impl Into<String>, retentions: impl Into<Retentions>) -> Self {
        Self { retentions: retentions.into(), process: process.into(), generation: AtomicU64::new(0), points: None }
    }

    /// Of a room that is opened now.
    fn epoch(&self) -> String {
        format!("{}-{}", self.process, self.generation.load(Ordering::Acquire))
    }

    /// Tells `record` of each point of the metrics, before its event is delivered.
    pub fn with_points(mut self, record: impl Fn(Point) + Send + Sync + 'static) -> Self {
        self.points = Some(Box::new(record));
        self
    }
}

impl Engine for MemoryEngine {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn open(&self, room: &RoomName, _id: u64) -> Result<Stream, EngineError> {
        Ok(Stream::new(self.epoch(), self.retentions.of(room)))
    }

    fn vacant(&self, _: &RoomName) -> Result<Option<String>, EngineError> {
        Ok(Some(self.epoch()))
    }

    fn publish(&self, pending: Vec<Pending>, hub: &dyn Apply) {
        let pending = in_order(pending);
        if let Some(record) = &self.points {
            for Pending { room, event, now_ms, .. } in &pending {
                if let Some(point) = Point::of_event(room, event, *now_ms) {
                    record(point);
                }
            }
        }
        hub.apply(pending);
    }

    fn closed(&self, _room: &RoomName, last: u64) {
        if last > 0 {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }
}
