//! Whose turn it is to be let in: a queue of waiters by address, served round-robin at a rate for all and a rate for each.
//!
//! A turn is taken from both rates when it is given, never before: a waiter that goes leaves nothing used. No clock, no I/O.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;

use super::{Gcra, Quota};

/// Addresses that are remembered before those that are back at their whole burst are looked for and forgotten.
const LEAST_KEPT: usize = 1024;

/// Tells one waiter.
pub type Ticket = u64;

/// Whom a rate counts for: an address group, or all whose address is unknown.
type Key = Option<IpAddr>;

/// Why nobody is let in now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFast {
    /// It is the address's own rate that is used up, not the one of all.
    pub by_address: bool,
    /// When there is a turn again, in milliseconds.
    pub retry_after_ms: u64,
}

/// What somebody who asks is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It may go in, and its turn is taken.
    Now,
    /// It waits for [`Turns::serve`] to name this ticket.
    Wait(Ticket),
    /// It would wait longer than the patience; nothing was taken.
    Refused(TooFast),
}

/// The queue.
#[derive(Debug)]
pub struct Turns {
    all: Quota,
    each: Quota,
    patience_ms: u64,
    taken: Gcra,
    groups: HashMap<Key, Group>,
    /// Groups with waiters and a turn of their own rate left: the first is served next.
    ring: VecDeque<Key>,
    /// Groups with waiters whose own rate is used up, by the time at which it is not.
    resting: BTreeSet<(u64, Key)>,
    /// Waiters by when their patience ends; those that are gone are skipped.
    ends: VecDeque<(u64, Ticket)>,
    /// Whose group each waiter is of.
    waiting: HashMap<Ticket, Key>,
    next_ticket: Ticket,
    prune_at: usize,
}

#[derive(Debug, Default)]
struct Group {
    taken: Gcra,
    waiters: VecDeque<Ticket>,
}

impl Turns {
    /// A queue for so many in all and so many of each address; who would wait longer than `patience_ms` is refused.
    pub fn new(all: Quota, each: Quota, patience_ms: u64) -> Self {
        Self {
            all,
            each,
            patience_ms,
            taken: Gcra::default(),
            groups: HashMap::new(),
            ring: VecDeque::new(),
            resting: BTreeSet::new(),
            ends: VecDeque::new(),
            waiting: HashMap::new(),
            next_ticket: 0,
            prune_at: LEAST_KEPT,
        }
    }

