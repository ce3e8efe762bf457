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
    /// A handler of custom messages answers another request's question.
    AnswerMixed,
    /// Nobody hears who comes and goes.
    PresenceLost,
    /// Publishes lose their keys on the way.
    KeyLost,
    /// Publishes lose on the way which event they must not pass.
    OrderLost,
    /// The durable engine delivers and acknowledges before its commit.
    AcknowledgedEarly,
    /// The durable engine goes on in the same epoch after it has lost commits.
    EpochReused,
    /// The durable engine begins a new epoch with every process.
    NewEpochAtRestart,
    /// The durable engine knows at a restart how far it was, and nothing of what was before.
    HistoryForgotten,
    /// The durable engine forgets at a restart what was published with which key.
    KeysForgotten,
    /// The server takes a resume token from whoever has it.
    ForeignResume,
    /// The key that signs resume tokens changes with every process.
    ResumeKeyChanged,
    /// A token that says less takes nothing away.
    RightsKept,
    /// The provider of tokens never answers once the faults are over.
    ProviderSilent,
    /// A drain gives everybody the same slot.
    OneSlot,
    /// A draining server closes before the slots that it told.
    SlotIgnored,
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
