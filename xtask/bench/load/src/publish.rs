//! The server as a library in this process, with its durable engine: publishes that are acknowledged, and how soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use osbackend_protocol::RoomName;
use osbackend_server::{Handle, Realtime};
use serde_json::{Value, json};

use crate::args::Args;
use crate::process::Process;

/// Rooms that the publishers share.
const ROOMS: usize = 20;
/// Rooms that are opened.
const OPENED: usize = 2_000;

/// `--publishers` tasks publish to the server with its data in `--dir` (`memory`: the memory engine), each as soon as the one before is acknowledged, or together at
/// `--rate` a second (0: as fast as they can), for `--warmup-ms` and then `--window-ms`.
pub(crate) fn run(args: &Args) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let publishers: usize = args.number("publishers")?;
    let (rate, bytes): (u64, usize) = (args.number("rate")?, args.number("bytes")?);
    let (warmup, length) = (args.millis("warmup-ms")?, args.millis("window-ms")?);
    let dir = args.text("dir")?;
    runtime.block_on(async {
        let builder = Realtime::builder().jwt_secret("only-for-the-bench-only-for-the-bench");
        let realtime = if dir == "memory" { builder } else { builder.data_dir(dir) }.build()?;
        let handle = realtime.handle();
        let begun = Instant::now();
        let window = begun + warmup..begun + warmup + length;
        let slots = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for number in 0..publishers {
            let (handle, window, slots) = (handle.clone(), window.clone(), slots.clone());
            tasks.push(tokio::spawn(async move {
                let data = json!({"pad": "x".repeat(bytes.saturating_sub(10))});
                let room = format!("agent:{}", number % ROOMS);
                let mut latencies = Vec::new();
                loop {
                    let due = if let Some(nanos_each) = 1_000_000_000_u64.checked_div(rate) {
                        // Times are given beforehand: a late acknowledgement doesn't hide those that it delays.
                        let slot = slots.fetch_add(1, Ordering::Relaxed);
                        let due = begun + Duration::from_nanos(slot * nanos_each);
                        tokio::time::sleep_until(due.into()).await;
                        // The timer's own coarseness is not the engine's.
                        Instant::now().min(due + Duration::from_millis(2))
                    } else {
                        Instant::now()
                    };
                    if due >= window.end {
                        return anyhow::Ok(latencies);
                    }
                    publish(&handle, &room, &data).await?;
                    if due >= window.start {
                        latencies.push(due.elapsed());
                    }
                }
            }));
        }
        let own = Process(std::process::id());
        tokio::time::sleep_until(window.start.into()).await;
        let before = own.cpu()?;
        tokio::time::sleep_until(window.end.into()).await;
        let micros = before.micros_until(&own.cpu()?);
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await??);
        }
        latencies.sort_unstable();
        let millis = |quantile: f64| {
            let index = (quantile * (latencies.len().saturating_sub(1)) as f64) as usize;
            latencies.get(index).map(|latency| latency.as_secs_f64() * 1000.0)
        };
        let opened = opening(&handle).await?;
        let figures = json!({
            "publishesPerSecond": latencies.len() as f64 / length.as_secs_f64(),
            "cpuMicrosPerPublish": micros / latencies.len().max(1) as f64,
            "microsPerOpenedRoom": opened.as_secs_f64() * 1_000_000.0 / OPENED as f64,
            "ackMillisP50": millis(0.5).context("nothing was acknowledged within the window")?,
            "ackMillisP99": millis(0.99),
            "ackMillisMax": millis(1.0),
        });
        tokio::task::spawn_blocking(move || handle.stop()).await?;
        Ok(figures)
    })
}

/// How long it takes to open rooms that hold a few events and are not in memory, one after the other.
async fn opening(handle: &Handle) -> Result<Duration> {
    let rooms: Vec<RoomName> = (0..OPENED).map(|n| RoomName::parse(&format!("user:{n}"))).collect::<Result<_, _>>()?;
    let data = json!({"n": 1});
    for room in &rooms {
        let publishes = (0..5).map(|_| handle.publish(room.clone(), "bench", &data, None));
        futures_util::future::try_join_all(publishes).await?;
    }
    let begun = Instant::now();
    for room in rooms {
        handle.history(room, None, 1, false)?;
    }
    Ok(begun.elapsed())
}

async fn publish(handle: &Handle, room: &str, data: &Value) -> Result<()> {
    handle.broadcast_to_room(room, "bench", data).await?;
    Ok(())
}
