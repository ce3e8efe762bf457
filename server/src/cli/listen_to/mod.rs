//! `osbackend listen`: joins rooms and prints their events, over reconnects and restarts of the server.

use std::collections::VecDeque;
use std::io::IsTerminal as _;

use osbackend_client::{
    BackoffConfig, Client, ConnectionState, Event, Incoming, Notice, RequestError, RoomState, RoomStatus, StartError,
};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::connection::{As, Connection, ConnectionError};
use super::signals::StopSignals;
use super::terminal::{self, Paint, harmless};

mod print;
mod rooms;

use print::Printer;
use rooms::{Gap, Rooms};

/// Events of one answer to `history:get`: as many as the server sends unasked.
const PAGE: u64 = 100;
/// Notices that may come while a history is fetched, before they are left on the socket.
const MOST_HELD: usize = 65_536;

/// What to listen to.
#[derive(clap::Args)]
#[command(after_help = "On a terminal events are aligned and coloured (NO_COLOR turns that off); in a pipe each is one JSON \
    object a line. States of the connection go to stderr. After a reconnect that could not recover, what the room still holds \
    is fetched, so that each event is printed once.\n\n\
    Exit status: 0 ended by Ctrl-C, --count or the end of the pipe; 1 the server can't be reached, or refuses the token or a \
    room; 2 the command line is wrong.")]
