//! The metrics of one server as text for Prometheus: counts of [`super::meters`], and what is looked at when it is asked for.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::connection::Shared;
use crate::hooks::Hooks;
use crate::hub::registry::QueueTotals;

/// What the answer's form is called in HTTP.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of one server.
pub struct Exposition {
    registry: Registry,
}

impl Exposition {
    /// Of this server, and of no other in this process.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process { started_ms: shared.started_ms }));
        let own = registry.sub_registry_with_prefix("osbackend");
        shared.meters.register(own);
        own.register_collector(Box::new(Looked(shared)));
        Self { registry }
    }

    /// All metrics now, in the OpenMetrics text form.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a `String` doesn't fail, and the encoder has no errors of its own.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// What every exporter tells of its process.
#[derive(Debug)]
struct Process {
    started_ms: u64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let started = ConstGauge::new(self.started_ms as f64 / 1000.0);
        let help = "When the server began, in seconds since 1970";
        started.encode(encoder.encode_descriptor("process_start_time", help, Some(&Unit::Seconds), MetricType::Gauge)?)
    }
}

/// What is counted without a lock, or only known by looking.
struct Looked(Arc<Shared>);

impl fmt::Debug for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Looked")
    }
}

impl Collector for Looked {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Shared { hub, meters, hooks, metrics, .. } = &*self.0;
        let mut out = Out(encoder);

        let labels = [("version", env!("CARGO_PKG_VERSION")), ("engine", hub.engine_name())];
        out.gauges("build_info", "What runs here; always 1", [(labels, 1)])?;
        out.gauge("draining", "1 once the server goes away", i64::from(hub.registry.is_draining()))?;

        let connections = meters.connections();
        let now = connections.map(|(mode, now, _)| ([("mode", mode)], now));
        out.gauges("connections", "Open connections by mode (§1)", now)?;
        let opened = connections.map(|(mode, _, opened)| ([("mode", mode)], opened));
        out.counters("connections_opened", "Connections that were accepted, by mode", opened)?;
        let authenticated = hub.registry.counts().authenticated as i64;
        out.gauge("authenticated_connections", "Open connections with a user", authenticated)?;

        let (rooms, memberships) = hub.totals();
        out.gauge("rooms", "Rooms in memory", rooms as i64)?;
        out.gauge("memberships", "Connections in rooms, summed over the rooms", memberships as i64)?;
        out.gauge("presence_users", "Users that are present, summed over the rooms", hub.present_users() as i64)?;

        let counts = &hub.counts;
        let published = counts.published_by_class().map(|(class, count)| ([("class", class)], count));
        out.counters("published_events", "Events that were published, by delivery class", published)?;
        out.counter("deliveries", "Live events that were queued for a member", counts.deliveries())?;
        out.counter("replayed_events", "Events of replays and snapshots that were queued for a member", counts.replayed())?;
        out.counter(
            "metric_points_refused",
            "Points of metrics that were not stored, or forgotten, as there are too many metrics",
            crate::metrics::refused_points(),
        )?;
        out.counter("engine_errors", "Events that the engine did not take", meters.engine_errors())?;

        let QueueTotals { bytes, largest, conflated, dropped, traffic } = hub.registry.queues();
        out.gauge("queue_bytes", "Bytes that wait for connections, of all together", bytes as i64)?;
        out.gauge("queue_bytes_max", "Bytes that wait for the connection with the longest queue", largest as i64)?;
        out.counter("conflated_events", "Queued events that gave way to a newer one of the same key", conflated)?;
        out.counter("dropped_messages", "Messages that were dropped with a slow consumer (close 4002)", dropped)?;

        let frames = [([("direction", "in")], traffic.messages_in), ([("direction", "out")], traffic.messages_out)];
        out.counters("frames", "WebSocket messages, without pings", frames)?;
        let bytes = [([("direction", "in")], traffic.bytes_in), ([("direction", "out")], traffic.bytes_out)];
        out.counters("frame_bytes", "Bytes of WebSocket messages", bytes)?;

        let (running, waiting) = metrics.questions();
        let questions = [([("state", "running")], running as i64), ([("state", "waiting")], waiting as i64)];
        out.gauges("metric_questions", "Questions for stored metrics that are answered now, and that wait", questions)?;
        let help = "Values of metrics that were published as text though they are numbers: they are in no sum";
        out.counter("metric_text_numbers", help, metrics.text_numbers().count())?;

        let help = "From the decision to publish until the event is queued for every member";
        out.durations("publish_duration", help, meters.publish_time.read())?;
        hooks.as_ref().map_or(Ok(()), |hooks| webhooks(&mut out, hooks))
    }
}

/// What became of the questions and notifications of `WEBHOOK_URL`; not there without one.
fn webhooks(out: &mut Out<'_>, hooks: &Hooks) -> fmt::Result {
    let stats = hooks.stats();
    let results = [("allowed", &stats.allowed), ("denied", &stats.denied), ("unavailable", &stats.unavailable)];
    let results = results.map(|(result, count)| ([("result", result)], count.get()));
    out.counters("webhook_questions", "Questions to the webhook backend, by what became of them", results)?;
    out.durations("webhook_question_duration", "Time of questions to the webhook backend", stats.questions.read())?;
    out.counter("webhook_published_events", "Events that answers of the webhook backend published", stats.published.get())?;
    let results = [("delivered", &stats.delivered), ("failed", &stats.failed), ("dropped", &stats.dropped)];
    let results = results.map(|(result, count)| ([("result", result)], count.get()));
    out.counters("webhook_notifications", "Notifications for the webhook backend, by what became of them", results)?;
    out.counter("webhook_retries", "Deliveries of notifications that failed and are tried again", stats.retried.get())?;
    let waiting = i64::try_from(hooks.waiting()).unwrap_or(i64::MAX);
    out.gauge("webhook_notifications_waiting", "Notifications that wait or are on their way", waiting)?;
    out.counter("webhook_breaker_openings", "How often the circuit breaker opened", stats.opened.get())?;
    out.gauge("webhook_breaker_open", "1 while the webhook backend is left alone", i64::from(hooks.is_open()))
}

/// Writes metrics of one kind a call.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    /// A histogram: sum in seconds, count, buckets.
    fn durations(&mut self, name: &str, help: &str, (sum, count, buckets): (f64, u64, Vec<(f64, u64)>)) -> fmt::Result {
        let mut histogram = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        histogram.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); N], i64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(labels, value)| ConstGauge::new(value).encode(family.encode_family(&labels)?))
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); N], u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(labels, value)| ConstCounter::new(value).encode(family.encode_family(&labels)?))
    }
}
