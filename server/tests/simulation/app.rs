//! A client: the machine with its driver, an application that watches it, and the host that only takes notes.

use crate::{
    judge::{Judge, SeenEvent},
    presence::Watch,
    schedule::ClientSettings,
};
use osbackend_client_core::{
    ConnectionState, Failure, RoomState,
    driver::{Driver, Event, Host},
};
use std::collections::{BTreeMap, BTreeSet};

/// What the machine asked for.
pub(crate) enum Todo {
    Open,
    Close,
    Write(String),
    NeedToken,
}

/// What the application was told.
pub(crate) enum Seen {
    Event(SeenEvent),
    State(ConnectionState),
    Room(RoomState),
    Reply(u64, Result<String, Failure>),
    Refused(String),
    /// A message of the system: its type, its data.
    System(String, String),
}

/// Takes notes, to be acted on when the machine has come to rest.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) todo: Vec<Todo>,
    pub(crate) seen: Vec<Seen>,
}

impl Host for Notes {
    fn open_socket(&mut self) {
        self.todo.push(Todo::Open);
    }

    fn close_socket(&mut self, _code: u16, _reason: &'static str) {
        self.todo.push(Todo::Close);
    }

    fn write(&mut self, text: String) {
        self.todo.push(Todo::Write(text));
    }

    fn need_token(&mut self) {
        self.todo.push(Todo::NeedToken);
    }

    fn event(&mut self, event: &Event<'_>) {
        self.seen.push(Seen::Event(SeenEvent {
            kind: event.kind.to_owned(),
            data: event.data.to_owned(),
            room: event.room.to_owned(),
            offset: event.offset,
            event_id: event.event_id.unwrap_or_default().to_owned(),
            snapshot: event.snapshot,
            skipped: event.skipped,
        }));
    }

    fn state(&mut self, state: &ConnectionState) {
        self.seen.push(Seen::State(state.clone()));
    }

    fn room(&mut self, room: &RoomState) {
        self.seen.push(Seen::Room(room.clone()));
    }

    fn reply(&mut self, id: u64, outcome: Result<&str, Failure>) {
        self.seen.push(Seen::Reply(id, outcome.map(str::to_owned)));
    }

    fn system(&mut self, kind: &str, data: &str) {
        self.seen.push(Seen::System(kind.to_owned(), data.to_owned()));
    }

    fn send_refused(&mut self, kind: &str, payload: Option<&str>, _failure: Failure) {
        // A refused refresh is told here too, and is no send.
        if kind != "auth" {
            self.seen.push(Seen::Refused(payload.unwrap_or_default().to_owned()));
        }
    }
}

/// A client and what surrounds it.
pub(crate) struct App {
    pub(crate) driver: Driver<Notes>,
    pub(crate) judge: Judge,
    pub(crate) watch: Watch,
    pub(crate) user: String,
    pub(crate) admin: bool,
    /// It was an admin, and may have a token yet that says so.
    pub(crate) demoted: bool,
    pub(crate) anonymous: bool,
    /// Its id, which it keeps, and its newest resume token.
    pub(crate) client_id: Option<String>,
    pub(crate) grant: Option<(String, String)>,
    /// When its slot comes, since the server has told it of a drain.
    pub(crate) slot_at: Option<u64>,
    pub(crate) attempts_limited: bool,
    /// The world's time at which its clock would show 0; wraps below the world's beginning.
    base: u64,
    pub(crate) link: Option<u64>,
    /// Its timers sleep until it is shown again.
    pub(crate) hidden: bool,
    pub(crate) offline: bool,
    /// It was given a token that is no good since it was last live.
    pub(crate) bad_token: bool,
    /// What it published by a request, by the request's id: the number in its data.
    pub(crate) publishing: BTreeMap<u64, u64>,
    /// What it asked the slow handler, by the request's id.
    pub(crate) handling: BTreeMap<u64, String>,
    /// Publishes that were written at least once.
    pub(crate) written: BTreeSet<String>,
    /// Numbers of the sends that were neither written nor refused yet.
    pub(crate) sends: BTreeMap<u64, String>,
}

impl App {
    pub(crate) fn new(number: usize, settings: &ClientSettings, seed: u64, now: u64) -> Self {
        let driver = Driver::new(settings.config.clone(), seed, settings.clock, Notes::default());
        Self {
            driver,
            judge: Judge::default(),
            watch: Watch::default(),
            user: format!("u{number}"),
            admin: settings.admin,
            demoted: false,
            anonymous: settings.anonymous,
            client_id: None,
            grant: None,
            slot_at: None,
            attempts_limited: settings.config.backoff.attempts > 0,
            base: now - settings.clock,
            link: None,
            hidden: false,
            offline: false,
            bad_token: false,
            publishing: BTreeMap::new(),
            handling: BTreeMap::new(),
            written: BTreeSet::new(),
            sends: BTreeMap::new(),
        }
    }

    /// What its own clock shows.
    pub(crate) fn clock(&self, now: u64) -> u64 {
        now - self.base
    }

    /// When its timer rings, in the world's time.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        if self.hidden { None } else { self.driver.next_deadline().map(|at| at + self.base) }
    }

    pub(crate) fn own_room(&self) -> Option<String> {
        (!self.anonymous).then(|| format!("user:{}", self.user))
    }
}
