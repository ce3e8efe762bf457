//! Where an answer that did not hold everything goes on: an opaque text for clients, which holds the range and a place in it.

use std::{fmt, fmt::Write as _, sync::Arc};

/// The place of a point or span among all: time (of a span its begin) in milliseconds, metric, and the order of points that
/// one metric has at one time.
pub(super) type Key = (u64, Arc<str>, u64);

/// A place in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    pub(super) key: Key,
}

impl Cursor {
    /// Reads what [`fmt::Display`] has written.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let (from_ms, to_ms, at, seq) = (number()?, number()?, number()?, number()?);
        let hex = parts.next().filter(|hex| hex.is_ascii() && hex.len() % 2 == 0)?;
        let bytes: Option<Vec<u8>> =
            (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).ok()).collect();
        let metric = String::from_utf8(bytes?).ok()?;
        // Stores count in signed numbers.
        let fits = [from_ms, to_ms, at, seq].iter().all(|number| i64::try_from(*number).is_ok());
        (parts.next().is_none() && fits && from_ms <= to_ms).then(|| Self { from_ms, to_ms, key: (at, metric.into(), seq) })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from_ms, to_ms, key: (at, metric, seq) } = self;
        write!(f, "{from_ms:x}-{to_ms:x}-{at:x}-{seq:x}-")?;
        metric.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Cursor {
    /// As it is answered.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let _ = write!(text, "{self}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_back(from in 0..1_u64 << 50, length in 0..1_u64 << 50, at: u32, seq: u32, metric in "\\PC{0,20}") {
            let cursor = Cursor { from_ms: from, to_ms: from + length, key: (at.into(), metric.into(), seq.into()) };
            prop_assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
        }

        #[test]
        fn any_text_is_safe(text in ".{0,40}", like in "[0-9a-f]{0,17}(-[0-9a-f]{0,17}){3,6}") {
            let _ = (Cursor::parse(&text), Cursor::parse(&like));
        }
    }
}
