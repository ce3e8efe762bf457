//! Whole numbers as JSON Schema and JavaScript have them: `3.0` is one, and the same as `3`.

use serde::{
    Deserializer,
    de::{Error, Unexpected, Visitor},
};
use std::fmt;

/// For `#[serde(deserialize_with)]`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_u64(Whole)
}

struct Whole;

impl Visitor<'_> for Whole {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<u64, E> {
        // A number over the limit of a u64 becomes that limit: the event's rule has a lower one.
        if value >= 0.0 && value.fract() == 0.0 {
            Ok(value as u64)
        } else {
            Err(E::invalid_value(Unexpected::Float(value), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::deserialize;

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let read = |text| deserialize(&mut serde_json::Deserializer::from_str(text));
        for (text, number) in [("0", 0), ("7", 7), ("7.0", 7), ("-0.0", 0), ("4.128e3", 4128)] {
            assert_eq!(read(text).expect(text), number, "{text}");
        }
        for bad in ["-1", "-1.0", "1.5", "\"7\"", "null", "true"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
