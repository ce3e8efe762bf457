//! Times on the wire: ISO 8601 UTC strings with milliseconds, such as `2026-11-23T03:26:18.042Z`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z; years 1970 to 9999.
///
/// Written by hand because a date library costs the browser build more bytes than all messages together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

/// Text that is not `YYYY-MM-DDTHH:MM:SS[.mmm]` with `Z` or an offset such as `+02:00`, or `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time such as 2026-11-23T03:26:18.042Z or 2026-11-23T05:26:18+02:00, or a date such as 2026-11-23")]
pub struct TimestampError;

const LAST_MS: u64 = 253_402_300_799_999; // 9999-12-31T23:59:59.999Z
const DAY_MS: u64 = 86_400_000;
/// `2026-11-23`
const DATE_LEN: usize = 10;

impl Timestamp {
    /// Parses a full time or a date (midnight UTC).
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let bytes = text.as_bytes();
        let number = |from: usize, len: usize| -> Result<u64, TimestampError> {
            let digits = bytes.get(from..from + len).ok_or(TimestampError)?;
            digits.iter().try_fold(0, |sum, digit| match digit {
                b'0'..=b'9' => Ok(sum * 10 + u64::from(digit - b'0')),
                _ => Err(TimestampError),
            })
        };
        let expect = |at: usize, byte: u8| if bytes.get(at) == Some(&byte) { Ok(()) } else { Err(TimestampError) };
        let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
        expect(4, b'-')?;
        expect(7, b'-')?;
        if year < 1970 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return Err(TimestampError);
        }
        let midnight = days_from_civil(year, month, day) * DAY_MS;
        if bytes.len() == DATE_LEN {
            return Ok(Self(midnight));
        }
        let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
        expect(10, b'T')?;
        expect(13, b':')?;
        expect(16, b':')?;
        let (millis, end) = match bytes.get(19) {
            Some(b'.') => {
                let len = bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let used = len.min(3);
                if len == 0 || len > 9 {
                    return Err(TimestampError);
                }
                (number(20, used)? * [0, 100, 10, 1][used], 20 + len)
            }
            _ => (0, 19),
        };
        if hour > 23 || minute > 59 || second > 59 {
            return Err(TimestampError);
        }
        let local = midnight + hour * 3_600_000 + minute * 60_000 + second * 1000 + millis;
        let sign = match bytes.get(end..) {
            Some(b"Z") => return Ok(Self(local)),
            // `+02:00`: the clocks there show two hours more.
            Some([sign @ (b'+' | b'-'), _, _, b':', _, _]) => *sign,
            _ => return Err(TimestampError),
        };
        let (hours, minutes) = (number(end + 1, 2)?, number(end + 4, 2)?);
        let offset = hours * 3_600_000 + minutes * 60_000;
        let utc = if sign == b'+' { local.checked_sub(offset) } else { Some(local + offset) };
        match utc {
            Some(utc) if hours < 24 && minutes < 60 && utc <= LAST_MS => Ok(Self(utc)),
            _ => Err(TimestampError),
        }
    }

    /// The 24 bytes of the ISO text.
    fn text(self) -> [u8; 24] {
        let ms = self.0.min(LAST_MS);
        let (year, month, day) = civil_from_days(ms / DAY_MS);
        let of_day = ms % DAY_MS;
        let mut out = *b"0000-00-00T00:00:00.000Z";
        let mut put = |at: usize, len: usize, mut value: u64| {
            for place in (at..at + len).rev() {
                out[place] = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, of_day / 3_600_000);
        put(14, 2, of_day / 60_000 % 60);
        put(17, 2, of_day / 1000 % 60);
        put(20, 3, of_day % 1000);
        out
    }
}

/// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`, for years from 1970).
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// A begin or an end of a range, as it was written: a date's day begins at midnight of a zone, which the reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrTime {
    /// A date, by its midnight in UTC.
    Date(Timestamp),
    /// A full time.
    Time(Timestamp),
}

impl DateOrTime {
    /// Parses a full time or a date.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let at = Timestamp::parse(text)?;
        Ok(if text.len() == DATE_LEN { Self::Date(at) } else { Self::Time(at) })
    }

    /// Where a range that begins so begins, with days of UTC.
    pub const fn begin(self) -> Timestamp {
        match self {
            Self::Date(at) | Self::Time(at) => at,
        }
    }

    /// The last millisecond of a range that ends so, with days of UTC: a date means all of its day.
    pub const fn end(self) -> Timestamp {
        match self {
            Self::Date(Timestamp(at_ms)) => Timestamp(at_ms + DAY_MS - 1),
            Self::Time(at) => at,
        }
    }
}

impl Serialize for DateOrTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.begin().text();
        let len = if matches!(self, Self::Date(_)) { DATE_LEN } else { text.len() };
        serializer.serialize_str(std::str::from_utf8(&text[..len]).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for DateOrTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_404_378_042, "2026-11-23T03:26:18.042Z"),
            (LAST_MS, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp(ms).to_string(), text);
            assert_eq!(Timestamp::parse(text), Ok(Timestamp(ms)));
        }
        assert_eq!(Timestamp::parse("2024-01-01"), Ok(Timestamp(1_704_067_200_000)));
        assert_eq!(Timestamp::parse("2024-01-01T00:00:01Z"), Ok(Timestamp(1_704_067_201_000)));
        assert_eq!(Timestamp::parse("2024-01-01T00:00:01.5+00:00"), Ok(Timestamp(1_704_067_201_500)));
        assert_eq!(Timestamp::parse("2024-01-01T02:00:01+02:00"), Ok(Timestamp(1_704_067_201_000)));
        assert_eq!(Timestamp::parse("2023-12-31T18:30:01.25-05:30"), Ok(Timestamp(1_704_067_201_250)));
    }

    #[test]
    fn a_date_is_all_of_its_day_and_stays_a_date() {
        let date = DateOrTime::parse("2024-01-01").unwrap();
        assert_eq!((date.begin(), date.end()), (Timestamp(1_704_067_200_000), Timestamp(1_704_153_599_999)));
        assert_eq!(serde_json::to_string(&date).unwrap(), "\"2024-01-01\"");
        let time = DateOrTime::parse("2024-01-01T02:00:01+02:00").unwrap();
        assert_eq!((time.begin(), time.end()), (Timestamp(1_704_067_201_000), Timestamp(1_704_067_201_000)));
        assert_eq!(serde_json::to_string(&time).unwrap(), "\"2024-01-01T00:00:01.000Z\"");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2023-02-29",
            "2024-13-01",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "1969-12-31",
            "2024-1-1",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00+02:60",
            "2024-01-01T00:00:00+0200",
            "2024-01-01T00:00:00 02:00",
            "1970-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "٢٠٢٤-01-01",
        ] {
            assert_eq!(Timestamp::parse(text), Err(TimestampError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_back(ms in 0..=LAST_MS) {
            prop_assert_eq!(Timestamp::parse(&Timestamp(ms).to_string()), Ok(Timestamp(ms)));
        }

        #[test]
        fn any_text_is_safe(text in ".{0,40}") {
            let _ = Timestamp::parse(&text);
        }
    }
}
