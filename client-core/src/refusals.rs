//! When a token provider has to be believed that it has no token which the server takes.
//!
//! One refused token says little: it may have been cached, or the server may be between two secrets. So the provider is asked again,
//! with backoff, until three answers in a row were refused that all differ, or one and the same for a full backoff.

/// The refusals since the server took a token.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// The two tokens that were refused last, as hashes, the newer one first. No token is a token like any other here.
    last: [Option<u64>; 2],
    /// How often the newest was refused in a row.
    same: u32,
}

impl Refusals {
    /// Counts a refusal of `token`. True when there is nothing left to hope for: `full` refusals in a row are a full backoff.
    pub(crate) fn refused(&mut self, token: Option<&str>, full: u32) -> bool {
        let token = hash(token);
        let [newest, older] = self.last;
        if newest == Some(token) {
            // A repetition ends the row of answers that differ.
            self.last[1] = None;
            self.same = self.same.saturating_add(1);
            return self.same >= full.max(2);
        }
        self.same = 1;
        self.last = [Some(token), newest];
        newest.is_some() && older.is_some_and(|older| older != token)
    }

    /// The server took a token, or the application wants to try anew.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// FNV-1a. Refused tokens are only compared, and are not kept.
fn hash(token: Option<&str>) -> u64 {
    let begin = 0xCBF2_9CE4_8422_2325 ^ u64::from(token.is_some());
    let bytes = token.unwrap_or_default().bytes();
    bytes.fold(begin, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many of these refusals the provider is believed.
    fn believed(tokens: &[&str]) -> Option<usize> {
        let mut refusals = Refusals::default();
        tokens.iter().position(|token| refusals.refused(Some(token), 10)).map(|at| at + 1)
    }

    #[test]
    fn three_answers_in_a_row_that_differ_are_enough() {
        assert_eq!(believed(&["a", "b", "c"]), Some(3));
        assert_eq!(believed(&["a", "a", "b", "c", "d"]), Some(4));
        assert_eq!(believed(&["a", "b", "a", "b", "a", "b"]), None);
    }

    #[test]
    fn one_answer_needs_a_full_backoff() {
        assert_eq!(believed(&["a"; 12]), Some(10));
        assert_eq!(believed(&["a", "a", "a", "b", "b", "b", "c", "c", "c"]), None);
        let mut refusals = Refusals::default();
        assert!(!refusals.refused(None, 10) && !refusals.refused(None, 10));
        refusals.clear();
        assert!(!refusals.refused(None, 2) && refusals.refused(None, 2));
    }
}
