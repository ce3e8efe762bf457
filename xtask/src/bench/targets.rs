//! What was promised, and whether this run keeps it.

use super::figures::Figures;

/// One promise beside what was measured.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) what: &'static str,
    pub(crate) measured: f64,
    pub(crate) at_most: f64,
    pub(crate) unit: &'static str,
    pub(crate) met: bool,
    /// Absolute times hold only on the machine they were taken on: there they inform, the ratio decides.
    pub(crate) binding: bool,
}

const OURS: &str = "osbackend";

/// Every promise whose figures are there.
pub(crate) fn check(figures: &Figures) -> Vec<Verdict> {
    let median = |server, measurement, figure| figures.get(server, measurement, figure).map(|spread| spread.median);
    let delivery = |server, measurement| median(server, measurement, "cpuMicrosPerDelivery");
    let times_ws = |measurement| Some(delivery(OURS, measurement)? / delivery("ws", measurement)?);
    let connection = |figure| median(OURS, "connections", figure);
    let slow = |figure| median(OURS, "slow", figure);
    let client = |figure| median(OURS, "client", figure);
    let storm = |figure| median(OURS, "storm", figure);
    let attacks = |figure| median(OURS, "attacks", figure);

    let recovery = |figure| median(OURS, "recovery", figure);
    let in_file = |figure| median(OURS, "metrics in SQLite", figure);
    let in_database = |figure| median(OURS, "metrics in PostgreSQL", figure);

    let times_memory = |measurement| Some(delivery(OURS, measurement)? / delivery("osbackend, memory engine", measurement)?);

    let promises = [
        ("fan-out, 4 outstanding", times_ws("fanout4"), 0.35, "× ws", true),
        ("fan-out, 64 outstanding", times_ws("fanout64"), 0.03, "× ws", true),
        ("a delivery, 4 outstanding", delivery(OURS, "fanout4"), 3.2, "µs", false),
        ("a delivery, 64 outstanding", delivery(OURS, "fanout64"), 0.25, "µs", false),
        ("durable fan-out, 4 outstanding", times_memory("fanout4"), 1.1, "× the memory engine", true),
        ("durable fan-out, 64 outstanding", times_memory("fanout64"), 1.1, "× the memory engine", true),
        (
            "a durable publish, 50 publishers",
            median(OURS, "publish", "publishesPerSecond").map(|rate| 1_000_000.0 / rate),
            // 20,000 acknowledged a second.
            50.0,
            "µs",
            true,
        ),
        ("an acknowledgement at 2,000 a second, p99", median(OURS, "publish2000", "ackMillisP99"), 10.0, "ms", true),
        ("an idle joined connection", connection("bytesPerConnection").map(|bytes| bytes / 1024.0), 7.0, "KiB", true),
        ("connect + JWT + join", connection("cpuMicrosPerConnection"), 120.0, "µs", true),
        ("p99 of 1,000 members while 100 others don't read", slow("timesP99"), 1.2, "× before", true),
        ("a member that doesn't read", slow("bytesPerStalled").map(|bytes| bytes / 1024.0), 1024.0, "KiB", true),
        ("5,000 clients of a killed server are back", storm("secondsUntilAllAreBack"), 15.0, "s", true),
        ("of these not recovered", storm("notRecovered"), 0.0, "clients", true),
        ("of these not authenticated", storm("notAuthenticated"), 0.0, "clients", true),
        ("most that come back in one second", storm("mostReturnsInASecond"), 1000.0, "clients", false),
        ("memory at its most, of the server that they come back to", storm("timesResident"), 2.0, "× before", true),
        ("most arrivals in a second of a drained server's clients", median(OURS, "drain", "timesMean"), 2.0, "× the mean", true),
        ("live delivery while 1,000 clients recover, p99", recovery("liveMillisP99"), 250.0, "ms", true),
        ("another user's login under the worst attack, p99", attacks("loginMillisP99"), 250.0, "ms", true),
        ("a publish into another room under the worst attack, p99", attacks("publishMillisP99"), 250.0, "ms", true),
        ("memory under the worst attack", attacks("residentPeak").map(|bytes| bytes / 1_048_576.0), 150.0, "MiB", true),
        (
            "the log after half a minute of the worst attack",
            attacks("logBytes").map(|bytes| bytes / 1_048_576.0),
            5.0,
            "MiB",
            true,
        ),
        ("a day by hour in SQLite, files not cached, p99", in_file("coldMillisP99"), 50.0, "ms", true),
        ("a day by hour in SQLite, p99", in_file("warmMillisP99"), 50.0, "ms", true),
        ("a day by hour in SQLite over HTTP, p99", in_file("httpMillisP99"), 50.0, "ms", true),
        ("a day by hour of 40 metrics in SQLite, p99", in_file("warmAllMillisP99"), 50.0, "ms", false),
        ("a day by hour in PostgreSQL, files not cached, p99", in_database("coldMillisP99"), 50.0, "ms", true),
        ("a day by hour in PostgreSQL, p99", in_database("warmMillisP99"), 50.0, "ms", true),
        ("a day by hour in PostgreSQL over HTTP, p99", in_database("httpMillisP99"), 50.0, "ms", true),
        ("a day by hour of 40 metrics in PostgreSQL, p99", in_database("warmAllMillisP99"), 50.0, "ms", false),
        ("an acknowledgement while points are deleted from SQLite, p99", in_file("retentionAckMillisP99"), 10.0, "ms", false),
        (
            "an acknowledgement while points are deleted from PostgreSQL, p99",
            in_database("retentionAckMillisP99"),
            10.0,
            "ms",
            false,
        ),
        ("an event in Chromium, server with a backlog", client("microsPerEvent"), 8.0, "µs", true),
        ("the SDK's dispatch", client("timesBareDispatch"), 1.2, "× JSON.parse + call", true),
    ];
    promises
        .into_iter()
        .filter_map(|(what, measured, at_most, unit, binding)| {
            let measured = measured?;
            Some(Verdict { what, measured, at_most, unit, met: measured <= at_most, binding })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_decides_and_a_missing_figure_is_no_verdict() {
        let mut figures = Figures::default();
        for (server, micros) in [("osbackend", 2.0), ("ws", 4.0)] {
            figures.take(server, "fanout4", Ok(serde_json::json!({"cpuMicrosPerDelivery": micros})));
        }
        let verdicts = check(&figures);
        let shown: Vec<_> = verdicts.iter().map(|verdict| (verdict.measured, verdict.met, verdict.binding)).collect();
        assert_eq!(shown, [(0.5, false, true), (2.0, true, false)]);
    }
}
