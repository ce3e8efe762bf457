//! Sockets in virtual time: each direction is in order and late, and may end without anyone being told.

use crate::dice::Dice;
use std::collections::VecDeque;

/// On its way to the server.
#[derive(Clone, Debug)]
pub(crate) enum ToServer {
    Text(String),
    Pong,
    Close,
}

/// On its way to the client.
#[derive(Clone, Debug)]
pub(crate) enum ToClient {
    Opened,
    Text(String),
    Ping,
    Closed(u16, String),
}

/// One direction of a socket.
pub(crate) struct Pipe<T> {
    frames: VecDeque<(u64, T)>,
    /// When the last frame arrives: nothing overtakes it.
    last: u64,
    /// Nothing arrives before this.
    held_until: u64,
    /// What is sent is lost.
    broken: bool,
}

impl<T> Pipe<T> {
    pub(crate) fn new() -> Self {
        Self { frames: VecDeque::new(), last: 0, held_until: 0, broken: false }
    }

    /// Takes a frame in; when it arrives, if it does.
    pub(crate) fn send(&mut self, frame: T, now: u64, delay: u64) -> Option<u64> {
        if self.broken {
            return None;
        }
        self.last = self.last.max(now + delay).max(self.held_until);
        self.frames.push_back((self.last, frame));
        Some(self.last)
    }

    /// The frame that has arrived at `now`.
    pub(crate) fn receive(&mut self, now: u64) -> Option<T> {
        if self.frames.front().is_some_and(|(at, _)| *at <= now) { self.frames.pop_front().map(|(_, frame)| frame) } else { None }
    }

    /// Whatever is on its way, and all that follows, is lost.
    pub(crate) fn cut(&mut self) {
        self.frames.clear();
        self.broken = true;
    }

    /// What is on its way arrives, and nothing after it.
    pub(crate) fn end(&mut self) {
        self.broken = true;
    }

    fn hold(&mut self, until: u64) {
        self.held_until = self.held_until.max(until);
    }
}

/// A socket.
pub(crate) struct Link {
    pub(crate) client: usize,
    pub(crate) up: Pipe<ToServer>,
    pub(crate) down: Pipe<ToClient>,
    /// The client still listens to it.
    pub(crate) heard: bool,
    delay: (u64, u64),
}

impl Link {
    pub(crate) fn new(client: usize, delay: (u64, u64)) -> Self {
        Self { client, up: Pipe::new(), down: Pipe::new(), heard: true, delay }
    }

    pub(crate) fn delay(&self, dice: &mut Dice) -> u64 {
        dice.range(self.delay.0, self.delay.1)
    }

    /// Nothing arrives before `until`: at the server, at the client.
    pub(crate) fn lag(&mut self, until: u64, (up, down): (bool, bool)) {
        if up {
            self.up.hold(until);
        }
        if down {
            self.down.hold(until);
        }
    }

    pub(crate) fn cut(&mut self) {
        self.up.cut();
        self.down.cut();
    }
}