    /// Somebody of `group` wants to go in. `patient`: it may be told to wait.
    pub fn ask(&mut self, group: Key, patient: bool, now_ms: u64) -> Asked {
        self.prune(now_ms);
        self.wake(now_ms);
        let each = self.each_of(group);
        let known = self.groups.get(&group);
        let (ahead, own) = known.map_or((0, Gcra::default()), |known| (known.waiters.len(), known.taken));
        let own_wait = own.wait(&each, ahead as u64 + 1, now_ms);
        // Between two waiters of this group each other group has one turn.
        let others: usize =
            self.ring.iter().filter_map(|key| self.groups.get(key)).map(|it| it.waiters.len().min(ahead + 1)).sum();
        let all_wait = self.taken.wait(&self.all, others as u64 + 1, now_ms);
        let wait_ms = own_wait.max(all_wait);
        if wait_ms == 0 && ahead == 0 && self.ring.is_empty() {
            self.take(group, now_ms);
            return Asked::Now;
        }
        if !patient || wait_ms > self.patience_ms {
            return Asked::Refused(TooFast { by_address: own_wait >= all_wait, retry_after_ms: wait_ms.max(1) });
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.groups.entry(group).or_default().waiters.push_back(ticket);
        self.waiting.insert(ticket, group);
        self.ends.push_back((now_ms.saturating_add(self.patience_ms), ticket));
        if ahead == 0 {
            self.line_up(group, now_ms);
        }
        Asked::Wait(ticket)
    }

    /// A waiter goes, before its turn or after: a turn that it did not have yet goes to the next.
    pub fn cancel(&mut self, ticket: Ticket) {
        let Some(group) = self.waiting.remove(&ticket) else { return };
        let Some(known) = self.groups.get_mut(&group) else { return };
        known.waiters.retain(|waiter| *waiter != ticket);
        if known.waiters.is_empty() {
            self.ring.retain(|key| *key != group);
            self.resting.retain(|(_, key)| *key != group);
        }
        if self.waiting.is_empty() {
            self.ends.clear();
        }
    }

    /// Whose turn has come by now, in order, and whose patience is over.
    pub fn serve(&mut self, now_ms: u64) -> Vec<(Ticket, Result<(), TooFast>)> {
        let mut served = Vec::new();
        self.wake(now_ms);
        while self.taken.wait(&self.all, 1, now_ms) == 0
            && let Some(group) = self.ring.pop_front()
        {
            let Some(ticket) = self.groups.get_mut(&group).and_then(|known| known.waiters.pop_front()) else { continue };
            self.waiting.remove(&ticket);
            self.take(group, now_ms);
            served.push((ticket, Ok(())));
            if self.groups.get(&group).is_some_and(|known| !known.waiters.is_empty()) {
                self.line_up(group, now_ms);
            }
        }
        while let Some((ends_ms, ticket)) = self.ends.front().copied()
            && (ends_ms <= now_ms || !self.waiting.contains_key(&ticket))
        {
            self.ends.pop_front();
            if let Some(group) = self.waiting.get(&ticket).copied() {
                let own = self.groups.get(&group).map_or(0, |known| known.taken.wait(&self.each_of(group), 1, now_ms));
                let all = self.taken.wait(&self.all, 1, now_ms);
                let retry_after_ms = own.max(all).max(self.patience_ms);
                self.cancel(ticket);
                served.push((ticket, Err(TooFast { by_address: own >= all, retry_after_ms })));
            }
        }
        served
    }

    /// When [`Self::serve`] has something to do again; `None` while nobody waits.
    pub fn next_due(&self, now_ms: u64) -> Option<u64> {
        let ring = (!self.ring.is_empty()).then(|| now_ms.saturating_add(self.taken.wait(&self.all, 1, now_ms)));
        let resting = self.resting.first().map(|(at_ms, _)| *at_ms);
        let ends = self.ends.front().map(|(at_ms, _)| *at_ms).filter(|_| !self.waiting.is_empty());
        [ring, resting, ends].into_iter().flatten().min()
    }

    fn each_of(&self, group: Key) -> Quota {
        // Whose address is unknown are many.
        if group.is_some() { self.each } else { Quota::new(None, 1) }
    }

    fn take(&mut self, group: Key, now_ms: u64) {
        let each = self.each_of(group);
        // Both were looked at before.
        let _ = self.taken.take(&self.all, now_ms);
        if !each.is_lifted() {
            let _ = self.groups.entry(group).or_default().taken.take(&each, now_ms);
        }
    }

    /// Puts a group with waiters behind the others, or aside until its own rate has a turn.
    fn line_up(&mut self, group: Key, now_ms: u64) {
        let each = self.each_of(group);
        match self.groups.get(&group).map_or(0, |known| known.taken.wait(&each, 1, now_ms)) {
            0 => self.ring.push_back(group),
            wait_ms => {
                self.resting.insert((now_ms.saturating_add(wait_ms), group));
            }
        }
    }

    fn wake(&mut self, now_ms: u64) {
        while self.resting.first().is_some_and(|(at_ms, _)| *at_ms <= now_ms) {
            if let Some((_, group)) = self.resting.pop_first() {
                self.ring.push_back(group);
            }
        }
    }

    /// Forgets addresses that have nothing used and nobody waiting, now and then: at a constant cost for each that is new.
    fn prune(&mut self, now_ms: u64) {
        if self.groups.len() >= self.prune_at {
            self.groups.retain(|_, known| !known.waiters.is_empty() || known.taken.is_in_use(now_ms));
            self.prune_at = (self.groups.len() * 2).max(LEAST_KEPT);
        }
    }
}

#[cfg(test)]
mod tests;
