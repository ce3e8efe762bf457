//! The drain loop: inputs to the machine, its outputs to the socket, the timer and the sink.

use crate::{
    hot::Core,
    js::{self, Receiver, Sink},
    options::{Options, get},
    wake::Wake,
};
use gloo_timers::callback::Timeout;
use osbackend_client_core::{ConnectionState, Input, Lane, Machine, Output};
use serde::Serialize;
use std::{
    cell::{Cell, RefCell, RefMut},
    rc::{Rc, Weak},
};
use wasm_bindgen::prelude::*;
use web_sys::{CloseEvent, WebSocket};

/// The longest time that browsers let a timer run, in milliseconds.
const LONGEST_TIMER_MS: u64 = 0x7FFF_FFFF;

/// An open or opening socket with the listeners that belong to it.
struct Socket {
    socket: WebSocket,
    _opened: Closure<dyn FnMut()>,
    _closed: Closure<dyn FnMut(CloseEvent)>,
}

/// Whether a socket isn't closing yet.
fn is_writable(socket: &WebSocket) -> bool {
    socket.ready_state() < WebSocket::CLOSING
}

impl Socket {
    /// Nothing more is heard of it.
    fn silence(&self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
    }
}

/// A machine with its socket, timer and sink.
pub(crate) struct Shell {
    machine: RefCell<Machine>,
    options: Options,
    sink: Sink,
    receiver: Receiver,
    socket: RefCell<Option<Socket>>,
    /// Whether the last socket was open once.
    opened: Cell<bool>,
    /// The timer, and for when it is set.
    timer: RefCell<Option<(u64, Timeout)>>,
    wake: RefCell<Option<Wake>>,
    draining: Cell<bool>,
    /// Nothing is performed any more.
    disposed: Cell<bool>,
    itself: Weak<Self>,
}

fn now() -> u64 {
    js::now() as u64
}

/// A value as plain JavaScript.
pub(crate) fn to_js<T: Serialize>(value: &T) -> JsValue {
    // States, rooms and failures: nothing in them is a number that JavaScript could not hold.
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()).unwrap_or(JsValue::UNDEFINED)
}

fn date(moment: u64) -> u64 {
    js::to_date(moment as f64) as u64
}

/// A state as the page sees it: the time of the next attempt as a date.
pub(crate) fn state_to_js(state: ConnectionState) -> JsValue {
    to_js(&match state {
        ConnectionState::Reconnecting { attempt, retry_at_ms, code, reason, message } => {
            ConnectionState::Reconnecting { attempt, retry_at_ms: retry_at_ms.map(date), code, reason, message }
        }
        ConnectionState::Closed { code, reason, message, retry_at_ms } => {
            ConnectionState::Closed { code, reason, message, retry_at_ms: retry_at_ms.map(date) }
        }
        other => other,
    })
}

impl Shell {
    /// An idle client.
    pub(crate) fn new(options: Options, sink: Sink) -> Rc<Self> {
        let seed = js_sys::Math::random().to_bits();
        let shell = Rc::new_cyclic(|itself| Self {
            machine: RefCell::new(Machine::new(options.config.clone(), seed, now())),
            receiver: Receiver::new(&sink),
            options,
            sink,
            socket: RefCell::new(None),
            opened: Cell::new(false),
            timer: RefCell::new(None),
            wake: RefCell::new(None),
            draining: Cell::new(false),
            disposed: Cell::new(false),
            itself: itself.clone(),
        });
        shell.receiver.bind(Core::new(shell.clone()));
        let itself = shell.itself.clone();
        let wake = Wake::new(move |input| {
            if let Some(shell) = itself.upgrade() {
                shell.handle(input);
            }
        });
        shell.wake.replace(Some(wake));
        shell
    }

