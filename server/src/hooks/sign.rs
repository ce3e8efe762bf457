//! Signatures of webhook requests: HMAC-SHA256 over the time and the body, made here and checked by backends in Rust.

use aws_lc_rs::hmac;
use std::time::{SystemTime, UNIX_EPOCH};

/// Header with the seconds since 1970 at which the request was signed.
pub const TIMESTAMP_HEADER: &str = "x-osbackend-timestamp";
/// Header with `v1=` and the signature in hexadecimal.
pub const SIGNATURE_HEADER: &str = "x-osbackend-signature";
/// Header with the event's name.
pub const EVENT_HEADER: &str = "x-osbackend-event";
/// Header with the id that all attempts to deliver the same thing share.
pub const DELIVERY_HEADER: &str = "x-osbackend-delivery";

/// How old or new a signature may be, in seconds: a request that was recorded can't be sent again later.
pub const TOLERANCE_SECONDS: u64 = 300;

/// Why a request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The time's header is no number.
    #[error("X-Osbackend-Timestamp must be a whole number of seconds since 1970")]
    Timestamp,
    /// Signed too long ago, or by a clock that is ahead.
    #[error("the request was signed more than 5 minutes ago or ahead: it may be a replay, or a clock is wrong")]
    TooOld,
    /// No signature of the request matches.
    #[error("the signature does not match: check that WEBHOOK_SECRET is the same here and that the body is the one received")]
    Signature,
}

/// Signs requests.
pub(super) struct Signer(hmac::Key);

impl Signer {
    pub(super) fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// The value of the signature's header.
    pub(super) fn sign(&self, timestamp: &str, body: &[u8]) -> String {
        let mut text = String::from("v1=");
        for byte in tag(&self.0, timestamp, body).as_ref() {
            text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')));
        }
        text
    }
}

fn tag(key: &hmac::Key, timestamp: &str, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(timestamp.as_bytes());
    context.update(b".");
    context.update(body);
    context.sign()
}

/// Checks a webhook request in a backend (docs/PROTOCOL.md, "Webhooks"): `timestamp` and `signature` are the values of the
/// headers `X-Osbackend-Timestamp` and `X-Osbackend-Signature`, `body` the bytes as they came.
///
/// ```
/// use osbackend_server::hooks::{VerifyError, verify};
/// assert_eq!(verify("the secret", "1700000000", b"{}", "v1=00"), Err(VerifyError::TooOld));
/// ```
///
/// # Errors
/// The request was not signed with `secret`, was changed, or is older than [`TOLERANCE_SECONDS`].
pub fn verify(secret: &str, timestamp: &str, body: &[u8], signature: &str) -> Result<(), VerifyError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    verify_at(secret, timestamp, body, signature, now)
}

/// As [`verify`], at `now_seconds` since 1970.
///
/// # Errors
/// See [`verify`].
pub fn verify_at(secret: &str, timestamp: &str, body: &[u8], signature: &str, now_seconds: u64) -> Result<(), VerifyError> {
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let at: u64 = timestamp.parse().ok().filter(|_| digits).ok_or(VerifyError::Timestamp)?;
    if at.abs_diff(now_seconds) > TOLERANCE_SECONDS {
        return Err(VerifyError::TooOld);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [timestamp.as_bytes(), b".", body].concat();
    // Several while a secret is changed, and other versions some day: any that is known and right counts.
    let is_right = |part: &str| {
        let tag = part.trim().strip_prefix("v1=").and_then(from_hex);
        tag.is_some_and(|tag| hmac::verify(&key, &signed, &tag).is_ok())
    };
    if signature.split(',').any(is_right) { Ok(()) } else { Err(VerifyError::Signature) }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'shared secret'`.
    const KNOWN: &str = "v1=ef3c5a7b2ee24fe416b7626aedf9afb24809423fcbec0bc4aae3d9043f72f7d7";

    #[test]
    fn the_signature_is_that_of_other_implementations() {
        let body = br#"{"a":1}"#;
        assert_eq!(Signer::new("shared secret").sign("1700000000", body), KNOWN);
        assert_eq!(verify_at("shared secret", "1700000000", body, KNOWN, 1_700_000_299), Ok(()));
    }

    #[test]
    fn what_was_changed_or_recorded_is_refused() {
        let body = br#"{"a":1}"#;
        let check = |secret, time, body: &[u8], signature: &str, now| verify_at(secret, time, body, signature, now);
        let now = 1_700_000_000;
        assert_eq!(check("another secret", "1700000000", body, KNOWN, now), Err(VerifyError::Signature));
        assert_eq!(check("shared secret", "1700000000", br#"{"a":2}"#, KNOWN, now), Err(VerifyError::Signature));
        assert_eq!(check("shared secret", "1700000001", body, KNOWN, now), Err(VerifyError::Signature));
        assert_eq!(check("shared secret", "1700000000", body, KNOWN, now + 301), Err(VerifyError::TooOld));
        assert_eq!(check("shared secret", "1700000000", body, KNOWN, now - 301), Err(VerifyError::TooOld));
        assert_eq!(check("shared secret", "+1700000000", body, KNOWN, now), Err(VerifyError::Timestamp));
        for signature in ["", "v1=", "v0=ab", &KNOWN[..KNOWN.len() - 2], &KNOWN.replace("v1=", "")] {
            assert_eq!(check("shared secret", "1700000000", body, signature, now), Err(VerifyError::Signature), "{signature}");
        }
        let both = format!("v1=00, {KNOWN}");
        assert_eq!(check("shared secret", "1700000000", body, &both, now), Ok(()), "while a secret is changed");
    }
}
