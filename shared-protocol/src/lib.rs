//! The wire contract of osbackend realtime, version 1 (`docs/PROTOCOL.md`).
//!
//! Every message, room name, code, limit and permission rule is defined here once. The server, the browser SDK
//! and every Rust client use these types; TypeScript's are generated from them (feature `ts`).
//!
//! This crate knows nothing of sockets, clocks, threads or browsers, and compiles to `wasm32-unknown-unknown`.

pub mod client_msg;
pub mod codec;
pub mod codes;
pub mod event;
pub mod json;
pub mod limits;
pub mod metrics;
pub mod permission;
pub mod room;
mod rules;
pub mod schema;
pub mod server_msg;
pub mod timestamp;
#[cfg(feature = "ts")]
pub mod ts;
#[cfg(feature = "ts")]
pub mod ts_events;
#[cfg(feature = "ts")]
pub mod ts_verdicts;

pub use client_msg::{ClientFrame, ClientMessage, RequestId, RoomPosition};
pub use codec::{DecodeError, decode_client, decode_server, encode_batch, encode_client, encode_server};
pub use codes::{CloseCode, ErrorCode, Reconnect};
pub use event::{Classified, DeliveryClass, DomainEvent, EventError};
pub use json::JsonObject;
pub use limits::Limits;
pub use permission::{Action, Denied, EvaluatedPolicy, Identity, Policy, allowed};
pub use room::{RoomName, RoomNameError};
pub use server_msg::{
    Authenticated, ErrorBody, EventFrame, Greeting, PresenceUser, Published, RoomJoined, RoomResult, ServerFrame, ServerMessage,
    SystemFrame,
};
pub use timestamp::Timestamp;

/// The protocol version that `connect` carries (§3).
pub const PROTOCOL_VERSION: u32 = 1;

/// The WebSocket subprotocol in which the client speaks first (§1).
pub const SUBPROTOCOL: &str = "osbackend.v1";

/// Fields of messages (§3, §4) that are secret, by name at any depth: tokens of users and of resumed sessions. Who shows or
/// records frames leaves their values out. Fields of events' data are the application's, and not meant.
pub const SECRET_FIELDS: &[&str] = &["token"];
