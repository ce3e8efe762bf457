//! Faults that no real part has, to see that the judges notice.

use crate::world::World;

/// One such fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    None,
    /// An event is lost between the machine and the application.
    EventLost,
    /// An event is delivered to the application twice.
    EventTwice,
    /// The server says `recovered` though it isn't so.
    LyingServer,
    /// A reliable event is left out, and the next one says that it was skipped.
    ReliableSkipped,
    /// A client's timers never ring.
    DeafTimers,
    /// An answer to a request gets lost.
    AnswerLost,
    /// Nobody hears who comes and goes.
    PresenceLost,
    /// Publishes lose their keys on the way.
    KeyLost,
}

impl World {
    /// What a mutant makes of a frame.
    pub(crate) fn tampered(&mut self, text: String) -> Option<String> {
        match self.mutant {
            Mutant::LyingServer => Some(text.replace("\"recovered\":false", "\"recovered\":true")),
            Mutant::ReliableSkipped => {
                let Some(room) = room_of_live_event(&text) else { return Some(text) };
                if self.swallowed.as_deref() == Some(room) {
                    self.swallowed = None;
                    return Some(format!("{},\"skipped\":1}}", text.strip_suffix('}').unwrap_or(&text)));
                }
                if text.starts_with("{\"type\":\"milestone\"") && self.swallowed.is_none() && self.dice.chance(30) {
                    self.swallowed = Some(room.to_owned());
                    return None;
                }
                Some(text)
            }
            Mutant::PresenceLost => (!text.starts_with("{\"type\":\"presence_")).then_some(text),
            _ => Some(text),
        }
    }
}

/// The room, when the frame is a single event that is neither of a snapshot nor after a gap.
fn room_of_live_event(text: &str) -> Option<&str> {
    let plain = text.starts_with("{\"type\":\"m") && !text.contains("\"snapshot\"") && !text.contains("\"skipped\"");
    let (_, rest) = text.split_once("\"room\":\"").filter(|_| plain && text.contains("\"offset\""))?;
    Some(rest.split_once('"')?.0)
}
