//! What was acknowledged, delivered and told, by whom, and the first contradiction among it.
//!
//! Raw clients and SDK clients report everything here as it happens; nothing is filtered before it. A place in a stream
//! (room, epoch, offset) holds one event for ever: whoever sees it first says which, everyone after must see the same.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Lines of a member's log that are kept for the report of a failure.
const KEPT_LINES: usize = 60;

/// One publish of one publisher: `(publisher, n)`, unique in a run.
pub(crate) type Tag = (u64, u64);

/// What a place in a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) event_id: String,
    pub(crate) tag: Tag,
}

/// How a member was let into a room.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) epoch: String,
    pub(crate) recovered: bool,
    /// Where the stream was; the SDK tells where its member stands instead.
    pub(crate) offset: u64,
    /// How many events the server says it replays; the SDK doesn't tell.
    pub(crate) replayed: Option<u64>,
}

/// What becomes of a stream when its server is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It goes on in its epoch, and everyone recovers.
    Continues,
    /// Another epoch, and nobody recovers.
    Lost,
}

#[derive(Debug, Default)]
struct Member {
    epoch: Option<String>,
    /// The offset of the last delivery.
    last: u64,
    /// Events that the last join promised and that have not come yet.
    promised: u64,
    life: u64,
    log: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Log {
    held: HashMap<(String, String, u64), Held>,
    /// Where a publish is, by its tag: it must not be in two places of one epoch.
    placed: HashMap<(String, Tag), u64>,
    acknowledged: BTreeMap<(String, Tag), (String, u64, String)>,
    members: HashMap<(String, String), Member>,
    recoveries: u64,
    refused_recoveries: u64,
    violation: Option<String>,
}

/// How far a run is. Counts of this life begin at 0 with each start of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    life: u64,
    pub(crate) acks: u64,
    pub(crate) deliveries: u64,
    pub(crate) returned: u64,
    pub(crate) violated: bool,
}

/// See the module.
pub(crate) struct Oracle {
    expected: Expected,
    log: Mutex<Log>,
    progress: watch::Sender<Progress>,
}

