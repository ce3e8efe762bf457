//! `osbackend load`: many members, a steady stream of numbered events, and an account of every delivery.
//!
//! Bounded in members, rate and time, and against this machine only unless the user says whose machine it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use osbackend_client::StartError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::{As, Connection, ConnectionError};
use super::http::{Api, CallError, Credential};
use super::signals::StopSignals;
use super::terminal::{self, Paint};
use crate::auth::mint::{MintError, Token};
use crate::config::Secret;

mod member;
mod publisher;
mod report;
mod tally;

use member::{Member, Shared, histogram};
use publisher::{Publisher, Via};
use report::{Report, Times};
use tally::Tally;

/// The events' type: not one of §4, so reliable, and never conflated.
const EVENT: &str = "load_probe";
/// How long a member may take to get into its room.
const JOIN_PATIENCE: Duration = Duration::from_secs(30);
/// How long deliveries may stand still, once all is published, before what is missing counts as lost.
const QUIET: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(100);

/// How much, where, and as whom.
#[derive(clap::Args)]
#[command(after_help = "Events are published by the HTTP API as an admin or with an API key, one after the other in each room, \
    and each member checks by their numbers and the room's offsets that it gets every one of them once and in order.\n\n\
    Against a server with --dev:   osbackend load --dev --clients 200 --rooms 4 --rate 100 --seconds 10\n\
    Against one with JWT_SECRET:   JWT_SECRET=… osbackend load   (a user for each client; see MAX_CONNECTIONS_PER_IP and CONNECT_RATE_PER_IP)\n\n\
    Exit status: 0 every event reached every member once; 1 something was lost, doubled or refused; 2 the command line is wrong.")]
