//! Parsers of setting values: text in, a typed value or `None` out. Knows nothing of which setting it is for.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::{ApiKey, Secret};
use crate::auth::origin::OriginPattern;

/// `true` or `false`, and the other spellings that people use in environments.
pub(super) fn flag(value: &str) -> Option<bool> {
    choice(
        value,
        &[
            ("true", true),
            ("false", false),
            ("1", true),
            ("0", false),
            ("yes", true),
            ("no", false),
            ("on", true),
            ("off", false),
        ],
    )
}

/// One of a few words, whatever their case.
pub(super) fn choice<T: Copy>(value: &str, choices: &[(&str, T)]) -> Option<T> {
    choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(value)).map(|(_, chosen)| *chosen)
}

/// A whole number of the field's type.
pub(super) fn number<T: FromStr>(value: &str) -> Option<T> {
    value.parse().ok()
}

/// A whole number; 0 is "no limit". The outer `Option` is about the text, the inner one about the limit.
pub(super) fn limit<T: FromStr + Default + PartialEq>(value: &str) -> Option<Option<T>> {
    let number: T = value.parse().ok()?;
    Some((number != T::default()).then_some(number))
}

/// As [`limit`], or `auto`: what the process's limit of open files leaves room for.
pub(super) fn connections(value: &str) -> Option<Option<usize>> {
    if value.eq_ignore_ascii_case("auto") { Some(Some(crate::limits::files::connections())) } else { limit(value) }
}

/// As [`limit`], but a limit below `least` would make the server useless and is refused.
pub(super) fn limit_from(value: &str, least: usize) -> Option<Option<usize>> {
    limit(value)?.map_or(Some(None), |number| (number >= least).then_some(Some(number)))
}

/// A time; 0 is "no limit".
pub(super) fn duration(value: &str) -> Option<Option<Duration>> {
    let time = pause(value)?;
    Some((!time.is_zero()).then_some(time))
}

/// A time of no less than `least_ms` milliseconds, or no limit.
pub(super) fn at_least(time: Option<Duration>, least_ms: u64) -> Option<Option<Duration>> {
    match time {
        Some(time) if time < Duration::from_millis(least_ms) => None,
        time => Some(time),
    }
}

/// A time as `500ms`, `25s`, `5m`, `1h`, `2d`, or `0`. A number without a unit is refused: nobody knows which was meant.
pub(crate) fn pause(value: &str) -> Option<Duration> {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit_ms = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if number == 0 => 0,
        _ => return None,
    };
    // Ten years are more than anything here needs; far beyond them arithmetic on deadlines could overflow.
    number.checked_mul(unit_ms).filter(|ms| *ms <= 3660 * 86_400_000).map(Duration::from_millis)
}

/// An IP address; `localhost` is 127.0.0.1.
pub(super) fn host(value: &str) -> Option<IpAddr> {
    if value.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    value.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Any text but an empty one.
pub(super) fn any_text(value: &str) -> Option<&str> {
    (!value.is_empty()).then_some(value)
}

/// Any text, for a setting that may be unset.
pub(super) fn some_text(value: &str) -> Option<Option<String>> {
    any_text(value).map(|value| Some(value.to_owned()))
}

/// As [`some_text`], never shown.
pub(super) fn some_secret(value: &str) -> Option<Option<Secret>> {
    any_text(value).map(|value| Some(Secret::from(value)))
}

/// A path, for a setting that may be unset.
pub(super) fn some_path(value: &str) -> Option<Option<PathBuf>> {
    any_text(value).map(|value| Some(value.into()))
}

/// Origins with commas between.
pub(super) fn origins(value: &str) -> Option<Vec<String>> {
    let one = |one: &str| match one.trim().trim_end_matches('/').to_ascii_lowercase() {
        // A local page's origin is nothing but slashes behind the colon.
        file if file == "file:" => "file://".to_owned(),
        other => other,
    };
    let list: Vec<String> = value.split(',').map(one).filter(|one| !one.is_empty()).collect();
    (!list.is_empty() && list.iter().all(|one| OriginPattern::parse(one).is_some())).then_some(list)
}

/// A number of a port that is off unless it is set.
pub(super) fn optional_port(value: &str) -> Option<Option<u16>> {
    number(value).map(Some)
}

/// An address with one of these schemes, without a slash at its end.
pub(super) fn address(value: &str, schemes: &[&str]) -> Option<String> {
    let value = value.trim_end_matches('/');
    let (scheme, rest) = value.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let fine = schemes.contains(&scheme) && !host.is_empty() && !value.contains(char::is_whitespace) && !host.contains('@');
    fine.then(|| value.to_owned())
}

/// IP addresses or networks with commas between.
pub(super) fn networks(value: &str) -> Option<Vec<IpNet>> {
    let network = |one: &str| one.parse().ok().or_else(|| one.parse::<IpAddr>().ok().map(IpNet::from));
    value.split(',').map(str::trim).filter(|one| !one.is_empty()).map(network).collect()
}

/// `name:sha256` pairs with commas between, the hash as 64 hexadecimal digits.
pub(super) fn api_keys(value: &str) -> Option<Vec<ApiKey>> {
    let key = |one: &str| {
        let (name, hash) = one.split_once(':')?;
        let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        Some(ApiKey { name: named.then(|| name.to_owned())?, sha256: sha256(hash)? })
    };
    value.split(',').map(str::trim).filter(|one| !one.is_empty()).map(key).collect()
}

fn sha256(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, place) in hash.iter_mut().zip(0..) {
        *byte = u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(hash)
}

/// Some of a few words with commas between.
pub(super) fn words<T: Copy>(value: &str, choices: &[(&str, T)]) -> Option<Vec<T>> {
    value.split(',').map(str::trim).filter(|one| !one.is_empty()).map(|one| choice(one, choices)).collect()
}

/// A filter that `tracing-subscriber` accepts.
pub(super) fn log_filter(value: &str) -> Option<String> {
    tracing_subscriber::EnvFilter::builder().parse(value).ok()?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_every_unit_and_nothing_else() {
        let of = |text| pause(text).map(|time| time.as_millis());
        assert_eq!(
            [of("500ms"), of("25s"), of("5m"), of("1h"), of("2d"), of("0"), of("0s"), of("3 s")],
            [Some(500), Some(25_000), Some(300_000), Some(3_600_000), Some(172_800_000), Some(0), Some(0), Some(3_000)]
        );
        for bad in ["", "s", "25", "-1s", "1.5s", "1w", "5m30s", "99999999999999999999s", "4000d"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn limits_are_numbers_and_zero_lifts() {
        assert_eq!((limit::<usize>("7"), limit::<usize>("0"), limit::<usize>("many")), (Some(Some(7)), Some(None), None));
        assert_eq!(
            (limit_from("1024", 1024), limit_from("0", 1024), limit_from("1023", 1024)),
            (Some(Some(1024)), Some(None), None)
        );
    }

    #[test]
    fn hosts_are_addresses() {
        assert_eq!(host("localhost"), host("127.0.0.1"));
        assert!(host("[::1]").is_some_and(|ip| ip.is_loopback()));
        assert_eq!(host("example.com"), None);
    }

    #[test]
    fn origins_are_listed_without_a_trailing_slash() {
        assert_eq!(origins("https://A.example/, http://localhost:5173").unwrap(), ["https://a.example", "http://localhost:5173"]);
        assert_eq!(origins("file:///,NULL,file://").unwrap(), ["file://", "null", "file://"]);
        for bad in ["", ",", "a.example", "https://", "https://a.example/path"] {
            assert_eq!(origins(bad), None, "{bad:?}");
        }
    }
}
