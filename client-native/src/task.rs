//! The task of one client: its machine between the socket, the timer, the application's wishes and its stream of notices.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use osbackend_client_core::driver::{Driver, Event, Host};
use osbackend_client_core::{Config, ConnectionState, Failure, Input, RoomState};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;

use crate::builder::{TokenAnswer, TokenProvider, WhenFull};
use crate::client::Command;
use crate::incoming::{self, Notice};
use crate::socket::{Opening, Received, Socket, Target};

/// So many unwritten frames, and no more wishes are taken until the socket takes some.
const MOST_UNWRITTEN: usize = 256;
/// From so many waiting notices on, only the newest state of the connection is kept: a reader that lags needs no other.
const MANY_NOTICES: usize = 64;

pub(crate) struct Setup {
    pub(crate) target: Target,
    pub(crate) provider: TokenProvider,
    pub(crate) token_is_fixed: bool,
    pub(crate) config: Config,
    pub(crate) when_full: WhenFull,
    pub(crate) notices: mpsc::Sender<Notice>,
    pub(crate) state: watch::Sender<ConnectionState>,
}

/// A token that the provider was asked for.
type Asking = Pin<Box<dyn Future<Output = TokenAnswer> + Send>>;
type Reply = oneshot::Sender<Result<String, Failure>>;

/// What the driver asks for, kept until the loop does it.
struct Shell {
    target: Target,
    provider: TokenProvider,
    token_is_fixed: bool,
    /// The machine waits for a newer token than the fixed one, and there is none.
    needs_newer_token: bool,
    when_full: WhenFull,
    state: watch::Sender<ConnectionState>,
    opening: Option<Opening>,
    socket: Option<Socket>,
    asking: Option<Asking>,
    /// Sockets that say goodbye.
    closing: JoinSet<()>,
    replies: HashMap<u64, Reply>,
    /// Outcomes of requests whose id isn't known yet: refused within the call that made them.
    early: Vec<(u64, Result<String, Failure>)>,
    /// Notices that [`incoming::Incoming`] had no room for yet; the socket isn't read while there are some.
    waiting: VecDeque<Notice>,
    notices: mpsc::Sender<Notice>,
    dropped: u64,
}

impl Shell {
    fn new(setup: Setup) -> (Config, Self) {
        let Setup { target, provider, token_is_fixed, config, when_full, notices, state } = setup;
        let shell = Self {
            target,
            provider,
            token_is_fixed,
            needs_newer_token: false,
            when_full,
            state,
            opening: None,
            socket: None,
            asking: None,
            closing: JoinSet::new(),
            replies: HashMap::new(),
            early: Vec::new(),
            waiting: VecDeque::new(),
            notices,
            dropped: 0,
        };
        (config, shell)
    }

    fn tell(&mut self, notice: Notice) {
        if self.notices.is_closed() {
            self.forget_waiting();
            return;
        }
        let notice = if self.waiting.is_empty() {
            match self.notices.try_send(notice) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(notice) | mpsc::error::TrySendError::Closed(notice)) => notice,
            }
        } else {
            notice
        };
        let lags = self.waiting.len() >= MANY_NOTICES;
        match (&notice, self.waiting.back_mut()) {
            (Notice::Event(_), _) if self.when_full == WhenFull::Drop => self.dropped += 1,
            (Notice::State(_), Some(last @ Notice::State(_))) if lags => *last = notice,
            _ => self.waiting.push_back(notice),
        }
    }

    /// What the reader is to be given next, once it has room.
    fn next_waiting(&mut self) -> Option<Notice> {
        if self.dropped > 0 {
            return Some(Notice::Dropped(std::mem::take(&mut self.dropped)));
        }
        self.waiting.pop_front()
    }

    /// Nobody reads any more.
    fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.dropped = 0;
    }

    fn has_waiting(&self) -> bool {
        self.dropped > 0 || !self.waiting.is_empty()
    }

    /// Where the outcome of a request goes, which may be there already.
    fn answer_to(&mut self, id: u64, reply: Reply) {
        let early = self.early.iter().position(|(other, _)| *other == id);
        match early.map(|at| self.early.swap_remove(at)) {
            Some((_, outcome)) => drop(reply.send(outcome)),
            None => drop(self.replies.insert(id, reply)),
        }
    }

    /// Whether the socket may be read: with [`WhenFull::Drop`] always.
    fn may_read(&self) -> bool {
        self.when_full == WhenFull::Drop || self.waiting.is_empty()
    }
}

