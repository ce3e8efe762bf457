//! `osbackend emit`: typed events to where their type says, or any event into a room, from words or from stdin.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use osbackend_protocol::event::DOMAIN_TYPES;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::connection::{As, Connection, ConnectionError};
use super::http::CallError;
use super::terminal;

mod fields;
mod lines;
mod send;

use fields::FieldError;
use lines::{Line, LineError};
use send::{SendError, Sender};

/// How long an event of a slow input waits for others to go with.
const LINGER: Duration = Duration::from_millis(100);

const EXAMPLES: &str = r#"Examples:
  osbackend emit metric_update metric=voice_call values.active:=3
  osbackend emit agent_status_change --data '{"agentId":"7","status":"busy"}'
  osbackend emit deploy_finished --room agent:7 version=1.4.2
  osbackend emit < events.ndjson            each line: {"type":…,"data":{…}}, and "room" where it is not the type's
  tail -f readings.ndjson | osbackend emit metric_update --stdin     each line: the data

Exit status: 0 all were published; 1 something was not, and stderr says what; 2 the command line is wrong."#;

/// What to publish.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The event's type, such as metric_update. Without one, events are read from stdin, one JSON object a line.
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
    /// The event's data: name=text, name:=JSON, with dots for objects in objects.
    #[arg(value_name = "FIELD")]
    fields: Vec<String>,
    /// The event's data as a JSON object; fields are added to it.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Into this room, instead of where the type says; any type may go there.
    #[arg(long)]
    room: Option<String>,
    /// Read data of TYPE from stdin, one JSON object a line.
    #[arg(long, conflicts_with_all = ["fields", "data"], requires = "kind")]
    stdin: bool,
    /// Events of stdin that are sent together, 1 to 1000.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Go on after an event that is refused.
    #[arg(long)]
    keep_going: bool,
    /// Print the summary as JSON to stdout.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Why not everything was published.
#[derive(Debug, thiserror::Error)]
pub(super) enum EmitError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("--data is no JSON object: {0}")]
    Data(String),
    #[error("there is no event: give its type and data, or events on stdin, one JSON object a line (`osbackend emit --help`)")]
    Nothing,
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("stdin can't be read: {0}")]
    Stdin(std::io::Error),
    #[error("{refused} of {} events were refused", .refused + .published)]
    Some { published: u64, refused: u64 },
    #[error("stopped at the first event that was refused, after {0}; --keep-going goes on to the others")]
    Stopped(u64),
}

impl EmitError {
    /// Whether the command line is to blame.
    pub(super) fn is_usage(&self) -> bool {
        match self {
            Self::Connection(error) => error.is_usage(),
            Self::Field(_) | Self::Data(_) | Self::Nothing => true,
            _ => false,
        }
    }
}

pub(super) async fn run(args: Args) -> Result<(), EmitError> {
    let from_stdin = args.stdin || args.kind.is_none();
    if args.kind.is_none() && (args.data.is_some() || std::io::stdin().is_terminal()) {
        return Err(EmitError::Nothing);
    }
    let api = args.connection.api(As::Admin).await?;
    let mut sender = Sender::new(api, args.batch.into(), args.keep_going);
    let began = Instant::now();
    let outcome = match &args.kind {
        Some(kind) if !from_stdin => one(&args, kind, &mut sender).await,
        _ => many(&args, &mut sender).await,
    };
    // A mistake of the command line has nothing to be summed up.
    if !outcome.as_ref().is_err_and(EmitError::is_usage) {
        sum_up(&args, &sender, began.elapsed(), from_stdin);
    }
    outcome
}

async fn one(args: &Args, kind: &str, sender: &mut Sender) -> Result<(), EmitError> {
    let base = match &args.data {
        Some(text) => serde_json::from_str::<Map<String, Value>>(text).map_err(|error| EmitError::Data(error.to_string()))?,
        None => Map::new(),
    };
    let data = Value::Object(fields::object(base, &args.fields)?);
    let line = Line { number: 1, room: args.room.clone(), event: lines::event(kind, &data.to_string()) };
    let mut errors = sender.add(line).await;
    errors.extend(sender.flush().await);
    match errors.into_iter().next() {
        None => Ok(()),
        Some(SendError::Line(LineError { reason, .. })) => {
            // The server's advice is for callers of its API.
            let knows_room = args.room.is_some() || DOMAIN_TYPES.contains(&kind);
            let hint = if knows_room { "" } else { ". From here: name the room with --room, such as --room agent:7" };
            Err(EmitError::Refused(format!("{reason}{hint}")))
        }
        Some(SendError::Call(error)) => Err(error.into()),
    }
}

