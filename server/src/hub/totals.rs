//! How many rooms, members and users there are, kept as sums: nobody has to look at each room to know.

use super::room::Room;
use std::sync::atomic::{AtomicI64, Ordering};

/// The sums over all rooms in memory.
#[derive(Debug, Default)]
pub(super) struct Totals {
    rooms: AtomicI64,
    members: AtomicI64,
    users: AtomicI64,
}

/// What one room adds to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    members: usize,
    users: usize,
}

impl Sizes {
    pub(super) fn of(room: &Room) -> Self {
        Self { members: room.client_count(), users: room.roster.user_count() }
    }
}

impl Totals {
    /// A room got its place in memory (1), or lost it (-1).
    pub(super) fn add_room(&self, count: i64) {
        self.rooms.fetch_add(count, Ordering::Relaxed);
    }

    /// A room became of another size. Called under its lock.
    pub(super) fn resized(&self, before: Sizes, after: Sizes) {
        // Nearly always: a room is published into far more often than it is joined.
        if before == after {
            return;
        }
        let difference = |before: usize, after: usize| after as i64 - before as i64;
        self.members.fetch_add(difference(before.members, after.members), Ordering::Relaxed);
        self.users.fetch_add(difference(before.users, after.users), Ordering::Relaxed);
    }

    pub(super) fn rooms(&self) -> usize {
        read(&self.rooms)
    }

    pub(super) fn members(&self) -> usize {
        read(&self.members)
    }

    pub(super) fn users(&self) -> usize {
        read(&self.users)
    }
}

/// Between two changes of different rooms a sum may be short of one of them, and never shows less than none.
fn read(sum: &AtomicI64) -> usize {
    usize::try_from(sum.load(Ordering::Relaxed)).unwrap_or(0)
}