impl Host for Shell {
    fn open_socket(&mut self) {
        self.opening = Some(self.target.open());
    }

    fn close_socket(&mut self, code: u16, reason: &'static str) {
        self.opening = None;
        if let Some(socket) = self.socket.take() {
            self.closing.spawn(socket.close(code, reason));
        }
    }

    fn write(&mut self, text: String) {
        if let Some(socket) = &mut self.socket {
            socket.writer.push(text);
        }
    }

    fn need_token(&mut self) {
        self.asking = Some((self.provider)());
    }

    fn event(&mut self, event: &Event<'_>) {
        // Data that came through serde_json's parser is JSON: never `None`.
        if let Some(event) = incoming::Event::of(event) {
            self.tell(Notice::Event(event));
        }
    }

    fn state(&mut self, state: &ConnectionState) {
        self.needs_newer_token = matches!(state, ConnectionState::Reconnecting { retry_at_ms: None, .. });
        self.state.send_replace(state.clone());
        self.tell(Notice::State(state.clone()));
    }

    fn room(&mut self, room: &RoomState) {
        self.tell(Notice::Room(room.clone()));
    }

    fn reply(&mut self, id: u64, outcome: Result<&str, Failure>) {
        let outcome = outcome.map(str::to_owned);
        match self.replies.remove(&id) {
            // Whoever asked may have stopped waiting.
            Some(reply) => drop(reply.send(outcome)),
            None => self.early.push((id, outcome)),
        }
    }

    fn send_refused(&mut self, kind: &str, _payload: Option<&str>, failure: Failure) {
        self.tell(Notice::SendRefused { kind: kind.to_owned(), failure });
    }

    fn system(&mut self, kind: &str, data: &str) {
        self.tell(Notice::System { kind: kind.to_owned(), data: data.to_owned() });
    }
}

/// Milliseconds since the task began.
struct Clock(Instant);

impl Clock {
    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn at(&self, ms: u64) -> Instant {
        self.0 + Duration::from_millis(ms)
    }
}

enum Happened<'a> {
    Wish(Option<Command>),
    Opened(Result<Socket, String>),
    Token(TokenAnswer),
    Received(Received),
    Written(Result<(), tungstenite::Error>),
    /// The reader has room for a notice, or is gone.
    Room(Result<mpsc::Permit<'a, Notice>, mpsc::error::SendError<()>>),
    Timer,
}

