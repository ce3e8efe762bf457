//! The server's end of one socket: what the gateway's socket loop does with a `Connection`, in virtual time.

use crate::network::ToServer;
use osbackend_protocol::CloseCode;
use osbackend_server::{
    connection::{Connection, Work},
    gateway::frames,
    handlers::Running,
    hub::outbox::{Item, Taken},
    session::Traffic,
};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};
use tungstenite::Message;

/// A connection with the state of its socket loop.
pub(crate) struct Node {
    pub(crate) connection: Connection,
    inbox: VecDeque<ToServer>,
    /// Taken from the outbox, and not accepted by the socket yet.
    writing: Option<Taken>,
    /// The socket accepts nothing before this.
    pub(crate) stalled_until: u64,
    /// Its task has no turn before this.
    pub(crate) asleep_until: u64,
    verifying: bool,
    /// Answers of handlers that wait until the client has read those before them.
    answering: Vec<Pin<Box<dyn Future<Output = ()>>>>,
    /// Over: the loop only waits for the socket's end.
    pub(crate) over: bool,
}

/// What the loop did.
pub(crate) enum Step {
    Verify(String),
    /// A question to the backend.
    Ask(u64),
    /// A handler of custom messages.
    Handle(Running),
    Text(String),
    Ping,
    /// The close frame was written; `late` when it had to pass what is stuck.
    Close(CloseCode, bool),
    /// The client has closed.
    Gone,
}

impl Node {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            inbox: VecDeque::new(),
            writing: None,
            stalled_until: 0,
            asleep_until: 0,
            verifying: false,
            answering: Vec::new(),
            over: false,
        }
    }

    /// A frame arrived. `at_once`: the task reads it before it looks at its queue.
    pub(crate) fn arrived(&mut self, frame: ToServer, at_once: bool, now: u64) {
        match frame {
            ToServer::Text(text) if at_once && self.inbox.is_empty() && self.writing.is_none() && !self.held() && !self.over => {
                self.connection.on_text(&text, now);
            }
            frame => self.inbox.push_back(frame),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        if self.over { None } else { self.connection.session().next_deadline() }
    }

    /// A handler has its answer, which is queued as soon as there is room for it.
    pub(crate) fn answer(&mut self, answer: impl Future<Output = ()> + 'static) {
        self.answering.push(Box::pin(answer));
    }

    pub(crate) fn verified(&mut self) {
        self.verifying = false;
    }

    /// Goes on as far as it can, one step at a time.
    pub(crate) fn step(&mut self, now: u64, out: &mut VecDeque<Step>) {
        while !self.over && now >= self.asleep_until {
            self.answering.retain_mut(|answer| answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            self.connection.resume(now);
            self.work(out);
            if self.writing.is_none() && self.ready() {
                self.writing = Some(self.connection.outbox().take());
            }
            if self.writing.is_some() {
                if now < self.stalled_until {
                    // No end waits for a reader that doesn't read.
                    if let Some(code) = self.connection.outbox().ending() {
                        self.close(code, true, now, out);
                    }
                    return;
                }
                self.write(now, out);
                continue;
            }
            if self.held() {
                return;
            }
            match self.inbox.pop_front() {
                Some(ToServer::Text(text)) => self.connection.on_text(&text, now),
                Some(ToServer::Pong) => self.connection.on_traffic(Traffic { bytes: 6, frames: 1 }, now),
                Some(ToServer::Close) => {
                    self.over = true;
                    out.push_back(Step::Gone);
                }
                None => return,
            }
        }
    }

    fn held(&self) -> bool {
        self.verifying || self.connection.session().is_held() || self.connection.is_held()
    }

    fn ready(&self) -> bool {
        self.connection.outbox().poll_ready(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn work(&mut self, out: &mut VecDeque<Step>) {
        while let Some(work) = self.connection.poll_work() {
            match work {
                Work::Verify(token) => {
                    self.verifying = true;
                    out.push_back(Step::Verify(token));
                }
                Work::Claim => unreachable!("no limit is reached"),
                Work::Custom(running) => out.push_back(Step::Handle(running)),
                Work::Metrics { .. } => unreachable!("no client of the simulation asks for metrics"),
                Work::Ask { ticket, .. } => out.push_back(Step::Ask(ticket)),
            }
        }
    }

    fn write(&mut self, now: u64, out: &mut VecDeque<Step>) {
        let Some(Taken { items, close, .. }) = self.writing.take() else { return };
        let audible = items.iter().any(|item| !matches!(item, Item::Ping));
        let messages = if self.connection.session().batch() { frames::batched(items) } else { frames::single(items) };
        out.extend(messages.into_iter().map(|message| match message {
            Message::Text(text) => Step::Text(text.as_str().to_owned()),
            Message::Ping(_) => Step::Ping,
            other => unreachable!("the protocol has no such message: {other:?}"),
        }));
        if audible {
            self.connection.on_sent(now);
        }
        if let Some(code) = close {
            self.close(code, false, now, out);
        }
    }

    fn close(&mut self, code: CloseCode, late: bool, now: u64, out: &mut VecDeque<Step>) {
        self.connection.on_ending(now);
        self.over = true;
        out.push_back(Step::Close(code, late));
    }
}
