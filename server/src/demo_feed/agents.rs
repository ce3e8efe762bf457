//! Eight voice agents: taking calls, going off line, now and then in trouble.

use osbackend_protocol::DomainEvent;
use osbackend_protocol::event::AgentStatusChange;

use super::{CITIES, Random, details};

const NAMES: [&str; 8] = ["Ava", "Noah", "Mia", "Liam", "Zoe", "Ethan", "Ivy", "Lucas"];
const TOPICS: [&str; 6] = ["Appointment", "Follow-up", "Billing", "Qualification", "Renewal", "Support"];

#[derive(Clone, Debug, PartialEq)]
enum Status {
    Online,
    Busy { call: String },
    Offline,
    Error,
}

pub(super) struct Agent {
    id: usize,
    calls_handled: u64,
    status: Status,
    /// Steps until the status changes.
    left: u64,
}

pub(super) fn team(random: &mut Random) -> Vec<Agent> {
    (0..NAMES.len())
        .map(|index| {
            let mut agent = Agent { id: index + 1, calls_handled: random.below(40) as u64 + 5, status: Status::Online, left: 0 };
            // Not all idle at the start, and not all changing at once.
            agent.enter(
                [Status::Online, Status::Busy { call: call(random) }, Status::Offline][[1, 0, 1, 0, 1, 2, 0, 1][index]].clone(),
                random,
            );
            agent.left = random.below(agent.left as usize) as u64 + 1;
            agent
        })
        .collect()
}

fn call(random: &mut Random) -> String {
    format!("{}, {}", random.pick(&TOPICS), random.pick(&CITIES))
}

impl Agent {
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.status, Status::Busy { .. })
    }

    fn enter(&mut self, status: Status, random: &mut Random) {
        let (shortest, longest) = match status {
            Status::Online => (6.0, 30.0),
            Status::Busy { .. } => (24.0, 110.0),
            Status::Offline => (40.0, 120.0),
            Status::Error => (16.0, 40.0),
        };
        self.left = random.within(shortest, longest) as u64;
        self.status = status;
    }

    /// Goes on from an event of this agent that was published before; another agent's changes nothing.
    pub(super) fn resume(&mut self, event: &AgentStatusChange, random: &mut Random) {
        if event.agent_id != self.id.to_string() {
            return;
        }
        let detail = |name: &str| event.details.as_ref().and_then(|details| details.get(name));
        if let Some(calls) = detail("callsHandled").and_then(serde_json::Value::as_u64) {
            self.calls_handled = calls;
        }
        let status = match event.status.as_str() {
            "busy" => Status::Busy {
                call: detail("currentCall").and_then(serde_json::Value::as_str).map_or_else(|| call(random), str::to_owned),
            },
            "offline" => Status::Offline,
            "error" => Status::Error,
            _ => Status::Online,
        };
        self.enter(status, random);
    }

    /// The agent's next step: an event where the status changed.
    pub(super) fn step(&mut self, random: &mut Random) -> Option<DomainEvent> {
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            return None;
        }
        let next = match &self.status {
            Status::Online if random.chance(0.88) => Status::Busy { call: call(random) },
            Status::Online => Status::Offline,
            Status::Busy { .. } if random.chance(0.05) => Status::Error,
            Status::Busy { .. } => {
                self.calls_handled += 1;
                Status::Online
            }
            Status::Offline | Status::Error => Status::Online,
        };
        self.enter(next, random);
        Some(self.event())
    }

    pub(super) fn event(&self) -> DomainEvent {
        let (status, message, call) = match &self.status {
            Status::Online => ("online", None, None),
            Status::Busy { call } => ("busy", None, Some(call.as_str())),
            Status::Offline => ("offline", Some("On a break"), None),
            Status::Error => ("error", Some("Lost the carrier, reconnecting"), None),
        };
        DomainEvent::AgentStatusChange(AgentStatusChange {
            agent_id: self.id.to_string(),
            status: status.to_owned(),
            message: message.map(str::to_owned),
            details: details([
                ("name", NAMES[self.id - 1].into()),
                ("callsHandled", self.calls_handled.into()),
                ("currentCall", call.into()),
            ]),
        })
    }
}