pub(super) struct Args {
    /// Members, 1 to 10000.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// Rooms that they are spread over, 1 to 1000.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rooms: u32,
    /// Events a second, of all rooms together, 1 to 20000.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// For how long to publish, 1 to 3600.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Bytes that are added to each event, 0 to 16384.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=16_384))]
    bytes: u32,
    /// New connections a second, 1 to 1000.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connect_rate: u32,
    /// Prefix of the rooms; their members must be allowed to join it.
    #[arg(long, default_value = "agent", value_name = "PREFIX")]
    room_prefix: String,
    /// Publish over WebSockets of an admin, one a room, instead of the HTTP API; the server's MESSAGE_RATE holds.
    #[arg(long)]
    via_socket: bool,
    /// Sign a user's token for each member, and an admin's, with this secret of the server.
    #[arg(long, env = "JWT_SECRET", hide_env_values = true, value_name = "SECRET")]
    jwt_secret: Option<String>,
    /// Allow an address that is not this machine's.
    #[arg(long)]
    i_own_this_host: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Why there is no clean report.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Mint(#[from] MintError),
    #[error("{0} is not this machine, and a load may take a server down. If it is yours, say so with --i-own-this-host")]
    NotHere(String),
    #[error("the members need a token: give --token, --jwt-secret, or --dev for a server that runs with --dev")]
    NoToken,
    #[error("events are published as an admin: give an admin's --token, --api-key, --jwt-secret or --dev")]
    NoPublisher,
    #[error("no client got into its room: {0}")]
    NobodyConnected(String),
    #[error("the histogram could not be made: {0}")]
    Histogram(String),
    #[error("{0}")]
    System(#[from] std::io::Error),
    #[error("not every event reached every member once; the report says what happened")]
    NotClean,
}

impl LoadError {
    /// Whether the command line is to blame.
    pub(super) fn is_usage(&self) -> bool {
        match self {
            Self::Connection(error) => error.is_usage(),
            Self::NotHere(_) | Self::NoToken | Self::NoPublisher => true,
            _ => false,
        }
    }
}

/// Who takes part.
struct Cast {
    /// The token of every member, unless each has its own.
    token: Option<String>,
    secret: Option<Secret>,
    /// The publishers' token; `None`: an API key.
    admin: Option<String>,
    api: Api,
}

impl Cast {
    async fn of(args: &Args) -> Result<Self, LoadError> {
        let connection = &args.connection;
        let secret = args.jwt_secret.as_deref().filter(|secret| !secret.is_empty() && !connection.has_token()).map(Secret::from);
        if let Some(secret) = secret {
            let admin = Token::for_user("load-admin").role("admin").lifetime(lifetime(args)).sign(&secret)?;
            let api = connection.anonymous_api()?.with(Credential::Token(admin.clone()));
            return Ok(Self { token: None, secret: Some(secret), admin: Some(admin), api });
        }
        let token = connection.user_token(As::User).await?.ok_or(LoadError::NoToken)?;
        let admin = connection.user_token(As::Admin).await?;
        let api = connection.api(As::Admin).await?;
        if !api.is_named() { Err(LoadError::NoPublisher) } else { Ok(Self { token: Some(token), secret: None, admin, api }) }
    }

    fn token_of(&self, number: u32, args: &Args) -> Result<String, LoadError> {
        match (&self.token, &self.secret) {
            (Some(token), _) => Ok(token.clone()),
            (None, Some(secret)) => Ok(Token::for_user(&format!("load-{number}")).lifetime(lifetime(args)).sign(secret)?),
            (None, None) => Err(LoadError::NoToken),
        }
    }
}

/// Longer than the run, so that no token expires within it.
fn lifetime(args: &Args) -> Duration {
    Duration::from_secs(u64::from(args.seconds) + 3_600)
}

pub(super) async fn run(args: Args) -> Result<(), LoadError> {
    if !args.i_own_this_host && !args.connection.is_loopback()? {
        return Err(LoadError::NotHere(args.connection.http_url()?.to_string()));
    }
    let mut signals = StopSignals::new()?;
    let (stop, stopped) = watch::channel(false);
    let run = drive(&args, stopped);
    let mut run = std::pin::pin!(run);
    let report = tokio::select! {
        report = run.as_mut() => report?,
        () = signals.next() => {
            // What has happened until now is still worth a report.
            stop.send_replace(true);
            run.await?
        }
    };
    if args.json {
        terminal::line(&serde_json::to_string(&report).unwrap_or_default());
    } else {
        terminal::line(&report.text(Paint::of_stdout()));
    }
    if report.is_clean() { Ok(()) } else { Err(LoadError::NotClean) }
}

async fn drive(args: &Args, stopped: watch::Receiver<bool>) -> Result<Report, LoadError> {
    let cast = Cast::of(args).await?;
    let shared = Shared::new()?;
    let run = u32::from_le_bytes(random());
    let rooms: Vec<String> = (0..args.rooms).map(|room| format!("{}:load-{run:08x}-{room}", args.room_prefix)).collect();

    let mut errors = Vec::new();
    let members = connect(args, &cast, &rooms, &mut errors, stopped.clone()).await?;
    let mut connects = histogram()?;
    let mut in_room = vec![0_u64; rooms.len()];
    for member in &members {
        connects.saturating_record(u64::try_from(member.connect.as_micros()).unwrap_or(u64::MAX).max(1));
        in_room[member.room] += 1;
    }
    let connected = members.len();
    // Not `stop`: members go on listening until every publisher is done.
    let (close, closed) = watch::channel(false);
    let mut accounts = JoinSet::new();
    for member in members {
        accounts.spawn(member.account(shared.clone(), closed.clone()));
    }

    let published = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut publishers = JoinSet::new();
    let every = Duration::from_secs_f64(f64::from(args.rooms) / f64::from(args.rate));
    let padding: Arc<str> = "x".repeat(args.bytes as usize).into();
    for (index, room) in rooms.iter().enumerate() {
        let via = match (&cast.admin, args.via_socket) {
            (Some(admin), true) => {
                // What it is told is of no interest, so nobody reads it.
                let (client, _) = args.connection.client()?.token(admin.clone()).backoff(member::backoff()).start()?;
                Via::Socket(client)
            }
            (None, true) => return Err(LoadError::NoPublisher),
            (_, false) => Via::Http(cast.api.clone()),
        };
        let (room, padding, shared, published) = (room.clone(), padding.clone(), shared.clone(), published.clone());
        let publisher = Publisher { via, room, every, padding, shared, published };
        let (until, stopped) = (began + Duration::from_secs(args.seconds.into()), stopped.clone());
        publishers.spawn(async move { (index, publisher.run(until, stopped).await) });
    }
    let bar = terminal::progress(u64::from(args.seconds) * 10, "{wide_bar} {elapsed}  {msg}");
    let mut of_room = vec![0_u64; rooms.len()];
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            ended = publishers.join_next() => match ended {
                Some(Ok((index, (count, error)))) => {
                    of_room[index] = count;
                    errors.extend(error.map(|error| format!("publishing into {} stopped: {error}", rooms[index])));
                }
                Some(Err(error)) => errors.push(format!("a publisher ended: {error}")),
                None => break,
            },
            _ = ticks.tick() => show(&bar, began, &published, &shared),
        }
    }
    let took = began.elapsed();
    let expected = of_room.iter().zip(&in_room).map(|(published, members)| published * members).sum();
    settle(expected, &shared, &bar, began, &published).await;
    bar.finish_and_clear();
    let delivering = began.elapsed();
    close.send_replace(true);