    /// The machine, for as long as no listener is called.
    pub(crate) fn machine(&self) -> RefMut<'_, Machine> {
        self.machine.borrow_mut()
    }

    /// Takes in what happened, and performs what follows.
    pub(crate) fn handle(&self, input: Input) {
        self.look_at_socket();
        self.take(input);
        self.pump();
    }

    /// Hands an input to the machine. The clock is asked first: it is JavaScript, which may be the page's own in a test.
    fn take(&self, input: Input) {
        let now = now();
        self.machine().handle(input, now);
    }

    /// The socket, with nothing borrowed: a `WebSocket` class of the page may call a listener inside of each of its methods.
    fn current(&self) -> Option<WebSocket> {
        self.socket.borrow().as_ref().map(|socket| socket.socket.clone())
    }

    /// A browser tells of a close late, and drops in silence what is written until then.
    fn look_at_socket(&self) {
        if self.current().is_some_and(|socket| !is_writable(&socket)) {
            self.take(Input::SocketClosing);
        }
    }

    /// A request; its outcome goes to the sink.
    pub(crate) fn request(&self, kind: &str, payload: Option<String>, timeout_ms: Option<u64>, lane: Option<Lane>) -> u64 {
        self.look_at_socket();
        let now = now();
        let id = self.machine().ask(kind, payload, timeout_ms, lane, now);
        self.pump();
        id
    }

    /// Performs the outputs, in order. A listener that calls back adds to them and returns here.
    pub(crate) fn pump(&self) {
        if self.draining.replace(true) {
            return;
        }
        while !self.disposed.get() {
            let Some(output) = self.machine().poll_output() else { break };
            if let Err(error) = self.perform(output) {
                js::report(&error);
            }
        }
        self.draining.set(false);
        // A listener may have disposed of the client meanwhile.
        if !self.disposed.get() {
            self.arm();
        }
    }

    fn perform(&self, output: Output) -> Result<(), JsValue> {
        match output {
            Output::NeedToken => self.sink.need_token(),
            Output::OpenSocket => {
                if let Err(error) = self.open() {
                    // Not an URL, or no WebSocket in this place: a failed attempt, and the page hears why.
                    self.take(Input::SocketClosed { code: 1006, reason: "no socket".to_owned() });
                    return Err(error);
                }
                Ok(())
            }
            Output::CloseSocket { code, reason } => {
                let socket = self.socket.take();
                socket.map_or(Ok(()), |socket| {
                    socket.silence();
                    socket.socket.close_with_code_and_reason(code, reason)
                })
            }
            // A closing socket would only log that it is one.
            Output::Write(text) => match self.current() {
                Some(socket) if is_writable(&socket) => socket.send_with_str(&text),
                _ => Ok(()),
            },
            Output::State(state) => self.sink.state(&state_to_js(state)),
            Output::Room(room) => self.sink.room(&to_js(&room)),
            Output::RequestFailed { id, failure } => self.sink.reply(id as f64, false, &to_js(&failure)),
            Output::SendRefused { kind, payload, failure } => {
                let payload = payload.map_or(Ok(JsValue::UNDEFINED), |text| js_sys::JSON::parse(&text))?;
                self.sink.send_refused(&kind, &payload, &to_js(&failure))
            }
        }
    }

    fn open(&self) -> Result<(), JsValue> {
        self.opened.set(false);
        let socket = self.options.open()?;
        let itself = self.itself.clone();
        let opened = Closure::<dyn FnMut()>::new(move || {
            if let Some(shell) = itself.upgrade() {
                shell.opened.set(true);
                shell.handle(Input::SocketOpened);
            }
        });
        let itself = self.itself.clone();
        let closed = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
            if let Some(shell) = itself.upgrade() {
                shell.closed(event.code(), event.reason());
            }
        });
        let (on_open, on_close) = (opened.as_ref().clone(), closed.as_ref().clone());
        // Known before it can call: a listener that is called while it is set finds its socket.
        self.socket.replace(Some(Socket { socket: socket.clone(), _opened: opened, _closed: closed }));
        socket.set_onmessage(Some(&self.receiver.onmessage()));
        socket.set_onclose(Some(on_close.unchecked_ref()));
        socket.set_onopen(Some(on_open.unchecked_ref()));
        Ok(())
    }

    fn closed(&self, code: u16, reason: String) {
        // This runs inside the socket's own closure: it must outlive the call.
        let socket = self.socket.take();
        let mut reason = reason;
        if let Some(socket) = &socket {
            socket.silence();
            if reason.is_empty() && !self.opened.get() {
                // The package's wrapper knows where it led to, and sometimes why it failed.
                reason = get(&socket.socket, "unreachable").as_string().unwrap_or_default();
            }
        }
        self.handle(Input::SocketClosed { code, reason });
    }

    /// Sets the timer, unless one rings early enough: it then sets itself again.
    fn arm(&self) {
        let Some(deadline) = self.machine().next_deadline() else {
            // Its value is dropped here, with nothing borrowed: to cancel a timer is a call into JavaScript.
            let cancelled = self.timer.take();
            drop(cancelled);
            return;
        };
        if self.timer.borrow().as_ref().is_some_and(|(at, _)| *at <= deadline) {
            return;
        }
        let wait = deadline.saturating_sub(now()).min(LONGEST_TIMER_MS - 1) + 1;
        let itself = self.itself.clone();
        let ring = Timeout::new(wait as u32, move || {
            if let Some(shell) = itself.upgrade() {
                let rung = shell.timer.take();
                if let Some((_, rung)) = rung {
                    // It has rung: nothing to cancel.
                    rung.forget();
                }
                shell.handle(Input::Timer);
            }
        });
        let cancelled = self.timer.replace(Some((deadline, ring)));
        drop(cancelled);
    }

    /// Ends it for good: no socket, no timer, no listener is left.
    pub(crate) fn dispose(&self) {
        // The sink isn't told any more, also where a listener that it calls just now ends the client.
        self.disposed.set(true);
        self.draining.set(true);
        let (wake, timer, socket) = (self.wake.take(), self.timer.take(), self.socket.take());
        drop((wake, timer));
        if let Some(socket) = socket {
            socket.silence();
            // Fails only for codes that a browser doesn't allow.
            let _ = socket.socket.close_with_code_and_reason(1000, "normal");
        }
        self.receiver.dispose();
    }
}
