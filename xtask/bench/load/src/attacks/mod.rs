//! What everybody else notices while one address attacks: another user's login and publishes, the server's memory and log.
//!
//! The server runs with its default settings. The attack comes from another loopback address than the others do, and runs on
//! a thread of its own.

mod kinds;
mod net;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use self::kinds::{ALL, Attack, Target};
use self::net::{OTHERS, Socket, call};
use crate::args::Args;
use crate::process::Process;
use crate::token;
use crate::victim::{Victim, fresh};

/// Between two looks at the server.
const PAUSE: Duration = Duration::from_millis(50);
/// A login or a publish that takes longer counts as this long.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(10);

/// One server an attack, `--seconds` each; `--only` names one by a word of its description, `all` means every one.
pub(crate) fn run(args: &Args) -> Result<Value> {
    let seconds: u64 = args.number("seconds")?;
    let only = args.text("only")?;
    let mut figures = Map::new();
    let (mut worst, mut attacks) = (Harm::default(), Map::new());
    for (attack, about) in ALL {
        if only != "all" && !about.contains(only) {
            continue;
        }
        let harm = attacked(args, attack, Duration::from_secs(seconds)).with_context(|| about.to_owned())?;
        eprintln!("{about}: {harm:?}");
        worst = worst.or_worse(&harm);
        attacks.insert(about.to_owned(), harm.json());
    }
    figures.insert("attacks".to_owned(), attacks.into());
    if let Value::Object(worst) = worst.json() {
        figures.extend(worst);
    }
    Ok(figures.into())
}

/// The harm that an attack does to others.
#[derive(Clone, Copy, Debug, Default)]
struct Harm {
    login_p99: f64,
    publish_p99: f64,
    resident_peak: u64,
    log_bytes: u64,
}

impl Harm {
    fn or_worse(self, other: &Self) -> Self {
        Self {
            login_p99: self.login_p99.max(other.login_p99),
            publish_p99: self.publish_p99.max(other.publish_p99),
            resident_peak: self.resident_peak.max(other.resident_peak),
            log_bytes: self.log_bytes.max(other.log_bytes),
        }
    }

    fn json(self) -> Value {
        json!({
            "loginMillisP99": self.login_p99,
            "publishMillisP99": self.publish_p99,
            "residentPeak": self.resident_peak,
            "logBytes": self.log_bytes,
        })
    }
}

fn attacked(args: &Args, attack: Attack, length: Duration) -> Result<Harm> {
    let dir = fresh(args.text("dir")?.as_ref(), "attacked")?;
    let log = dir.with_extension("log");
    let secret = args.secret()?.to_owned();
    let log_to = Some(log.clone());
    let victim =
        Victim { program: args.text("server")?.into(), dir, secret: secret.clone(), port: 0, env: Vec::new(), log: log_to };
    let running = victim.start()?;
    let target = Target {
        ws: running.ws,
        http: running.http,
        token: token::sign(&secret, "attacker", "user")?,
        admin: token::sign(&secret, "bench-admin", "admin")?,
    };
    let other = token::sign(&secret, "somebody-else", "user")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(attack.prepare(&target))?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let attacker = std::thread::spawn({
        let target = target.clone();
        move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                tokio::select! {
                    () = attack.run(target) => {}
                    _ = stopped => {}
                }
            });
            Ok(())
        }
    });
    let watched = runtime.block_on(watch(&target, &other, running.process(), length));
    drop(stop);
    attacker.join().map_err(|_| anyhow::anyhow!("the attacker panicked"))??;
    let mut harm = watched?;
    harm.log_bytes = size(&log)?;
    running.kill()?;
    Ok(harm)
}

/// Logs in and publishes, over and over, while the attack goes on.
async fn watch(target: &Target, token: &str, server: Process, length: Duration) -> Result<Harm> {
    let (mut logins, mut publishes) = (Vec::new(), Vec::new());
    let mut resident_peak = 0;
    let end = Instant::now() + length;
    while Instant::now() < end {
        logins.push(timed(login(target.ws, token)).await);
        publishes.push(timed(publish(target)).await);
        resident_peak = resident_peak.max(server.resident()?);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Harm { login_p99: p99(&mut logins), publish_p99: p99(&mut publishes), resident_peak, log_bytes: 0 })
}

/// Milliseconds that it took; a failure counts as the longest.
async fn timed(work: impl Future<Output = Result<()>>) -> f64 {
    let begun = Instant::now();
    match tokio::time::timeout(GIVEN_UP_AFTER, work).await {
        Ok(Ok(())) => begun.elapsed().as_secs_f64() * 1000.0,
        Ok(Err(error)) => {
            eprintln!("somebody else was turned away: {error:#}");
            GIVEN_UP_AFTER.as_secs_f64() * 1000.0
        }
        Err(_) => GIVEN_UP_AFTER.as_secs_f64() * 1000.0,
    }
}

async fn login(ws: SocketAddr, token: &str) -> Result<()> {
    let mut socket = Socket::open(ws, OTHERS, Some(token), None).await?;
    socket.expect("connection_established").await?;
    socket.reset()
}

async fn publish(target: &Target) -> Result<()> {
    let event = json!({"room": "dashboard:overview", "type": "note", "data": {}}).to_string();
    let (status, body) = call(target.http, OTHERS, "POST", "/api/ws/broadcast", Some(&target.admin), &event).await?;
    anyhow::ensure!(status == 200, "{status}: {body}");
    Ok(())
}

fn p99(millis: &mut [f64]) -> f64 {
    millis.sort_unstable_by(f64::total_cmp);
    millis.get((millis.len().saturating_sub(1) * 99).div_ceil(100)).copied().unwrap_or_default()
}

fn size(log: &Path) -> Result<u64> {
    Ok(std::fs::metadata(log)?.len())
}