    let mut totals = Totals::default();
    while let Some(ended) = accounts.join_next().await {
        match ended {
            Ok((room, tally)) => totals.add(&tally, of_room[room]),
            Err(error) => errors.push(format!("a member ended: {error}")),
        }
    }
    errors.dedup();
    let (published, delivered) = (of_room.iter().sum::<u64>(), shared.delivered.load(Ordering::Relaxed));
    Ok(Report {
        clients: args.clients as usize,
        connected,
        rooms: rooms.len(),
        seconds: took.as_secs_f64(),
        published,
        published_per_second: published as f64 / took.as_secs_f64(),
        expected,
        delivered,
        delivered_per_second: delivered as f64 / delivering.as_secs_f64(),
        lost: totals.lost,
        duplicated: totals.duplicated,
        misplaced: totals.misplaced,
        reconnects: shared.reconnects.load(Ordering::Relaxed),
        latency_ms: Times::of(&shared.latency.lock()),
        connect_ms: Times::of(&connects),
        errors,
    })
}

#[derive(Default)]
struct Totals {
    lost: u64,
    duplicated: u64,
    misplaced: u64,
}

impl Totals {
    fn add(&mut self, tally: &Tally, published: u64) {
        self.lost += tally.lost(published);
        self.duplicated += tally.duplicated;
        self.misplaced += tally.misplaced;
    }
}

fn random() -> [u8; 4] {
    let mut bytes = [0; 4];
    // Without randomness the rooms are those of the last such run: their old events are never replayed.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

/// Brings the members into their rooms, at the rate of new connections.
async fn connect(
    args: &Args,
    cast: &Cast,
    rooms: &[String],
    errors: &mut Vec<String>,
    mut stopped: watch::Receiver<bool>,
) -> Result<Vec<Member>, LoadError> {
    let bar = terminal::progress(args.clients.into(), "{wide_bar} {pos}/{len} connected");
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / args.connect_rate);
    let mut joining = JoinSet::new();
    let mut members = Vec::new();
    let mut failures = Vec::new();
    let mut started = 0;
    while (started < args.clients || !joining.is_empty()) && !*stopped.borrow() {
        tokio::select! {
            _ = ticks.tick(), if started < args.clients => {
                let room = started as usize % rooms.len();
                let (builder, name) = (args.connection.client()?.token(cast.token_of(started, args)?), rooms[room].clone());
                joining.spawn(async move {
                    match tokio::time::timeout(JOIN_PATIENCE, Member::join(builder, room, &name)).await {
                        Ok(joined) => joined,
                        Err(_) => Err("not in its room in time".to_owned()),
                    }
                });
                started += 1;
            }
            Some(joined) = joining.join_next() => {
                bar.inc(1);
                match joined.map_err(|error| error.to_string()) {
                    Ok(Ok(member)) => members.push(member),
                    Ok(Err(error)) | Err(error) => failures.push(error),
                }
            }
            _ = stopped.changed() => {}
        }
    }
    bar.finish_and_clear();
    if let Some(first) = failures.first() {
        errors.push(format!("{} clients got into no room, the first because: {first}", failures.len()));
    }
    match (members.is_empty(), failures.into_iter().next()) {
        (true, Some(first)) => Err(LoadError::NobodyConnected(first)),
        _ => Ok(members),
    }
}

fn show(bar: &ProgressBar, began: Instant, published: &AtomicU64, shared: &Shared) {
    bar.set_position(u64::try_from(began.elapsed().as_millis() / TICK.as_millis()).unwrap_or(u64::MAX));
    let p99 = shared.latency.lock().value_at_quantile(0.99) as f64 / 1_000.0;
    let (published, delivered) = (published.load(Ordering::Relaxed), shared.delivered.load(Ordering::Relaxed));
    bar.set_message(format!("{published} published  {delivered} delivered  p99 {p99:.1} ms"));
}

/// Waits until all is delivered, or deliveries stand still.
async fn settle(expected: u64, shared: &Shared, bar: &ProgressBar, began: Instant, published: &AtomicU64) {
    let mut ticks = tokio::time::interval(TICK);
    let (mut before, mut since) = (0, Instant::now());
    loop {
        let delivered = shared.delivered.load(Ordering::Relaxed);
        if delivered >= expected || since.elapsed() >= QUIET {
            return;
        }
        if delivered != before {
            (before, since) = (delivered, Instant::now());
        }
        show(bar, began, published, shared);
        ticks.tick().await;
    }
}
