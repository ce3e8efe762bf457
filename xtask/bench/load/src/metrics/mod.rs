//! Millions of stored points: how soon the running server answers for one day by hour, and whether deleting old ones holds up those
//! who publish. For both stores, each with the settings that its server has by itself.

mod ask;
mod fill;
mod retention;
mod series;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use self::ask::{Asker, Question, questions};
use self::series::{DAY, HOUR, Series};
use crate::args::Args;
use crate::database::Database;
use crate::victim::{Running, Victim, fresh, port_below_the_ephemeral};

/// Different metrics.
const METRICS: u64 = 40;
/// What the points are spread over. Longer than points are kept by default, so that there are many days to ask for.
const DAYS: u64 = 30;
/// Smaller files are not worth the call that takes them out of the system's cache.
const SMALL: u64 = 1024 * 1024;

/// The measured store.
struct Store {
    victim: Victim,
    /// `None`: the engine's own file.
    database: Option<Database>,
}

/// `--store sqlite` or `postgres` with `--points` points and `--questions` questions, below `--dir`.
pub(crate) fn run(args: &Args) -> Result<Value> {
    let (points, count): (u64, u64) = (args.number("points")?, args.number("questions")?);
    let (rate, window): (u64, Duration) = (args.number("rate")?, args.millis("window-ms")?);
    let dir: PathBuf = args.text("dir")?.into();
    let database = match args.text("store")? {
        "sqlite" => None,
        "postgres" => Some(Database::start(&fresh(&dir, "database")?)?),
        other => bail!("--store {other}: sqlite or postgres"),
    };
    let kept = |days: u64| format!("{days}d");
    let mut env = vec![("METRICS_RAW", kept(DAYS + 2)), ("METRICS_MINUTES", kept(DAYS + 2))];
    env.extend(database.iter().map(|database| ("DATABASE_URL", database.url())));
    let victim = Victim {
        program: args.text("server")?.into(),
        dir: fresh(&dir, "data")?,
        secret: args.secret()?.to_owned(),
        port: port_below_the_ephemeral()?,
        env,
        log: None,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let length_ms = DAYS * DAY - HOUR;
    let series = Series { points, metrics: METRICS, begin_ms: now - DAYS * DAY, length_ms };
    let mut store = Store { victim, database };

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let began = Instant::now();
    // Makes the tables.
    store.victim.start()?.stop()?;
    match &store.database {
        None => fill::file(&store.file(), &series)?,
        Some(database) => runtime.block_on(fill::database(&database.url(), series))?,
    }
    let filled = began.elapsed();
    let bytes = store.bytes()?;
    let (stored, sums) = (store.count("points")?, store.count("sums")?);
    if stored != points {
        bail!("{stored} points are stored instead of {points}");
    }
    let asked = questions(&series, count, 0);
    store.forget_cached()?;
    let running = store.victim.start()?;
    let passes = runtime.block_on(passes(&running, &store.victim.secret, &series, &asked))?;
    running.stop()?;
    let mut figures = json!({
        "points": points,
        "sums": sums,
        "fillSeconds": filled.as_secs_f64(),
        "bytesOnDisk": bytes,
        "bytesPerPoint": bytes as f64 / points as f64,
    });
    passes.into_iter().for_each(|(pass, times)| tell(&mut figures, pass, &asked, times));
    // What follows may fail; these have taken minutes.
    eprintln!("  {figures}");

    // The older half is over its age now.
    store.victim.env[0].1 = kept(DAYS / 2);
    let running = store.victim.start()?;
    let (before, began) = (stored, Instant::now());
    let measured =
        runtime.block_on(retention::measure(&running, &store.victim.secret, &series, now - DAYS / 2 * DAY, rate, window))?;
    // What it deletes while it stops is not counted.
    let took = began.elapsed();
    running.kill()?;
    let left = store.count("points")?;
    let deleted = (before + measured.points).saturating_sub(left);
    figures["deletedASecond"] = (deleted as f64 / took.as_secs_f64()).into();
    for (name, quantile) in [("retentionAckMillisP50", 0.5), ("retentionAckMillisP99", 0.99), ("retentionAckMillisMax", 1.0)] {
        figures[name] = millis(&measured.acknowledged, quantile).into();
    }
    figures["retentionQueryMillisP99"] = millis(&measured.answered, 0.99).into();
    // It is a gigabyte.
    std::fs::remove_dir_all(&store.victim.dir)?;
    Ok(figures)
}

async fn passes(
    running: &Running,
    secret: &str,
    series: &Series,
    asked: &[Question],
) -> Result<Vec<(&'static str, Vec<Duration>)>> {
    let asker = Asker::new(running.ws, running.http, secret).await?;
    let mut passes = Vec::new();
    for (pass, http) in [("cold", false), ("warm", false), ("http", true)] {
        passes.push((pass, asker.all(series, asked, http).await.with_context(|| pass.to_owned())?));
    }
    Ok(passes)
}

/// The times of one metric's days and of all metrics' days apart.
fn tell(figures: &mut Value, pass: &str, asked: &[Question], times: Vec<Duration>) {
    let of = |all: bool| {
        let chosen = asked.iter().zip(&times).filter(|(question, _)| question.metric.is_none() == all);
        chosen.map(|(_, time)| *time).collect::<Vec<_>>()
    };
    for (name, times) in [(pass.to_owned(), of(false)), (format!("{pass}All"), of(true))] {
        figures[format!("{name}MillisP50")] = millis(&times, 0.5).into();
        figures[format!("{name}MillisP99")] = millis(&times, 0.99).into();
    }
}

fn millis(times: &[Duration], quantile: f64) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get((quantile * sorted.len().saturating_sub(1) as f64).round() as usize).map(|time| time.as_secs_f64() * 1000.0)
}

impl Store {
    fn file(&self) -> PathBuf {
        self.victim.dir.join("osbackend.db")
    }

    fn count(&self, what: &str) -> Result<u64> {
        if let Some(database) = &self.database {
            return database.number(&format!("SELECT count(*) FROM osbackend_metric_{what}"));
        }
        let file = rusqlite::Connection::open(self.file())?;
        let count: i64 = file.query_row(&format!("SELECT count(*) FROM metric_{what}"), [], |row| row.get(0))?;
        Ok(count.cast_unsigned())
    }

    /// Bytes of the points and sums on disk, indexes included.
    fn bytes(&self) -> Result<u64> {
        match &self.database {
            Some(database) => database.number("SELECT pg_database_size(current_database())"),
            None => Ok(std::fs::metadata(self.file())?.len()),
        }
    }

    /// Takes the files out of every cache: the first answers come from the disk.
    fn forget_cached(&self) -> Result<()> {
        match &self.database {
            None => forget_cached(&self.file()),
            Some(database) => {
                database.pause()?;
                forget_cached(Path::new(&database.data()))?;
                database.resume()
            }
        }
    }
}

fn forget_cached(path: &Path) -> Result<()> {
    let found = std::fs::metadata(path)?;
    if found.is_dir() {
        for entry in std::fs::read_dir(path)? {
            forget_cached(&entry?.path())?;
        }
        return Ok(());
    }
    if found.len() < SMALL {
        return Ok(());
    }
    // The system call for it needs unsafe code, or this program of GNU's.
    let mut dd = Command::new("dd");
    dd.arg(format!("of={}", path.display())).args(["oflag=nocache", "conv=notrunc,fdatasync", "count=0"]);
    let status = dd.stdin(Stdio::null()).stderr(Stdio::null()).status().context("dd")?;
    if !status.success() {
        bail!("dd could not take {} out of the system's cache", path.display());
    }
    Ok(())
}
