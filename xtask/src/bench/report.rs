//! The figures as a Markdown table for people and as JSON for machines.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::figures::{Figures, Spread};
use super::targets::Verdict;

/// A column: its head, where its figure is, what divides it, its decimals, and whether `ws` is the measure of it.
type Column = (&'static str, &'static str, &'static str, f64, usize, bool);

const COLUMNS: [Column; 5] = [
    ("CPU µs a delivery, 4 outstanding", "fanout4", "cpuMicrosPerDelivery", 1.0, 2, true),
    ("64 outstanding", "fanout64", "cpuMicrosPerDelivery", 1.0, 3, true),
    ("KiB an idle joined connection", "connections", "bytesPerConnection", 1024.0, 1, true),
    ("CPU µs a connect + JWT + join", "connections", "cpuMicrosPerConnection", 1.0, 0, true),
    ("connects a second", "connections", "connectionsPerSecond", 1.0, 0, false),
];

const CLIENT_ROWS: [(&str, &str, usize); 5] = [
    ("µs an event, real socket, 64 events a frame (main thread of Chromium)", "microsPerEvent", 2),
    ("µs an event, real socket, one event a frame", "microsPerEventUnbatched", 2),
    ("dispatch alone: ns an event by the SDK", "dispatchNanos", 0),
    ("dispatch alone: ns an event by JSON.parse + call", "bareNanos", 0),
    ("the SDK's dispatch ÷ JSON.parse + call", "timesBareDispatch", 2),
];

const SLOW_ROWS: [(&str, &str, usize); 5] = [
    ("ms from publisher to member, p99, all reading", "latencyMillisP99Before", 2),
    ("the same while 100 don't read", "latencyMillisP99During", 2),
    ("the latter ÷ the former", "timesP99", 2),
    ("bytes of server memory a member that doesn't read", "bytesPerStalled", 0),
    ("share of the values that gave way to newer ones", "conflatedShare", 2),
];

const DURABLE_ROWS: [(&str, &str, &str, usize); 5] = [
    ("acknowledged a second, as fast as they can", "publish", "publishesPerSecond", 0),
    ("CPU µs a publish, then", "publish", "cpuMicrosPerPublish", 1),
    ("µs to open a room of five events that is not in memory", "publish", "microsPerOpenedRoom", 0),
    ("ms to the acknowledgement at 2,000 a second, median", "publish2000", "ackMillisP50", 2),
    ("p99", "publish2000", "ackMillisP99", 2),
];

const STORM_ROWS: [(&str, &str, &str, f64, usize); 8] = [
    ("s until half of them are back", "storm", "secondsUntilHalfAreBack", 1.0, 1),
    ("s until all of them are back", "storm", "secondsUntilAllAreBack", 1.0, 1),
    ("most that come back in one second", "storm", "mostReturnsInASecond", 1.0, 0),
    ("not recovered", "storm", "notRecovered", 1.0, 0),
    ("server CPU µs a return, start included", "storm", "cpuMicrosPerReturn", 1.0, 0),
    ("MiB of the server before its death", "storm", "residentBefore", 1_048_576.0, 0),
    ("MiB at most while they come", "storm", "residentPeak", 1_048_576.0, 0),
    ("drained: most arrivals in a second ÷ the mean", "drain", "timesMean", 1.0, 2),
];

const RECOVERY_ROWS: [(&str, &str, f64, usize); 7] = [
    ("s until half of them have all", "secondsUntilHalfHaveAll", 1.0, 2),
    ("s until all of them have all", "secondsUntilAllHaveAll", 1.0, 2),
    ("ms to a live delivery, p99, before", "liveMillisP99Before", 1.0, 1),
    ("meanwhile, median", "liveMillisP50", 1.0, 1),
    ("p99", "liveMillisP99", 1.0, 1),
    ("most", "liveMillisMax", 1.0, 1),
    ("MiB of the server at most", "residentPeak", 1_048_576.0, 0),
];

const ATTACK_ROWS: [(&str, &str, f64, usize); 4] = [
    ("ms to another user's login, p99, under the worst attack", "loginMillisP99", 1.0, 1),
    ("ms to a publish into another room, likewise", "publishMillisP99", 1.0, 1),
    ("MiB of the server at most", "residentPeak", 1_048_576.0, 0),
    ("MiB of its log after half a minute", "logBytes", 1_048_576.0, 2),
];

/// Of both stores.
const METRIC_ROWS: [(&str, &str, f64, usize); 18] = [
    ("points", "points", 1.0, 0),
    ("sums by minute and hour", "sums", 1.0, 0),
    ("MiB on disk, indexes included", "bytesOnDisk", 1_048_576.0, 0),
    ("s to fill", "fillSeconds", 1.0, 0),
    ("ms for a day by hour, files not cached, median", "coldMillisP50", 1.0, 2),
    ("p99", "coldMillisP99", 1.0, 2),
    ("asked again, median", "warmMillisP50", 1.0, 2),
    ("p99", "warmMillisP99", 1.0, 2),
    ("over HTTP, median", "httpMillisP50", 1.0, 2),
    ("p99", "httpMillisP99", 1.0, 2),
    ("of all 40 metrics, files not cached, p99", "coldAllMillisP99", 1.0, 1),
    ("of all 40 metrics, asked again, median", "warmAllMillisP50", 1.0, 1),
    ("p99", "warmAllMillisP99", 1.0, 1),
    ("rows deleted a second while 2,000 are published", "deletedASecond", 1.0, 0),
    ("ms to the acknowledgement meanwhile, median", "retentionAckMillisP50", 1.0, 2),
    ("p99", "retentionAckMillisP99", 1.0, 2),
    ("most", "retentionAckMillisMax", 1.0, 1),
    ("ms for a day by hour meanwhile, p99", "retentionQueryMillisP99", 1.0, 1),
];

/// The tables and the verdicts.
pub(crate) fn markdown(figures: &Figures, verdicts: &[Verdict]) -> String {
    let mut text = String::from("\nMedian (lowest–highest) of the rounds; the ratio is to `ws` in the same run.\n\n");
    let columns: Vec<&Column> =
        COLUMNS.iter().filter(|(_, m, f, ..)| figures.servers().iter().any(|s| figures.get(s, m, f).is_some())).collect();
    if !columns.is_empty() {
        let heads: Vec<&str> = columns.iter().map(|column| column.0).collect();
        let _ = writeln!(text, "| server | {} |\n|---|{}", heads.join(" | "), "---|".repeat(heads.len()));
        for server in figures.servers() {
            let cells: Vec<String> = columns.iter().map(|column| cell(figures, server, column)).collect();
            let _ = writeln!(text, "| {server} | {} |", cells.join(" | "));
        }
        text.push('\n');
    }
    if figures.get("osbackend", "slow", "timesP99").is_some() {
        text.push_str("| 1,000 members, 100 more that stop reading | |\n|---|---|\n");
        for (head, figure, decimals) in SLOW_ROWS {
            if let Some(spread) = figures.get("osbackend", "slow", figure) {
                let _ = writeln!(text, "| {head} | {} |", number(spread, 1.0, decimals));
            }
        }
        text.push('\n');
    }
    if figures.get("osbackend", "publish", "publishesPerSecond").is_some() {
        text.push_str("| durable publishes, 50 publishers in one process | |\n|---|---|\n");
        for (head, measurement, figure, decimals) in DURABLE_ROWS {
            if let Some(spread) = figures.get("osbackend", measurement, figure) {
                let _ = writeln!(text, "| {head} | {} |", number(spread, 1.0, decimals));
            }
        }
        text.push('\n');
    }
    if figures.get("osbackend", "storm", "notRecovered").is_some() {
        text.push_str("| 5,000 clients of a server that was killed, two rooms each | |\n|---|---|\n");
        for (head, measurement, figure, unit, decimals) in STORM_ROWS {
            if let Some(spread) = figures.get("osbackend", measurement, figure) {
                let _ = writeln!(text, "| {head} | {} |", number(spread, unit, decimals));
            }
        }
        text.push('\n');
    }
    if figures.get("osbackend", "recovery", "liveMillisP99").is_some() {
        text.push_str("| 1,000 clients recover 1,000 events each, at once | |\n|---|---|\n");
        for (head, figure, unit, decimals) in RECOVERY_ROWS {
            if let Some(spread) = figures.get("osbackend", "recovery", figure) {
                let _ = writeln!(text, "| {head} | {} |", number(spread, unit, decimals));
            }
        }
        text.push('\n');
    }
    if figures.get("osbackend", "attacks", "loginMillisP99").is_some() {
        text.push_str("| one address attacks, default settings | |\n|---|---|\n");
        for (head, figure, unit, decimals) in ATTACK_ROWS {
            if let Some(spread) = figures.get("osbackend", "attacks", figure) {
                let _ = writeln!(text, "| {head} | {} |", number(spread, unit, decimals));
            }
        }
        text.push('\n');
    }
    for store in ["metrics in SQLite", "metrics in PostgreSQL"] {
        if figures.get("osbackend", store, "points").is_none() {
            continue;
        }
        let _ = writeln!(text, "| {store} | |\n|---|---|");
        for (head, figure, unit, decimals) in METRIC_ROWS {
            if let Some(spread) = figures.get("osbackend", store, figure) {
                let _ = writeln!(text, "| {head} | {} |", number(spread, unit, decimals));
            }
        }
        text.push('\n');
    }
    if figures.get("osbackend", "client", "microsPerEvent").is_some() {
        text.push_str("| client in Chromium | |\n|---|---|\n");
        for (head, figure, decimals) in CLIENT_ROWS {
            if let Some(spread) = figures.get("osbackend", "client", figure) {
                let _ = writeln!(text, "| {head} | {} |", number(spread, 1.0, decimals));
            }
        }
        text.push('\n');
    }
    if !verdicts.is_empty() {
        text.push_str("| target | at most | measured | |\n|---|---|---|---|\n");
    }
    for verdict in verdicts {
        let word = match (verdict.met, verdict.binding) {
            (true, _) => "met",
            (false, true) => "**missed**",
            (false, false) => "missed (depends on the machine: for information)",
        };
        let Verdict { what, at_most, unit, measured, .. } = verdict;
        let _ = writeln!(text, "| {what} | {at_most} {unit} | {measured:.3} | {word} |");
    }
    text
}

fn cell(figures: &Figures, server: &str, (_, measurement, figure, unit, decimals, against_ws): &Column) -> String {
    let Some(spread) = figures.get(server, measurement, figure) else { return "–".to_owned() };
    let text = number(spread, *unit, *decimals);
    match figures.get("ws", measurement, figure) {
        Some(ws) if *against_ws => format!("{text} = {:.3} ×", spread.median / ws.median),
        _ => text,
    }
}

fn number(spread: Spread, unit: f64, decimals: usize) -> String {
    let Spread { low, median, high } = spread;
    if low == high {
        return format!("{:.decimals$}", median / unit);
    }
    format!("{:.decimals$} ({:.decimals$}–{:.decimals$})", median / unit, low / unit, high / unit)
}

/// `{figures: {server: {measurement: {figure: [value a round]}}}, verdicts, failures}`.
pub(crate) fn json(figures: &Figures, verdicts: &[Verdict]) -> Result<String> {
    let mut servers = Map::new();
    for (server, measurement, figure, values) in figures.all() {
        let of_server = servers.entry(server).or_insert_with(|| json!({}));
        of_server[measurement][figure] = json!(values);
    }
    let verdicts: Vec<Value> = verdicts
        .iter()
        .map(|v| json!({"target": v.what, "atMost": v.at_most, "unit": v.unit, "measured": v.measured, "met": v.met, "binding": v.binding}))
        .collect();
    let all = json!({"figures": servers, "verdicts": verdicts, "failures": figures.failures()});
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_ratio_to_ws_and_a_dash_for_what_is_missing() {
        let mut figures = Figures::default();
        for (server, micros) in [("osbackend", 1.0), ("ws", 4.0)] {
            figures.take(server, "fanout4", Ok(json!({"cpuMicrosPerDelivery": micros})));
        }
        figures.take("ws", "fanout64", Ok(json!({"cpuMicrosPerDelivery": 5.0})));
        let text = markdown(&figures, &[]);
        assert!(text.contains("| osbackend | 1.00 = 0.250 × | – |"), "{text}");
        assert!(text.contains("| ws | 4.00 = 1.000 × | 5.000 = 1.000 × |"), "{text}");
        let parsed: Value = serde_json::from_str(&json(&figures, &[]).expect("json")).expect("parses");
        assert_eq!(parsed["figures"]["ws"]["fanout64"]["cpuMicrosPerDelivery"], json!([5.0]));
    }
}