async fn many(args: &Args, sender: &mut Sender) -> Result<(), EmitError> {
    let bar = bar();
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let mut number = 0;
    let stopped = loop {
        let read = if sender.is_empty() {
            input.next_line().await
        } else {
            // An input that pauses is no reason to keep what it said before.
            match tokio::time::timeout(LINGER, input.next_line()).await {
                Ok(read) => read,
                Err(_) => match tell(args, sender, &bar, Vec::new(), true).await {
                    Ok(()) => continue,
                    Err(error) => break Err(error),
                },
            }
        };
        let text = match read {
            Ok(Some(text)) => text,
            Ok(None) => break tell(args, sender, &bar, Vec::new(), true).await,
            Err(error) => break Err(EmitError::Stdin(error)),
        };
        number += 1;
        bar.inc(text.len() as u64 + 1);
        let outcome = match lines::read(number, &text, args.kind.as_deref(), args.room.as_deref()) {
            Ok(None) => Ok(()),
            Ok(Some(line)) => {
                let errors = sender.add(line).await;
                tell(args, sender, &bar, errors, false).await
            }
            Err(error) => {
                // Those before it are published first, so that stopping here has a meaning.
                let mut errors = sender.flush().await;
                if args.keep_going || errors.is_empty() {
                    sender.tally.refused += 1;
                    errors.push(error.into());
                }
                tell(args, sender, &bar, errors, false).await
            }
        };
        if let Err(error) = outcome {
            break Err(error);
        }
    };
    bar.finish_and_clear();
    stopped?;
    let (published, refused) = (sender.tally.published, sender.tally.refused);
    if refused > 0 { Err(EmitError::Some { published, refused }) } else { Ok(()) }
}

/// Prints errors of lines, and decides whether they end it.
async fn tell(
    args: &Args,
    sender: &mut Sender,
    bar: &ProgressBar,
    mut errors: Vec<SendError>,
    flush: bool,
) -> Result<(), EmitError> {
    if flush {
        errors.extend(sender.flush().await);
    }
    bar.set_message(format!("{} events", sender.tally.published));
    for error in errors {
        match error {
            SendError::Call(error) => return Err(error.into()),
            SendError::Line(error) => {
                bar.suspend(|| terminal::note(&format!("osbackend: {error}")));
                if !args.keep_going {
                    return Err(EmitError::Stopped(sender.tally.published));
                }
            }
        }
    }
    Ok(())
}

/// By bytes where stdin is a file, whose length is known.
fn bar() -> ProgressBar {
    use std::os::fd::AsFd as _;
    let length = std::io::stdin().as_fd().try_clone_to_owned().ok().and_then(|stdin| std::fs::File::from(stdin).metadata().ok());
    let total = length.filter(std::fs::Metadata::is_file).map_or(0, |metadata| metadata.len());
    let bar = if total > 0 { "{wide_bar} {bytes}/{total_bytes}  {msg}  {eta}" } else { "{spinner} {msg}  {elapsed}" };
    terminal::progress(total, bar)
}

fn sum_up(args: &Args, sender: &Sender, took: Duration, from_stdin: bool) {
    let tally = &sender.tally;
    if args.json {
        let mut summary = json!({"published": tally.published, "refused": tally.refused, "seconds": took.as_secs_f64()});
        if let (false, Some(Value::Object(last))) = (from_stdin, &tally.last) {
            for (name, value) in last {
                summary[name] = value.clone();
            }
        }
        terminal::line(&summary.to_string());
    } else if from_stdin {
        let refused = if tally.refused > 0 { format!(", {} refused", tally.refused) } else { String::new() };
        let events = if tally.published == 1 { "event" } else { "events" };
        terminal::note(&format!("{} {events} published{refused} in {:.1} s", tally.published, took.as_secs_f64()));
    } else if let Some(last) = &tally.last {
        let rooms = last["rooms"].as_array().into_iter().flatten();
        let rooms: Vec<_> =
            rooms.map(|place| format!("{} at {}", place["room"].as_str().unwrap_or("?"), place["offset"])).collect();
        terminal::note(&format!("published: {}", rooms.join(", ")));
    }
}