pub(super) struct Args {
    /// The rooms, such as dashboard:overview or agent:7.
    #[arg(required = true, value_name = "ROOM")]
    rooms: Vec<String>,
    /// One JSON object a line on a terminal too.
    #[arg(long)]
    json: bool,
    /// End after so many events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Begin with the events after this offset that the room still holds; 0: with all of them.
    #[arg(long, value_name = "OFFSET")]
    since: Option<u64>,
    /// Don't begin with the newest event of each key.
    #[arg(long)]
    no_snapshot: bool,
    /// Say nothing of the connection on stderr.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListenError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("can't connect to {url}: {reason}. Is the server running? Another address: --url or OSBACKEND_URL")]
    Unreachable { url: String, reason: String },
    #[error("the server closed the connection: {reason} ({code}). {hint}")]
    Closed { code: u16, reason: String, hint: &'static str },
    #[error("room {room}: {code}: {message}{hint}")]
    Refused { room: String, code: String, message: String, hint: &'static str },
    #[error("{0}")]
    System(#[from] std::io::Error),
}

impl ListenError {
    /// Whether the command line is to blame.
    pub(super) fn is_usage(&self) -> bool {
        match self {
            Self::Connection(error) => error.is_usage(),
            Self::Start(StartError::Url(_) | StartError::Roots(_)) | Self::Request(RequestError::Room(_)) => true,
            _ => false,
        }
    }
}

struct Listener {
    client: Client,
    incoming: Incoming,
    /// Notices that came while a history was fetched.
    held: VecDeque<Notice>,
    rooms: Rooms,
    printer: Printer,
    left: Option<u64>,
    url: String,
    was_connected: bool,
    paint: Paint,
    quiet: bool,
}

/// Whether to go on.
#[derive(PartialEq)]
enum Next {
    Go,
    End,
}

pub(super) async fn run(args: Args) -> Result<(), ListenError> {
    let mut signals = StopSignals::new()?;
    let tokens = args.connection.clone();
    let builder = args.connection.client()?.backoff(BackoffConfig {
        initial_ms: 500,
        max_ms: 10_000,
        attempts: 0,
        ..BackoffConfig::default()
    });
    // Asked anew each time: a development server has other secrets after a restart.
    let (client, incoming) = builder
        .token_provider(move || {
            let tokens = tokens.clone();
            async move { tokens.user_token(As::User).await.map_err(|error| error.to_string()) }
        })
        .start()?;
    for room in &args.rooms {
        client.join_with(room, !args.no_snapshot && args.since.is_none()).await?;
    }
    let printer = if args.json || !std::io::stdout().is_terminal() {
        Printer::Json
    } else {
        Printer::human(Paint::of_stdout(), &args.rooms)
    };
    let mut listener = Listener {
        client: client.clone(),
        incoming,
        held: VecDeque::new(),
        rooms: Rooms::new(&args.rooms, args.since),
        printer,
        left: args.count,
        url: args.connection.ws_url()?.to_string(),
        was_connected: false,
        paint: Paint::of_stderr(),
        quiet: args.quiet,
    };
    let ended = tokio::select! {
        ended = listener.listen() => ended,
        () = signals.next() => Ok(()),
    };
    client.close().await;
    ended
}

impl Listener {
    async fn listen(&mut self) -> Result<(), ListenError> {
        loop {
            let notice = match self.held.pop_front() {
                Some(notice) => notice,
                None => match self.incoming.next().await {
                    Some(notice) => notice,
                    None => return Ok(()),
                },
            };
            let next = match notice {
                Notice::Event(event) => self.print(&event),
                Notice::State(state) => self.state(state)?,
                Notice::Room(room) => self.room(room).await?,
                Notice::System { kind, .. } if kind == "draining" => {
                    self.note("the server is going away; waiting for its successor")
                }
                Notice::SendRefused { failure, .. } => self.note(&format!("the newer token was refused: {}", failure.message)),
                Notice::System { .. } | Notice::Dropped(_) => Next::Go,
            };
            if next == Next::End {
                return Ok(());
            }
        }
    }

    fn note(&self, text: &str) -> Next {
        if !self.quiet {
            terminal::note(&self.paint.dim(&format!("· {}", harmless(text))));
        }
        Next::Go
    }

    fn print(&mut self, event: &Event) -> Next {
        if !self.rooms.take(event) {
            return Next::Go;
        }
        let printed = terminal::line(&self.printer.line(event));
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        if printed && self.left != Some(0) { Next::Go } else { Next::End }
    }

    fn state(&mut self, state: ConnectionState) -> Result<Next, ListenError> {
        match state {
            ConnectionState::Connected { user_id, resumed, .. } => {
                self.was_connected = true;
                let who = user_id.map_or_else(|| "anonymous".to_owned(), |user| format!("as {user}"));
                Ok(self.note(&format!("{} {who}", if resumed { "back" } else { "connected" })))
            }
            // A server that restarts with another secret may take the next token; one that refuses the first has said enough.
            ConnectionState::Reconnecting { code: Some(code @ 4501), reason, message, .. } if !self.was_connected => {
                Err(ListenError::Closed { code, reason: message.unwrap_or(reason), hint: hint_of_close(code) })
            }
            ConnectionState::Reconnecting { reason, .. } if !self.was_connected => {
                Err(ListenError::Unreachable { url: self.url.clone(), reason })
            }
            ConnectionState::Reconnecting { attempt, reason, message, .. } => {
                let reason = message.unwrap_or(reason);
                Ok(self.note(&format!("{reason}; connecting again (attempt {attempt})")))
            }
            ConnectionState::Closed { code, reason, message, .. } => {
                let code = code.unwrap_or(1006);
                let reason = message.unwrap_or(reason);
                Err(ListenError::Closed { code, reason, hint: hint_of_close(code) })
            }
            ConnectionState::Idle | ConnectionState::Connecting { .. } => Ok(Next::Go),
        }
    }

    async fn room(&mut self, state: RoomState) -> Result<Next, ListenError> {
        match state.status {
            RoomStatus::Joining => Ok(Next::Go),
            RoomStatus::Refused => {
                let (code, message) = state.error.map_or_else(
                    || ("forbidden".to_owned(), "refused".to_owned()),
                    |error| (error.code.into_owned(), error.message.into_owned()),
                );
                let hint = match code.as_str() {
                    "unauthorized" => ". Give a token with --token or OSBACKEND_TOKEN",
                    "forbidden" => ". The token's user may not join it",
                    _ => "",
                };
                Err(ListenError::Refused { room: state.room, code, message, hint })
            }
            RoomStatus::Joined => {
                // The server joins the user's own room by itself: nobody asked for news of it.
                if self.rooms.knows(&state.room) {
                    self.note(&format!("joined {} at {}", state.room, state.offset.unwrap_or(0)));
                }
                match self.rooms.joined(&state) {
                    Some(gap) => self.fetch(gap).await,
                    None => Ok(Next::Go),
                }
            }
        }
    }

    /// Prints what the room's history still holds of a gap. Where the history is refused, it says so and goes on.
    async fn fetch(&mut self, gap: Gap) -> Result<Next, ListenError> {
        let mut after = gap.after;
        while after < gap.to {
            let events = match self.page(&gap.room, after).await {
                Ok(events) => events,
                Err(RequestError::Failed(failure)) => {
                    return Ok(self.note(&format!("{}: what was missed can't be had: {}", gap.room, failure.message)));
                }
                Err(error) => return Err(error.into()),
            };
            let first = events.first().and_then(|event| event.offset).unwrap_or(gap.to + 1);
            if first > after + 1 {
                let gone = first.min(gap.to + 1) - after - 1;
                self.note(&format!("{}: {gone} events are held no longer", gap.room));
            }
            let Some(last) = events.last().and_then(|event| event.offset) else { break };
            after = last;
            // Those behind the join come by themselves.
            for event in events.iter().filter(|event| event.offset.is_some_and(|offset| offset <= gap.to)) {
                if self.print(event) == Next::End {
                    return Ok(Next::End);
                }
            }
        }
        Ok(Next::Go)
    }

    async fn page(&mut self, room: &str, since: u64) -> Result<Vec<Event>, RequestError> {
        let asked = json!({"room": room, "since": since, "limit": PAGE});
        let client = self.client.clone();
        let mut answer = std::pin::pin!(client.request("history:get", &asked));
        let answer = loop {
            // The answer comes by the socket, behind what else it brings.
            tokio::select! {
                answer = answer.as_mut() => break answer?,
                Some(notice) = self.incoming.next(), if self.held.len() < MOST_HELD => self.held.push_back(notice),
            }
        };
        let history: History = serde_json::from_value(answer).map_err(RequestError::Answer)?;
        Ok(history.events.into_iter().map(|frame| frame.into_event(room)).collect())
    }
}

#[derive(Deserialize)]
struct History {
    events: Vec<Frame>,
}

/// An event as `history` has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    data: Box<RawValue>,
    offset: Option<u64>,
    event_id: Option<String>,
    timestamp: Option<String>,
}

impl Frame {
    fn into_event(self, room: &str) -> Event {
        let Self { kind, data, offset, event_id, timestamp } = self;
        Event { kind, room: room.to_owned(), data, offset, event_id, timestamp, snapshot: false, replayed: true, skipped: 0 }
    }
}

fn hint_of_close(code: u16) -> &'static str {
    match code {
        4500 => "Give a token with --token or OSBACKEND_TOKEN",
        4501 => "The token was refused: `osbackend token` makes one where you have the server's JWT_SECRET",
        4502 => "The token's user may not connect",
        4503 => "This osbackend and the server's are of versions that don't understand each other",
        4005 => "This user or address has too many connections: it is tried again later",
        4505 => "An admin ended it",
        _ => "The server's log may say why",
    }
}
