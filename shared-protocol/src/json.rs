//! A JSON object kept as the text it arrived in: no precision is lost and it is encoded again for free.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;

/// A JSON object, verbatim. `§2`: `data` and `payload` are always objects.
#[derive(Clone, Debug)]
pub struct JsonObject(Box<RawValue>);

impl JsonObject {
    /// The empty object.
    pub fn empty() -> Self {
        Self::from_serialize(&serde_json::Map::new()).unwrap_or_else(|_| unreachable!("an empty map is an object"))
    }

    /// Takes `text` when it is one JSON object, else an error that says what it is.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Serializes `value`, which must become a JSON object.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        let raw = serde_json::value::to_raw_value(value)?;
        if raw.get().starts_with('{') { Ok(Self(raw)) } else { Err(serde_json::Error::custom("expected a JSON object")) }
    }

    /// The object's text.
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

/// `{}`, as a payload that was left out.
impl Default for JsonObject {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        // RawValue has no leading white space.
        if raw.get().starts_with('{') {
            Ok(Self(raw))
        } else {
            Err(D::Error::custom(format_args!("expected a JSON object, found {}", kind_of(raw.get()))))
        }
    }
}

/// What a JSON text is, for error messages.
fn kind_of(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
