//! What a killed server's clients do to it when it is back, and how those of a drained one spread over its window.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::args::Args;
use crate::crowd::{Back, Crowd, publish};
use crate::process::Process;
use crate::victim::{Running, Victim, fresh, port_below_the_ephemeral};

const SAMPLED_EVERY: Duration = Duration::from_millis(100);
/// A crowd that is not back by then is not waited for.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(90);

fn victim(args: &Args) -> Result<Victim> {
    Ok(Victim {
        program: args.text("server")?.into(),
        dir: fresh(args.text("dir")?.as_ref(), "first")?,
        secret: args.secret()?.to_owned(),
        port: port_below_the_ephemeral()?,
        env: Vec::new(),
        log: None,
    })
}

async fn start(victim: &Victim) -> Result<Running> {
    let victim = victim.clone();
    blocking(move || victim.start()).await
}

fn run(measurement: impl Future<Output = Result<Value>>) -> Result<Value> {
    // One thread for all clients: the server shall have the other core.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measurement)
}

/// The server is killed under `--clients` clients, is away for `--down-ms`, and then they come, with the product's own
/// `CONNECT_RATE` and the SDK's delays times `--scale`.
pub(crate) fn storm(args: &Args) -> Result<Value> {
    let (clients, scale): (usize, f64) = (args.number("clients")?, args.number("scale")?);
    let (down, mut victim) = (args.millis("down-ms")?, victim(args)?);
    run(async {
        let url = format!("ws://127.0.0.1:{}/ws", victim.port);
        victim.env = vec![("CONNECT_RATE", "0".to_owned())];
        let running = start(&victim).await?;
        let mut crowd = Crowd::gather(&url, &victim.secret, clients, scale).await?;
        publish(&url, &victim.secret, 2 * clients).await?;
        // Those after these may be stored and not delivered when it dies: they are what is recovered.
        let (to, secret) = (url.clone(), victim.secret.clone());
        let publishing = tokio::spawn(async move { publish(&to, &secret, 2 * clients).await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let resident_before = running.process().resident()?;
        blocking(move || running.kill()).await?;
        publishing.abort();

        tokio::time::sleep(down).await;
        victim.env.clear();
        let began = Instant::now();
        let running = start(&victim).await?;
        let (listens, process) = (Instant::now(), running.process());
        let cpu_before = process.cpu()?;
        let most = Arc::new(AtomicU64::new(0));
        let sampler = tokio::spawn(peak(process, most.clone()));
        let returns = crowd.all_back(GIVEN_UP_AFTER).await?;
        let cpu_after = process.cpu()?;
        sampler.abort();
        let peak = most.load(Ordering::Relaxed);
        let resident = process.resident()?;
        let seconds = seconds_after(listens, &returns);
        let quantile = |share: f64| seconds[((seconds.len() - 1) as f64 * share) as usize];
        Ok(json!({
            "clients": clients,
            "rooms": 2 * clients,
            "scale": scale,
            "secondsToListen": (listens - began).as_secs_f64(),
            "secondsUntilHalfAreBack": quantile(0.5),
            "secondsUntilAllAreBack": quantile(1.0),
            "mostReturnsInASecond": by_second(&seconds).into_iter().max(),
            "notRecovered": returns.iter().filter(|back| !back.recovered).count(),
            "notAuthenticated": returns.iter().filter(|back| !back.authenticated).count(),
            "notResumed": returns.iter().filter(|back| !back.resumed).count(),
            "cpuMicrosPerReturn": cpu_before.micros_until(&cpu_after) / clients as f64,
            "residentBefore": resident_before,
            "residentAfter": resident,
            "residentPeak": peak.max(resident),
            "timesResident": peak.max(resident) as f64 / resident_before as f64,
        }))
    })
}

/// The server is told to stop, with a drain of `--window-ms`, and a successor takes its port.
pub(crate) fn drain(args: &Args) -> Result<Value> {
    let (clients, window) = (args.number("clients")?, args.millis("window-ms")?);
    let mut victim = victim(args)?;
    run(async {
        let url = format!("ws://127.0.0.1:{}/ws", victim.port);
        victim.env = vec![("CONNECT_RATE", "0".to_owned()), ("DRAIN", format!("{}ms", window.as_millis())), shared()];
        let running = start(&victim).await?;
        let mut crowd = Crowd::gather(&url, &victim.secret, clients, 1.0).await?;
        // A session that ends sooner is one that failed, to the SDK, and adds the delay of a failure to its slot.
        tokio::time::sleep(Duration::from_secs(6)).await;
        let began = Instant::now();
        running.terminate()?;
        // Another directory: a file is for one process, and the streams are not what is measured here.
        victim.dir = fresh(args.text("dir")?.as_ref(), "second")?;
        // The first one leaves the port to it as soon as it has heard.
        victim.env = vec![shared()];
        let successor = start(&victim).await?;
        let seconds = seconds_after(began, &crowd.all_back(GIVEN_UP_AFTER).await?);
        drop(successor);
        let most = by_second(&seconds).into_iter().max().unwrap_or(0);
        let mean = clients as f64 / window.as_secs_f64();
        Ok(json!({
            "clients": clients,
            "meanArrivalsASecond": mean,
            "mostArrivalsASecond": most,
            "timesMean": most as f64 / mean,
            "secondsUntilAllArrived": seconds.last(),
        }))
    })
}

/// Both listen on one port.
fn shared() -> (&'static str, String) {
    ("REUSE_PORT", "true".to_owned())
}

fn seconds_after(began: Instant, returns: &[Back]) -> Vec<f64> {
    let mut seconds: Vec<f64> = returns.iter().map(|back| (back.at - began).as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    seconds
}

/// How many came in each second.
fn by_second(seconds: &[f64]) -> Vec<usize> {
    let mut counts = vec![0; seconds.last().map_or(0, |last| *last as usize + 1)];
    seconds.iter().for_each(|second| counts[*second as usize] += 1);
    counts
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the thread that drives the server")?
}

/// The most memory that was seen, sampled until aborted.
async fn peak(process: Process, most: Arc<AtomicU64>) {
    let mut ticks = tokio::time::interval(SAMPLED_EVERY);
    loop {
        ticks.tick().await;
        if let Ok(resident) = process.resident() {
            most.fetch_max(resident, Ordering::Relaxed);
        }
    }
}
