//! The machine as `js/frames.js` sees it: numbers in, numbers out, for every event.

use crate::{decode::Value, shell::Shell};
use osbackend_client_core::{Control, Delivery, Input, RoomKey, Settled};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// Not part of the package's interface.
#[wasm_bindgen(skip_typescript)]
pub struct Core {
    shell: Rc<Shell>,
}

impl Core {
    pub(crate) fn new(shell: Rc<Shell>) -> Self {
        Self { shell }
    }
}

#[wasm_bindgen]
impl Core {
    /// A frame arrived.
    pub fn heard(&self, now: f64) {
        self.shell.machine().on_activity(now as u64);
    }

    /// The key of a room, or `RoomKey::NONE`.
    pub fn key(&self, room: &str) -> u32 {
        self.shell.machine().room_key(room).unwrap_or(RoomKey::NONE).0
    }

    /// What is to be done with an event: a `Delivery` as its number.
    pub fn judge(&self, key: u32, offset: f64, skipped: f64, snapshot: bool) -> u32 {
        let delivery = self.shell.machine().on_event(RoomKey(key), offset as u64, skipped as u64, snapshot);
        if delivery == Delivery::Gap {
            self.shell.pump();
        }
        delivery as u32
    }

    /// Whether an answer belongs to a request of the application.
    pub fn settle(&self, id: f64) -> bool {
        let settled = self.shell.machine().settle(id as u64) == Settled::Request;
        if settled {
            // A publish that waited for it may be written now.
            self.shell.pump();
        }
        settled
    }

    /// A system message on which the machine acts.
    pub fn control(&self, kind: &str, id: Option<f64>, data: JsValue) {
        let control = Control::decode(kind, id.map(|id| id as u64), Value(data));
        match control {
            Ok(Some(control)) => self.shell.handle(Input::Control(control)),
            Ok(None) => {}
            Err(_) => self.malformed(),
        }
    }

    /// A frame arrived that isn't the protocol's.
    pub fn malformed(&self) {
        self.shell.handle(Input::Malformed);
    }
}