pub(crate) async fn run(setup: Setup, mut wishes: mpsc::Receiver<Command>) {
    let notices = setup.notices.clone();
    let clock = Clock(Instant::now());
    let (config, shell) = Shell::new(setup);
    let token_is_fixed = shell.token_is_fixed;
    let mut driver = Driver::new(config, seed(), clock.now(), shell);
    driver.handle(Input::TokenIsFixed(token_is_fixed), clock.now());
    driver.handle(Input::Connect, clock.now());
    let done = loop {
        let happened = next(&mut driver, &mut wishes, &notices, &clock).await;
        let now = clock.now();
        match happened {
            Happened::Wish(Some(Command::Close { done })) => break Some(done),
            Happened::Wish(None) => break None,
            Happened::Wish(Some(command)) => wish(&mut driver, command, now),
            Happened::Opened(opened) => {
                driver.host.opening = None;
                let input = match opened {
                    Ok(socket) => {
                        driver.host.socket = Some(socket);
                        Input::SocketOpened
                    }
                    Err(reason) => Input::SocketClosed { code: 1006, reason },
                };
                driver.handle(input, now);
            }
            Happened::Token(answer) => {
                driver.host.asking = None;
                driver.handle(Input::Token(answer), now);
            }
            Happened::Received(Received::Text(text)) => driver.text(&text, now),
            Happened::Received(Received::Sign) => driver.machine.on_activity(now),
            Happened::Received(Received::Closed { code, reason }) => {
                if let Some(socket) = driver.host.socket.take() {
                    driver.host.closing.spawn(socket.closed());
                }
                driver.handle(Input::SocketClosed { code, reason }, now);
            }
            Happened::Written(Ok(())) => {}
            // What the server said before may still be there to read, its close frame above all.
            Happened::Written(Err(_)) => {
                if let Some(socket) = &mut driver.host.socket {
                    socket.writer.give_up();
                }
                driver.handle(Input::SocketClosing, now);
            }
            Happened::Room(Ok(permit)) => {
                if let Some(notice) = driver.host.next_waiting() {
                    permit.send(notice);
                }
            }
            Happened::Room(Err(_)) => driver.host.forget_waiting(),
            Happened::Timer => driver.handle(Input::Timer, now),
        }
        if driver.host.needs_newer_token {
            // The server says what is wrong with the old one, and the connection is closed for good.
            driver.handle(Input::Connect, now);
        }
    };
    driver.handle(Input::Disconnect, clock.now());
    // The last notices are told where there is room for them at once; nobody is waited for.
    while let Some(notice) = driver.host.next_waiting() {
        if notices.try_send(notice).is_err() {
            break;
        }
    }
    while driver.host.closing.join_next().await.is_some() {}
    if let Some(done) = done {
        // Whoever closed may have stopped waiting.
        let _ = done.send(());
    }
}

fn wish(driver: &mut Driver<Shell>, command: Command, now: u64) {
    match command {
        Command::Connect => driver.handle(Input::Connect, now),
        Command::Join { room, snapshot } => driver.handle(Input::Join { room, snapshot }, now),
        Command::Leave { room } => driver.handle(Input::Leave { room }, now),
        Command::Send { kind, payload } => driver.handle(Input::Send { kind, payload: Some(payload) }, now),
        Command::RefreshToken => driver.host.need_token(),
        Command::Request { kind, payload, reply } => {
            let id = driver.request(&kind, Some(payload), None, now);
            driver.host.answer_to(id, reply);
        }
        Command::Publish { event, reply } => {
            let id = driver.publish(&event, now);
            driver.host.answer_to(id, reply);
        }
        // The loop ends by it before it comes here.
        Command::Close { done } => drop(done.send(())),
    }
}

/// Waits for whatever comes first. Every branch is cancel-safe.
async fn next<'a>(
    driver: &mut Driver<Shell>,
    wishes: &mut mpsc::Receiver<Command>,
    notices: &'a mpsc::Sender<Notice>,
    clock: &Clock,
) -> Happened<'a> {
    let deadline = driver.next_deadline().map(|at| clock.at(at));
    let shell = &mut driver.host;
    // Reaped, so that a client that reconnects for months keeps none.
    while shell.closing.try_join_next().is_some() {}
    let (has_waiting, may_read) = (shell.has_waiting(), shell.may_read());
    let (writer, reader) = match &mut shell.socket {
        Some(Socket { writer, reader }) => (Some(writer), Some(reader).filter(|_| may_read)),
        None => (None, None),
    };
    let takes_wishes = writer.as_ref().is_none_or(|writer| writer.waiting() < MOST_UNWRITTEN);
    let writer = writer.filter(|writer| writer.has_to_write());
    tokio::select! {
        wish = wishes.recv(), if takes_wishes => Happened::Wish(wish),
        opened = there(shell.opening.as_mut()) => Happened::Opened(opened),
        token = there(shell.asking.as_mut()) => Happened::Token(token),
        room = notices.reserve(), if has_waiting => Happened::Room(room),
        received = there(reader.map(|reader| reader.read())) => Happened::Received(received),
        written = there(writer.map(|writer| writer.write())) => Happened::Written(written),
        () = there(deadline.map(tokio::time::sleep_until)) => Happened::Timer,
    }
}

/// Waits for what may not be there.
async fn there<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// For the jitter: clients that lost their server together must not come back together.
fn seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| now.as_nanos() as u64)
    })
}
