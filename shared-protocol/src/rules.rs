//! What the fields of domain events (§4) have to be beyond their types. The server refuses by these rules, and the SDK's
//! checker is generated from them.

use crate::{
    limits::MAX_INTEGER,
    room::{MAX_ID_BYTES, RoomName},
};

/// A field's rule, with the value that it has in this event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule<'a> {
    /// 1 to [`MAX_ID_BYTES`] bytes, where it is there.
    Name(Option<&'a str>),
    /// A name which, percent-encoded, is the id of a room.
    RoomId {
        /// The room's prefix.
        prefix: &'static str,
        /// The value.
        id: &'a str,
    },
    /// A number within these bounds, both included.
    Range {
        /// The value.
        value: f64,
        /// The least.
        from: u32,
        /// The most.
        to: u32,
    },
    /// A whole number from 0 that JavaScript holds exactly.
    Integer(u64),
}

impl Rule<'_> {
    /// What is wrong with the value.
    pub(crate) fn check(self) -> Result<(), String> {
        match self {
            Self::Name(None) => Ok(()),
            Self::Name(Some("")) => Err("must not be empty".to_owned()),
            Self::Name(Some(text)) if text.len() > MAX_ID_BYTES => Err(format!("must not be longer than {MAX_ID_BYTES} bytes")),
            Self::Name(Some(_)) => Ok(()),
            Self::RoomId { prefix, id } => {
                Self::Name(Some(id)).check()?;
                RoomName::with_id(prefix, id).map(|_| ()).map_err(|_| "is too long for a room once percent-encoded".to_owned())
            }
            Self::Range { value, from, to } if (f64::from(from)..=f64::from(to)).contains(&value) => Ok(()),
            Self::Range { from, to, .. } => Err(format!("must be from {from} to {to}")),
            Self::Integer(value) if value <= MAX_INTEGER => Ok(()),
            Self::Integer(_) => Err("must be below 2^53".to_owned()),
        }
    }
}
