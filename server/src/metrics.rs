//! `metrics:get` (§3): points of the metrics, from the events that `dashboard:overview` still holds.

use crate::{engine::EngineError, hub::Hub};
use osbackend_protocol::{
    EventFrame, RoomName, Timestamp,
    event::MetricUpdate,
    server_msg::{MetricPoint, Metrics},
};

/// The newest `limit` points of `metric` (`None`: of all) from `from_ms` to `to_ms`, both included, newest last.
pub(crate) fn query(
    hub: &Hub,
    metric: Option<String>,
    from_ms: u64,
    to_ms: u64,
    limit: usize,
    now_ms: u64,
) -> Result<Metrics, EngineError> {
    let room = RoomName::parse("dashboard:overview").map_err(|error| EngineError(error.to_string()))?;
    let page = hub.history(&room, None, usize::MAX, true, now_ms)?;
    let mut points: Vec<MetricPoint> = page
        .events
        .iter()
        .filter(|event| &*event.kind == "metric_update" && (from_ms..=to_ms).contains(&event.timestamp.0))
        .filter(|event| metric.is_none() || event.key.as_deref() == metric.as_deref())
        .filter_map(|event| {
            let frame: EventFrame = serde_json::from_str(&event.text).ok()?;
            let update: MetricUpdate = serde_json::from_str(frame.data.get()).ok()?;
            Some(MetricPoint { metric: update.metric, timestamp: event.timestamp, values: update.values })
        })
        .take(limit)
        .collect();
    points.reverse();
    Ok(Metrics { kind: metric, from: Timestamp(from_ms), to: Timestamp(to_ms), points })
}
