//! `cargo xtask bench`: what a delivery, a connection and an event in the browser cost, beside the peers, in one run.
//!
//! Servers and load are processes of their own on loopback. Every measurement is bounded in count and time.

mod client;
mod figures;
mod options;
mod report;
mod server;
mod targets;

use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::figures::Figures;
use self::options::{Options, Part};
use self::server::{Programs, Server};
use crate::project::Project;
use crate::tools::postgres;

/// Members of the room in a fan-out measurement.
const MEMBERS: usize = 1000;
/// Bytes of an event's `data`; every server adds the envelope of its own protocol.
const EVENT_BYTES: usize = 150;
/// Events on their way at the same time.
const OUTSTANDING: [usize; 2] = [4, 64];

/// Tasks that publish to the server as a library.
const PUBLISHERS: usize = 50;

/// How much is measured.
struct Amounts {
    repeat: usize,
    warmup: Duration,
    window: Duration,
    connections: usize,
    /// Stored points of the metrics, and questions about them.
    points: u64,
    questions: u64,
}

/// The command.
pub(crate) fn run(project: &Project, args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    if !cfg!(target_os = "linux") {
        bail!("the bench reads CPU and memory of the servers from /proc: it runs on Linux only");
    }
    let amounts = if options.quick {
        Amounts {
            repeat: 1,
            warmup: Duration::from_millis(500),
            window: Duration::from_secs(1),
            connections: 2000,
            points: 200_000,
            questions: 60,
        }
    } else {
        Amounts {
            repeat: 3,
            warmup: Duration::from_secs(1),
            window: Duration::from_secs(2),
            connections: 10_000,
            points: 10_000_000,
            questions: 400,
        }
    };
    let programs = Programs::build(project, &options)?;
    let mut figures = Figures::default();
    // Round after round over all servers, not server after server: a disturbance then hits all alike.
    for round in 1..=amounts.repeat {
        eprintln!("round {round} of {}", amounts.repeat);
        for &server in &options.servers() {
            if options.has(Part::Fanout) {
                for outstanding in OUTSTANDING {
                    let result = fanout(&programs, server, outstanding, &amounts);
                    figures.take(server.name(), &format!("fanout{outstanding}"), result);
                }
            }
            // Plain mode and the memory engine differ from ours only in what is written: one row for connections is enough.
            let differs = !matches!(server, Server::OursPlain | Server::OursMemory);
            if (options.has(Part::Memory) || options.has(Part::Connect)) && differs {
                figures.take(server.name(), "connections", ramp(&programs, server, amounts.connections));
            }
            if options.has(Part::SlowConsumers) && server == Server::Ours {
                figures.take(server.name(), "slow", slow_consumers(&programs, server, &amounts));
            }
        }
    }
    if options.has(Part::Durable) {
        for _ in 0..amounts.repeat {
            for (measurement, rate) in [("publish", 0), ("publish2000", 2000)] {
                figures.take(Server::Ours.name(), measurement, publish(&programs, rate, &amounts));
            }
        }
    }
    if options.has(Part::Storm) {
        for _ in 0..amounts.repeat {
            figures.take(Server::Ours.name(), "storm", storm(&programs));
            figures.take(Server::Ours.name(), "drain", drain(&programs));
        }
    }
    if options.has(Part::Recovery) {
        for _ in 0..amounts.repeat {
            figures.take(Server::Ours.name(), "recovery", recovery(&programs, &amounts));
        }
    }
    if options.has(Part::Metrics) {
        // Once: filling the stores takes minutes, and each question is a sample.
        for (store, measurement) in METRIC_STORES {
            figures.take(Server::Ours.name(), measurement, metrics(&programs, store, &amounts));
        }
    }
    if options.has(Part::Attacks) {
        // Once: each attack has a server of its own, and goes on for half a minute.
        figures.take(Server::Ours.name(), "attacks", attacks(&programs, &amounts));
    }
    if options.has(Part::Client) {
        client::measure(project, &programs, &options, &mut figures)?;
    }

    let verdicts = targets::check(&figures);
    print!("{}", report::markdown(&figures, &verdicts));
    let file = match &options.json {
        Some(path) => path.clone(),
        None => project.work_dir()?.join("bench.json"),
    };
    std::fs::write(&file, report::json(&figures, &verdicts)?).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("the figures as JSON: {}", file.display());

    if !figures.failures().is_empty() {
        bail!("{} measurements failed: {}", figures.failures().len(), figures.failures().join("; "));
    }
    let missed = verdicts.iter().filter(|verdict| verdict.binding && !verdict.met).count();
    if missed > 0 && !options.quick {
        bail!("{missed} targets were missed");
    }
    Ok(())
}

