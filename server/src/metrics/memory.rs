//! Metrics in memory, for the memory engine: a bounded number of points a metric, aggregated when asked.

use super::{
    Answer, MetricQuery, MetricStore, Order, Point, QueryError,
    aggregate::Sum,
    blocking::{self, Stop},
    page::{Page, json_bytes},
    zone::Spans,
};
use osbackend_protocol::metrics::Metrics;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    ops::ControlFlow,
    sync::Arc,
};

/// Points of one metric.
const POINTS: usize = 10_000;
/// Metrics at most; of more, the ones that were updated longest ago are forgotten.
const METRICS: usize = 1_000;

/// The points. Cloning shares them.
#[derive(Clone, Default)]
pub struct MemoryMetrics {
    all: Arc<Mutex<All>>,
}

#[derive(Default)]
struct All {
    /// Each with its place among all, which tells points of one time apart.
    series: HashMap<String, VecDeque<(u64, Point)>>,
    newest: u64,
}

impl MemoryMetrics {
    /// Keeps a point.
    pub fn record(&self, point: Point) {
        let mut all = self.all.lock();
        all.newest += 1;
        let All { series, newest } = &mut *all;
        if series.len() >= METRICS && !series.contains_key(&point.metric) {
            let oldest = series.iter().min_by_key(|(_, points)| points.back().map(|(_, point)| point.at_ms));
            if let Some(oldest) = oldest.map(|(metric, _)| metric.clone()) {
                let points = series.remove(&oldest).map_or(0, |points| points.len());
                super::bound::forget(&oldest, METRICS, points);
            }
        }
        let points = series.entry(point.metric.clone()).or_default();
        if points.len() >= POINTS {
            points.pop_front();
        }
        points.push_back((*newest, point));
    }

    fn read(&self, query: MetricQuery, stop: &Stop) -> Result<Metrics, QueryError> {
        let metrics: Vec<_> = match &query.metric {
            Some(metric) => vec![metric.clone()],
            None => self.all.lock().series.keys().cloned().collect(),
        };
        let mut page = Page::new(query);
        for metric in metrics {
            if stop.is_stopped() {
                break;
            }
            // One metric at a time: who publishes waits for the lock.
            if let Some(points) = self.all.lock().series.get(&metric) {
                read_series(&metric.into(), points, &mut page)?;
            }
        }
        page.finish()
    }
}

fn read_series(metric: &Arc<str>, points: &VecDeque<(u64, Point)>, page: &mut Page) -> Result<(), QueryError> {
    let (from, end) = page.query().range();
    let in_range = |(_, point): &&(u64, Point)| (from..end).contains(&point.at_ms);
    let Some(interval) = page.query().interval else {
        let order = page.query().order;
        let mut take = |(seq, point): &(u64, Point)| {
            if page.is_past(point.at_ms) {
                return ControlFlow::Break(Ok(()));
            }
            match page.point((point.at_ms, metric, *seq), json_bytes(&point.values), || point.values.clone()) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(Err(error)),
            }
        };
        let read = match order {
            Order::NewestFirst => points.iter().rev().filter(in_range).try_for_each(&mut take),
            Order::OldestFirst => points.iter().filter(in_range).try_for_each(&mut take),
        };
        return read.break_value().unwrap_or(Ok(()));
    };
    let mut spans = Spans::new(interval, page.query().zone.clone());
    // Oldest first: of two points at one time the later one is the last.
    for (_, point) in points.iter().filter(in_range) {
        let begin = spans.of(point.at_ms).0;
        for (name, value) in point.numbers() {
            page.add(begin, metric, name, &Sum::of(value, point.at_ms))?;
        }
    }
    Ok(())
}

impl MetricStore for MemoryMetrics {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn query(&self, query: MetricQuery, _now_ms: u64) -> Answer {
        let this = self.clone();
        Box::pin(blocking::run(move |stop| this.read(query, stop)))
    }
}