impl Oracle {
    pub(crate) fn new(expected: Expected) -> Self {
        Self { expected, log: Mutex::default(), progress: watch::Sender::new(Progress::default()) }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // A client that panicked is told by its task; what it had logged is whole.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// A server was started: counts begin anew.
    pub(crate) fn new_life(&self, life: u64) {
        self.progress.send_modify(|progress| *progress = Progress { life, violated: progress.violated, ..Progress::default() });
    }

    /// Keeps the first contradiction; a run ends with it.
    pub(crate) fn violated(&self, what: String) {
        let mut log = self.log();
        log.violation.get_or_insert(what);
        drop(log);
        self.progress.send_modify(|progress| progress.violated = true);
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.log().violation.clone()
    }

    /// A client has all of its rooms again, in the server's `life`.
    pub(crate) fn returned(&self, life: u64) {
        // What was read late from a dead server's socket doesn't count for the next one.
        self.progress.send_modify(|progress| progress.returned += u64::from(progress.life == life));
    }

    /// A member was let into a room, in the server's `life`.
    pub(crate) fn joined(&self, client: &str, room: &str, joined: &Joined, life: u64) {
        let mut log = self.log();
        let member = log.members.entry((client.to_owned(), room.to_owned())).or_default();
        member.remember(format!("life {life}: {joined:?}"));
        let first = member.epoch.is_none();
        let (same_epoch, again) = (member.epoch.as_deref() == Some(&joined.epoch), member.life == life && !first);
        let mut wrong = None;
        if joined.recovered {
            if first || !same_epoch {
                wrong = Some("recovered in an epoch that it was never in");
            } else if joined.replayed.is_some_and(|replayed| member.last + replayed != joined.offset) {
                wrong = Some("what is replayed is not what lies between its position and the stream's");
            }
        } else if !first && !again && self.expected == Expected::Continues {
            wrong = Some("did not recover, though the file holds everything");
        }
        if self.expected == Expected::Lost && !first && !again && (joined.recovered || same_epoch) {
            wrong = Some("recovered, or is in the same epoch, though the memory of it is gone");
        }
        if !joined.recovered {
            member.last = joined.offset;
            member.epoch = Some(joined.epoch.clone());
        }
        member.promised = joined.replayed.filter(|_| joined.recovered).unwrap_or(0);
        member.life = life;
        let wrong = wrong.map(|wrong| member.tell(client, room, wrong));
        if joined.recovered {
            log.recoveries += 1;
        } else if !first {
            log.refused_recoveries += 1;
        }
        drop(log);
        wrong.into_iter().for_each(|wrong| self.violated(wrong));
    }

    /// A member was shown an event.
    pub(crate) fn delivered(&self, client: &str, room: &str, offset: u64, held: Held) {
        let mut log = self.log();
        let member = log.members.entry((client.to_owned(), room.to_owned())).or_default();
        member.remember(format!("{offset}: {held:?}"));
        let mut wrong = None;
        if offset <= member.last {
            wrong = Some(member.tell(client, room, "a duplicate, or out of order"));
        } else if offset != member.last + 1 {
            wrong = Some(member.tell(client, room, "a gap that nobody told of"));
        }
        member.last = offset;
        member.promised = member.promised.saturating_sub(1);
        let epoch = member.epoch.clone().unwrap_or_default();
        let wrong = wrong.or_else(|| log.place(room, &epoch, offset, held).err());
        drop(log);
        wrong.into_iter().for_each(|wrong| self.violated(wrong));
        self.progress.send_modify(|progress| progress.deliveries += 1);
    }

    /// A publish was acknowledged: it has this place for ever.
    pub(crate) fn acknowledged(&self, room: &str, epoch: &str, offset: u64, held: Held) {
        let mut log = self.log();
        let place = (epoch.to_owned(), offset, held.event_id.clone());
        let before = log.acknowledged.insert((room.to_owned(), held.tag), place.clone());
        let wrong = match before {
            Some(before) if before != place => Some(format!("{room}: {:?} acknowledged at {before:?} and {place:?}", held.tag)),
            _ => log.place(room, epoch, offset, held).err(),
        };
        drop(log);
        wrong.into_iter().for_each(|wrong| self.violated(wrong));
        self.progress.send_modify(|progress| progress.acks += 1);
    }

    /// The stream as the server has it in the end. Every acknowledged publish is in it, once, where it was acknowledged;
    /// everything that anyone saw is where they saw it; and each publisher's events are in the order of its sending.
    pub(crate) fn check_stream(&self, room: &str, epoch: &str, events: &[(u64, Held)]) {
        let mut log = self.log();
        let mut wrong = Vec::new();
        let mut newest: HashMap<u64, u64> = HashMap::new();
        for (expected, (offset, held)) in (1..).zip(events) {
            if *offset != expected {
                wrong.push(format!("{room}: the history has {offset} where {expected} is due"));
            }
            wrong.extend(log.place(room, epoch, *offset, held.clone()).err());
            let (publisher, n) = held.tag;
            if newest.insert(publisher, n).is_some_and(|before| before >= n) {
                wrong.push(format!("{room}: {n} of publisher {publisher} is not behind what it sent before"));
            }
        }
        for ((of, tag), (acknowledged, offset, _)) in &log.acknowledged {
            if of == room && acknowledged == epoch && *offset > events.len() as u64 {
                wrong.push(format!("{room}: {tag:?} was acknowledged at {offset}, and the history ends at {}", events.len()));
            }
            if of == room && acknowledged != epoch && self.expected == Expected::Continues {
                wrong.push(format!("{room}: {tag:?} was acknowledged in the epoch {acknowledged}, and this is {epoch}"));
            }
        }
        for ((client, of), member) in &mut log.members {
            if of == room && member.last != events.len() as u64 {
                wrong.push(member.tell(
                    client,
                    room,
                    &format!("it was shown nothing behind this, and there are {}", events.len()),
                ));
            }
            if of == room && member.promised > 0 {
                wrong.push(member.tell(client, room, "it was promised more than came"));
            }
        }
        drop(log);
        wrong.into_iter().take(1).for_each(|wrong| self.violated(wrong));
    }

    /// Whether every member of `room` has been shown everything up to `offset`.
    pub(crate) fn all_have(&self, room: &str, offset: u64) -> bool {
        self.log().members.iter().all(|((_, of), member)| of != room || member.last >= offset)
    }

    /// Joins that recovered, that did not, and publishes that were acknowledged.
    pub(crate) fn totals(&self) -> (u64, u64, usize) {
        let log = self.log();
        (log.recoveries, log.refused_recoveries, log.acknowledged.len())
    }
}

impl Log {
    fn place(&mut self, room: &str, epoch: &str, offset: u64, held: Held) -> Result<(), String> {
        let at = (room.to_owned(), epoch.to_owned(), offset);
        let placed = self.placed.entry((format!("{room} {epoch}"), held.tag)).or_insert(offset);
        if *placed != offset {
            return Err(format!("{room}: {:?} is at {placed} and at {offset}: stored twice", held.tag));
        }
        match self.held.get(&at) {
            Some(before) if *before != held => Err(format!("{room}: {offset} was {before:?} and is {held:?}")),
            Some(_) => Ok(()),
            None => {
                self.held.insert(at, held);
                Ok(())
            }
        }
    }
}

impl Member {
    fn remember(&mut self, line: String) {
        if self.log.len() == KEPT_LINES {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    fn tell(&self, client: &str, room: &str, what: &str) -> String {
        let log: Vec<&str> = self.log.iter().map(String::as_str).collect();
        format!("{client} in {room}: {what}; its last lines:\n  {}", log.join("\n  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(n: u64) -> Held {
        Held { event_id: format!("e{n}"), tag: (1, n) }
    }

    fn joined(epoch: &str, recovered: bool, offset: u64, replayed: u64) -> Joined {
        Joined { epoch: epoch.to_owned(), recovered, offset, replayed: Some(replayed) }
    }

    fn judged(expected: Expected, run: impl Fn(&Oracle)) -> String {
        let oracle = Oracle::new(expected);
        run(&oracle);
        oracle.violation().unwrap_or_default()
    }

    #[test]
    fn it_sees_each_kind_of_lie() {
        use Expected::{Continues, Lost};
        type Lie = (Expected, &'static str, fn(&Oracle));
        let lies: [Lie; 9] = [
            (Continues, "a gap", |o| {
                o.joined("c", "r", &joined("a", false, 0, 0), 1);
                o.delivered("c", "r", 2, held(2));
            }),
            (Continues, "a duplicate", |o| {
                o.joined("c", "r", &joined("a", false, 1, 0), 1);
                o.delivered("c", "r", 1, held(1));
            }),
            (Continues, "did not recover", |o| {
                o.joined("c", "r", &joined("a", false, 0, 0), 1);
                o.joined("c", "r", &joined("a", false, 3, 0), 2);
            }),
            (Continues, "what is replayed", |o| {
                o.joined("c", "r", &joined("a", false, 0, 0), 1);
                o.joined("c", "r", &joined("a", true, 3, 2), 2);
            }),
            (Continues, "never in", |o| {
                o.joined("c", "r", &joined("a", false, 0, 0), 1);
                o.joined("c", "r", &joined("b", true, 0, 0), 2);
            }),
            (Lost, "memory of it is gone", |o| {
                o.joined("c", "r", &joined("a", false, 0, 0), 1);
                o.joined("c", "r", &joined("a", false, 0, 0), 2);
            }),
            (Continues, "r: 1 was", |o| {
                o.acknowledged("r", "a", 1, held(1));
                o.joined("c", "r", &joined("a", false, 0, 0), 1);
                o.delivered("c", "r", 1, held(2));
            }),
            (Continues, "stored twice", |o| {
                o.acknowledged("r", "a", 1, held(1));
                o.check_stream("r", "a", &[(1, held(1)), (2, held(1))]);
            }),
            (Continues, "the history ends at 1", |o| {
                o.acknowledged("r", "a", 2, held(2));
                o.check_stream("r", "a", &[(1, held(1))]);
            }),
        ];
        for (expected, what, lie) in lies {
            let violation = judged(expected, lie);
            assert!(violation.contains(what), "{what}: {violation}");
        }
    }

    #[test]
    fn it_lets_the_truth_pass() {
        let truth = |o: &Oracle| {
            o.joined("c", "r", &joined("a", false, 0, 0), 1);
            o.acknowledged("r", "a", 1, held(1));
            o.delivered("c", "r", 1, held(1));
            o.joined("c", "r", &joined("a", true, 2, 1), 2);
            o.delivered("c", "r", 2, held(2));
            o.check_stream("r", "a", &[(1, held(1)), (2, held(2))]);
        };
        assert_eq!(judged(Expected::Continues, truth), "");
    }
}