fn fanout(programs: &Programs, server: Server, outstanding: usize, amounts: &Amounts) -> Result<serde_json::Value> {
    let running = programs.start(server)?;
    programs.load(
        &running,
        "fanout",
        &[
            ("members", MEMBERS.to_string()),
            ("outstanding", outstanding.to_string()),
            ("bytes", EVENT_BYTES.to_string()),
            ("warmup-ms", amounts.warmup.as_millis().to_string()),
            ("window-ms", amounts.window.as_millis().to_string()),
            ("within-ms", "30000".to_owned()),
        ],
    )
}

/// Members that go on reading, and such that stop.
const HEALTHY_AND_STALLED: (usize, usize) = (1000, 100);
/// Values a second, each of a KiB: what a healthy member takes without ever being behind.
const VALUES: (usize, usize) = (50, 1024);

fn slow_consumers(programs: &Programs, server: Server, amounts: &Amounts) -> Result<serde_json::Value> {
    let running = programs.start(server)?;
    programs.load(
        &running,
        "slow",
        &[
            ("healthy", HEALTHY_AND_STALLED.0.to_string()),
            ("stalled", HEALTHY_AND_STALLED.1.to_string()),
            ("rate", VALUES.0.to_string()),
            ("bytes", VALUES.1.to_string()),
            ("warmup-ms", (2 * amounts.warmup).as_millis().to_string()),
            ("window-ms", (3 * amounts.window).as_millis().to_string()),
            ("within-ms", "30000".to_owned()),
        ],
    )
}

fn publish(programs: &Programs, rate: u64, amounts: &Amounts) -> Result<serde_json::Value> {
    programs.publish(
        PUBLISHERS,
        rate,
        &[
            ("bytes", EVENT_BYTES.to_string()),
            ("warmup-ms", amounts.warmup.as_millis().to_string()),
            ("window-ms", amounts.window.as_millis().to_string()),
        ],
    )
}

/// Clients of a server that dies or is drained, each in two rooms of its own.
const STORM_CLIENTS: usize = 5000;
/// How long a killed server is away.
const DOWN: Duration = Duration::from_secs(2);
/// What the SDK's delays are multiplied with. 1: they are the product's.
const STORM_SCALE: f64 = 1.0;
/// The default of `DRAIN`.
const DRAIN_WINDOW: Duration = Duration::from_secs(20);

fn storm(programs: &Programs) -> Result<serde_json::Value> {
    let amounts =
        [("clients", STORM_CLIENTS.to_string()), ("down-ms", DOWN.as_millis().to_string()), ("scale", STORM_SCALE.to_string())];
    programs.alone("storm", &amounts)
}

fn drain(programs: &Programs) -> Result<serde_json::Value> {
    let window = DRAIN_WINDOW.as_millis().to_string();
    programs.alone("drain", &[("clients", STORM_CLIENTS.to_string()), ("window-ms", window)])
}

/// Clients that come back at once, and events that each of them missed.
const RETURNING: (usize, u64) = (1000, 1000);
/// Members that stay, in two rooms, and live events a second.
const STAYING: (usize, u32) = (100, 100);

fn recovery(programs: &Programs, amounts: &Amounts) -> Result<serde_json::Value> {
    programs.alone(
        "recovery",
        &[
            ("clients", RETURNING.0.to_string()),
            ("missed", RETURNING.1.to_string()),
            ("stayers", STAYING.0.to_string()),
            ("rate", STAYING.1.to_string()),
            ("bytes", EVENT_BYTES.to_string()),
            ("window-ms", amounts.window.as_millis().to_string()),
        ],
    )
}

/// Where metrics are stored, and the names of the measurements.
const METRIC_STORES: [(&str, &str); 2] = [("sqlite", "metrics in SQLite"), ("postgres", "metrics in PostgreSQL")];
/// Publishes a second while old points are deleted.
const PUBLISHES: u64 = 2000;

fn metrics(programs: &Programs, store: &str, amounts: &Amounts) -> Result<serde_json::Value> {
    if store == "postgres" {
        postgres::ensure()?;
    }
    programs.alone(
        "metrics",
        &[
            ("store", store.to_owned()),
            ("points", amounts.points.to_string()),
            ("questions", amounts.questions.to_string()),
            ("rate", PUBLISHES.to_string()),
            ("window-ms", (5 * amounts.window).as_millis().to_string()),
        ],
    )
}

fn attacks(programs: &Programs, amounts: &Amounts) -> Result<serde_json::Value> {
    let seconds = (15 * amounts.window).as_secs().to_string();
    programs.alone("attacks", &[("seconds", seconds), ("only", "all".to_owned())])
}

fn ramp(programs: &Programs, server: Server, connections: usize) -> Result<serde_json::Value> {
    let running = programs.start(server)?;
    programs.load(&running, "ramp", &[("connections", connections.to_string()), ("within-ms", "60000".to_owned())])
}
