//! What one member received of its room, checked by the events' own numbers and by the room's offsets.

use serde::Deserialize;

/// The data of an event of the load, as far as it is read back.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Probe {
    /// From 1 within its room, without holes.
    pub(super) seq: u64,
    /// When it was published, in microseconds of the run.
    pub(super) sent_us: u64,
}

/// One member's account.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// One bit for each number that came.
    seen: Vec<u64>,
    distinct: u64,
    last_offset: Option<u64>,
    /// Numbers that came again.
    pub(super) duplicated: u64,
    /// Events whose offset was not above the one before it, or that left some out without saying so.
    pub(super) misplaced: u64,
}

impl Tally {
    /// Takes an event in; whether it came for the first time.
    pub(super) fn take(&mut self, seq: u64, offset: Option<u64>, skipped: u64) -> bool {
        if let Some(offset) = offset {
            let in_place = self.last_offset.is_none_or(|last| offset == last + 1 + skipped);
            self.misplaced += u64::from(!in_place);
            self.last_offset = Some(offset);
        }
        let (word, bit) = ((seq / 64) as usize, 1_u64 << (seq % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        self.distinct += u64::from(is_new);
        self.duplicated += u64::from(!is_new);
        is_new
    }

    /// The room's stream is another one now: its offsets begin anew.
    pub(super) fn new_stream(&mut self) {
        self.last_offset = None;
    }

    /// How many of `published` events never came.
    pub(super) fn lost(&self, published: u64) -> u64 {
        published.saturating_sub(self.distinct)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_once_is_fine() {
        let mut tally = Tally::default();
        for seq in 1..=200 {
            assert!(tally.take(seq, Some(seq + 40), 0));
        }
        assert_eq!((tally.lost(200), tally.duplicated, tally.misplaced), (0, 0, 0));
    }

    #[test]
    fn lost_doubled_and_misplaced_events_are_counted() {
        let mut tally = Tally::default();
        assert!(tally.take(1, Some(1), 0));
        assert!(tally.take(3, Some(3), 0), "2 is missing, and nothing said so");
        assert!(tally.take(6, Some(6), 2), "4 and 5 were conflated");
        assert!(!tally.take(6, Some(6), 0));
        assert_eq!((tally.lost(6), tally.duplicated, tally.misplaced), (3, 1, 2));
        tally.new_stream();
        assert!(tally.take(7, Some(1), 0));
        assert_eq!(tally.misplaced, 2);
    }
}
