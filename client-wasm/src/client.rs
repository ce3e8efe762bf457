//! The class that the package uses.

use crate::{
    js::{self, Sink},
    options::{self, Options},
    shell::{Shell, state_to_js, to_js},
};
use osbackend_client_core::{Input, Lane};
use osbackend_protocol::{Action, RoomName, RoomPosition};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// A client: one connection, its rooms and its requests. What happens is told to the sink.
#[wasm_bindgen]
pub struct Client {
    shell: Rc<Shell>,
}

#[wasm_bindgen]
impl Client {
    /// An idle client.
    ///
    /// Throws when an option has the wrong type.
    #[wasm_bindgen(constructor)]
    pub fn new(#[wasm_bindgen(unchecked_param_type = "ClientOptions")] options: &JsValue, sink: Sink) -> Result<Client, JsValue> {
        Ok(Self { shell: Shell::new(Options::parse(options)?, sink) })
    }

    /// Connects, unless it is connected or connecting.
    pub fn connect(&self) {
        self.shell.handle(Input::Connect);
    }

    /// Says goodbye and closes the connection (4000); the state becomes `closed`, with the reason `disconnected`.
    pub fn disconnect(&self) {
        self.shell.handle(Input::Disconnect);
    }

    /// The way to the server may be there again: a wait for the next attempt ends, a live connection is asked to say something.
    pub fn wake(&self) {
        self.shell.handle(Input::Online);
    }

    /// Answers `sink.needToken()`. On a live connection it refreshes the token in place.
    #[wasm_bindgen(js_name = setToken)]
    pub fn set_token(&self, #[wasm_bindgen(unchecked_param_type = "string | null")] token: Option<String>) {
        self.shell.handle(Input::Token(Ok(token)));
    }

    /// Answers `sink.needToken()`: the fixed token has expired. Nothing is tried until `connect`.
    #[wasm_bindgen(js_name = tokenExpired)]
    pub fn token_expired(&self) {
        self.shell.handle(Input::TokenExpired);
    }

    /// Whether the token is a fixed text, which can't be renewed by asking for it, rather than a provider's answer.
    #[wasm_bindgen(js_name = fixToken)]
    pub fn fix_token(&self, fixed: bool) {
        self.shell.handle(Input::TokenIsFixed(fixed));
    }

    /// Answers `sink.needToken()`: there is none, which counts as a failed attempt.
    #[wasm_bindgen(js_name = tokenFailed)]
    pub fn token_failed(&self, message: String) {
        self.shell.handle(Input::Token(Err(message)));
    }

    /// Joins a room, unless it is joined or joining; the outcome is told to `sink.room`.
    ///
    /// Throws when the name is malformed.
    pub fn join(&self, room: &str, snapshot: bool) -> Result<(), JsError> {
        let room = RoomName::parse(room)?;
        self.shell.handle(Input::Join { room, snapshot });
        Ok(())
    }

    /// A room that is wanted, and not joined yet, was read up to there by a client that was closed.
    pub fn seek(&self, room: &str, epoch: String, offset: f64) {
        if let Ok(room) = RoomName::parse(room) {
            let position = RoomPosition { room, epoch: Some(epoch), offset: Some(offset as u64) };
            self.shell.handle(Input::Position(position));
        }
    }

    /// Leaves a room; one that isn't joined is left already.
    pub fn leave(&self, room: &str) {
        if let Ok(room) = RoomName::parse(room) {
            self.shell.handle(Input::Leave { room });
        }
    }

    /// Sends a request, or queues it while offline, and returns its id; the outcome is told to `sink.reply`, once. `retry`: it is
    /// a publish with an idempotency key, and is sent again after a lost connection.
    ///
    /// Throws when the payload is not an object that JSON can hold.
    pub fn request(
        &self,
        #[wasm_bindgen(js_name = "type")] kind: &str,
        #[wasm_bindgen(unchecked_param_type = "unknown")] payload: &JsValue,
        #[wasm_bindgen(js_name = "timeoutMs")] timeout_ms: Option<f64>,
        retry: Option<bool>,
    ) -> Result<f64, JsValue> {
        let text = js::encode(payload)?;
        let field = |name| options::get(payload, name).as_string();
        // A publish whose room or key is no text is refused by the server at once, and never again.
        let lane = retry.filter(|retry| *retry).and_then(|_| Some(Lane { room: field("room")?, key: field("idempotencyKey")? }));
        Ok(self.shell.request(kind, text, timeout_ms.map(|ms| ms as u64), lane) as f64)
    }

    /// Sends without an answer, or queues while offline; a refusal is told to `sink.sendRefused`.
    ///
    /// Throws when the payload is not an object that JSON can hold.
    pub fn send(
        &self,
        #[wasm_bindgen(js_name = "type")] kind: String,
        #[wasm_bindgen(unchecked_param_type = "unknown")] payload: &JsValue,
    ) -> Result<(), JsValue> {
        let payload = js::encode(payload)?;
        self.shell.handle(Input::Send { kind, payload });
        Ok(())
    }

    /// Whether the connected user may do this, by the server's policy: for showing and hiding; the server decides.
    pub fn can(
        &self,
        room: &str,
        #[wasm_bindgen(unchecked_param_type = "\"join\" | \"publish\" | \"presence\" | \"history\"")] action: &str,
    ) -> bool {
        let action = match action {
            "join" => Action::Join,
            "publish" => Action::Publish,
            "presence" => Action::Presence,
            "history" => Action::History,
            _ => return false,
        };
        RoomName::parse(room).is_ok_and(|room| self.shell.machine().can(&room, action))
    }

    /// Every room that is joined, joining or refused.
    #[wasm_bindgen(unchecked_return_type = "RoomState[]")]
    pub fn rooms(&self) -> JsValue {
        to_js(&self.shell.machine().rooms())
    }

    /// Where the connection stands.
    #[wasm_bindgen(unchecked_return_type = "ConnectionState")]
    pub fn state(&self) -> JsValue {
        let state = self.shell.machine().state();
        state_to_js(state)
    }

    /// The id of the session, kept over reconnects that resume it.
    #[wasm_bindgen(getter, js_name = clientId)]
    pub fn client_id(&self) -> Option<String> {
        self.shell.machine().client_id().map(str::to_owned)
    }
}

impl Drop for Client {
    /// `free()`: closes the socket and tells nobody.
    fn drop(&mut self) {
        self.shell.dispose();
    }
}
