//! Metrics in memory, for the memory engine: a bounded number of points a metric, aggregated when asked.

use super::{
    Answer, MetricQuery, MetricStore, Point,
    aggregate::{Sum, Sums, floor},
    answer, plain, spans,
};
use osbackend_protocol::metrics::Metrics;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Points of one metric.
const POINTS: usize = 10_000;
/// Metrics at most; of more, the ones that were updated longest ago are forgotten.
const METRICS: usize = 1_000;

/// The points. Cloning shares them.
#[derive(Clone, Default)]
pub struct MemoryMetrics {
    series: Arc<Mutex<HashMap<String, VecDeque<Point>>>>,
}

impl MemoryMetrics {
    /// Keeps a point.
    pub fn record(&self, point: Point) {
        let mut series = self.series.lock();
        if series.len() >= METRICS && !series.contains_key(&point.metric) {
            let oldest = series.iter().min_by_key(|(_, points)| points.back().map(|point| point.at_ms));
            if let Some(oldest) = oldest.map(|(metric, _)| metric.clone()) {
                let points = series.remove(&oldest).map_or(0, |points| points.len());
                super::bound::forget(&oldest, METRICS, points);
            }
        }
        let points = series.entry(point.metric.clone()).or_default();
        if points.len() >= POINTS {
            points.pop_front();
        }
        points.push_back(point);
    }

    fn read(&self, query: MetricQuery) -> Metrics {
        let (from, end) = query.range();
        let series = self.series.lock();
        let mut found = Vec::new();
        for (metric, points) in series.iter().filter(|(metric, _)| query.metric.as_ref().is_none_or(|only| only == *metric)) {
            let points = points.iter().rev().filter(|point| (from..end).contains(&point.at_ms));
            match query.interval {
                None => {
                    let newest: Vec<_> = points.take(query.limit).collect();
                    found.extend(newest.into_iter().rev().map(|point| plain(metric, point.at_ms, point.values.clone())));
                }
                Some(interval) => {
                    let mut sums = Sums::default();
                    // Oldest first: of two points at one time the later one is the last.
                    for point in points.collect::<Vec<_>>().into_iter().rev() {
                        for (name, value) in point.numbers() {
                            sums.add(floor(point.at_ms, interval.ms()), name, &Sum::of(value, point.at_ms));
                        }
                    }
                    sums.keep_newest(query.limit);
                    found.extend(spans(metric, &sums));
                }
            }
        }
        drop(series);
        answer(query, found)
    }
}

impl MetricStore for MemoryMetrics {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn query(&self, query: MetricQuery, _now_ms: u64) -> Answer {
        let metrics = self.read(query);
        Box::pin(async move { Ok(metrics) })
    }
}
