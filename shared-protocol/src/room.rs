//! Room names (§5): `prefix:id`, checked once at the edge and then carried as a type.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, sync::Arc};

/// Longest room name, in bytes (§1).
pub const MAX_ROOM_BYTES: usize = 160;
/// Longest prefix, in bytes (§5).
pub const MAX_PREFIX_BYTES: usize = 32;
/// Longest id, in bytes (§5).
pub const MAX_ID_BYTES: usize = 128;

/// A well-formed room name; cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Arc<str>);

/// Why a text is not a room name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomNameError {
    /// Over [`MAX_ROOM_BYTES`].
    #[error("room name is longer than 160 bytes")]
    TooLong,
    /// No colon, or more than one.
    #[error("room name must be `prefix:id` with exactly one colon, such as agent:7")]
    Shape,
    /// Not `[a-z][a-z0-9_-]{0,31}`.
    #[error("room prefix must be 1 to 32 of a-z, 0-9, `_` and `-`, beginning with a letter")]
    Prefix,
    /// Not 1 to 128 of the allowed characters.
    #[error("room id must be 1 to 128 of ASCII letters, digits and -_.@|+=~% (percent-encode others)")]
    Id,
}

impl RoomName {
    /// Checks `text` against §5.
    pub fn parse(text: &str) -> Result<Self, RoomNameError> {
        if text.len() > MAX_ROOM_BYTES {
            return Err(RoomNameError::TooLong);
        }
        let (prefix, id) = text.split_once(':').ok_or(RoomNameError::Shape)?;
        if id.contains(':') {
            return Err(RoomNameError::Shape);
        }
        let prefix_ok = prefix.len() <= MAX_PREFIX_BYTES
            && prefix.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
            && prefix.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if !prefix_ok {
            return Err(RoomNameError::Prefix);
        }
        if id.is_empty() || id.len() > MAX_ID_BYTES || !id.bytes().all(is_id_byte) {
            return Err(RoomNameError::Id);
        }
        Ok(Self(text.into()))
    }

    /// `prefix:{raw}`, with the characters of `raw` that §5 doesn't allow percent-encoded (`%` too, so that two
    /// different ids never meet in one room).
    pub fn with_id(prefix: &str, raw: &str) -> Result<Self, RoomNameError> {
        let text = [prefix, ":", &encode_id(raw)].concat();
        Self::parse(&text)
    }

    /// `user:{sub}`: the room that the server joins for an authenticated user.
    pub fn of_user(sub: &str) -> Result<Self, RoomNameError> {
        Self::with_id("user", sub)
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the colon.
    pub fn prefix(&self) -> &str {
        self.0.split_once(':').map_or("", |(prefix, _)| prefix)
    }

    /// What stands behind the colon.
    pub fn id(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, id)| id)
    }
}

/// `raw` with what an id can't hold, and `%`, percent-encoded.
pub(crate) fn encode_id(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        if is_id_byte(byte) && byte != b'%' {
            text.push(char::from(byte));
        } else {
            text.push('%');
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
            }
        }
    }
    text
}

/// What [`encode_id`] leaves as it is.
#[cfg(feature = "ts")]
pub(crate) fn plain_id_bytes() -> impl Iterator<Item = u8> {
    (0..128).filter(|byte| is_id_byte(*byte) && *byte != b'%')
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.@|+=~%".contains(&byte)
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for RoomName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for RoomName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for RoomName {
    type Err = RoomNameError;
    fn from_str(text: &str) -> Result<Self, RoomNameError> {
        Self::parse(text)
    }
}

impl Serialize for RoomName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RoomName {
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
    fn good_names() {
        for name in ["dashboard:overview", "agent:7", "user:auth0|abc+d@e.f~g=%20", "a:b", "a_b-9:Z"] {
            assert_eq!(RoomName::parse(name).map(|room| room.as_str().to_owned()), Ok(name.to_owned()));
        }
        let longest = format!("{}:{}", "a".repeat(31), "b".repeat(128));
        assert_eq!(longest.len(), MAX_ROOM_BYTES);
        assert!(RoomName::parse(&longest).is_ok());
    }

    #[test]
    fn bad_names() {
        use RoomNameError::{Id, Prefix, Shape, TooLong};
        let long_prefix = format!("{}:b", "a".repeat(33));
        let long_id = format!("a:{}", "b".repeat(129));
        let too_long = format!("{}:{}", "a".repeat(32), "b".repeat(128));
        for (name, error) in [
            ("", Shape),
            ("agent", Shape),
            ("a:b:c", Shape),
            (":b", Prefix),
            ("A:b", Prefix),
            ("9a:b", Prefix),
            ("a b:c", Prefix),
            (long_prefix.as_str(), Prefix),
            ("a:", Id),
            ("a:b c", Id),
            ("a:../x", Id),
            ("a:b\n", Id),
            ("a:\u{e9}", Id),
            ("a:b/c", Id),
            ("a:*", Id),
            ("a:\0", Id),
            (long_id.as_str(), Id),
            (too_long.as_str(), TooLong),
        ] {
            assert_eq!(RoomName::parse(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn a_sub_is_encoded_without_collisions() {
        let room = |sub: &str| RoomName::of_user(sub).map(|room| room.to_string());
        assert_eq!(room("demo-user"), Ok("user:demo-user".into()));
        assert_eq!(room("a b:c"), Ok("user:a%20b%3Ac".into()));
        assert_eq!(room("a%20b"), Ok("user:a%2520b".into()));
        assert_eq!(room("\u{fc}"), Ok("user:%C3%BC".into()));
        assert_eq!(room(""), Err(RoomNameError::Id));
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in ".{0,200}") {
            if let Ok(room) = RoomName::parse(&text) {
                prop_assert_eq!(format!("{}:{}", room.prefix(), room.id()), text);
            }
        }
    }
}
