//! The order of a client's events, where one is refused before an engine sees it (§5): see [`crate::engine::Refused`].

use super::Session;
use crate::engine::{Place, Refused};
use osbackend_protocol::{ClientMessage, ErrorCode, client_msg::Publish};
use std::sync::Arc;

impl Session {
    /// A request was answered with this error: should it be an event that may come again, nothing behind it may pass it.
    pub(super) fn remember(&mut self, message: &ClientMessage, code: ErrorCode, now: u64) {
        if let ClientMessage::Publish(publish) = message {
            self.remember_event(publish, code, now);
        }
    }

    /// As [`Self::remember`].
    pub(super) fn remember_event(&mut self, publish: &Publish, code: ErrorCode, now: u64) {
        let Publish { idempotency_key: Some(key), ephemeral: false, .. } = publish else { return };
        if code.is_transient() {
            self.refused().refuse(key, now);
        }
    }

    /// The place of an event that is to be published. One that is ephemeral has none: it is in no stream, and doesn't come again.
    pub(super) fn place(&mut self, publish: &mut Publish) -> Option<Place> {
        let after = publish.after.take();
        if publish.ephemeral || publish.idempotency_key.is_none() && after.is_none() {
            return None;
        }
        Some(Place { refused: self.refused().clone(), key: publish.idempotency_key.clone(), after })
    }

    fn refused(&mut self) -> &Arc<Refused> {
        self.refused.get_or_insert_default()
    }
}
