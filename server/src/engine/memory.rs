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
        Ok(Stream::new(self.epoch(), self.retentions.of(room)).with_snapshot(self.retentions.snapshot_ms()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{Clock, TestHub, keep, keyed};

    #[test]
    fn the_snapshot_of_a_deserted_room_has_a_lifetime_and_its_end_is_another_epoch() {
        let engine = MemoryEngine::new("p", keep(100, 1_000).with_snapshots(600_000));
        let (hub, name) = (TestHub::new(Box::new(engine), Clock::new()), "agent:1");
        hub.publish(name, keyed(1, "a")).expect("published");
        hub.publish(name, keyed(2, "b")).expect("published");
        let member = hub.enter(name, None);
        let epoch = member.joined.epoch.clone();
        hub.clock.pass(700_000);
        hub.sweep();
        assert_eq!(hub.enter(name, None).offsets(), [1, 2], "somebody is in it");
        hub.publish(name, keyed(3, "a")).expect("published");
        drop(member);
        hub.clock.pass(599_999);
        hub.sweep();
        assert_eq!(hub.enter(name, None).offsets(), [2, 3], "its time begins with the last event");
        hub.clock.pass(1);
        hub.sweep();
        assert!(hub.hub.rooms().is_empty());
        for position in 0..=3 {
            let back = hub.join(name, &epoch, position);
            assert!(!back.joined.recovered && back.offsets().is_empty() && back.joined.epoch != epoch, "from {position}");
        }
    }

    #[test]
    fn without_a_lifetime_it_stays() {
        let hub = TestHub::new(Box::new(MemoryEngine::new("p", keep(100, 1_000).with_snapshots(0))), Clock::new());
        hub.publish("agent:1", keyed(1, "a")).expect("published");
        hub.clock.pass(3_660 * 86_400_000);
        hub.sweep();
        assert_eq!(hub.enter("agent:1", None).offsets(), [1]);
    }
}
