//! Who is connecting: tokens checked into an [`Identity`], where tokens come from, which origins may connect, backends' keys.
//!
//! Tokens and keys never appear in a log, a `Debug` output or an error message.

use std::sync::Arc;

use osbackend_protocol::Identity;

use crate::hub::presence::Info;

pub mod api_key;
mod authenticator;
mod claims;
mod doors;
mod error;
pub mod extract;
mod fetch;
mod jwks;
pub mod mint;
mod moment;
pub mod origin;
mod remote;
pub mod resume;
pub mod resume_key;
mod signature;

pub use authenticator::{Authenticator, SetupError};
pub use error::AuthError;
pub use fetch::HttpSetupError;
pub use moment::Moment;

/// Difference between this machine's clock and the issuer's that is forgiven for `exp` and `nbf`, in seconds.
pub const LEEWAY_SECONDS: u64 = 5;

/// Longest token that is looked at, in bytes; a request head could hardly carry more.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What a valid token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The user.
    pub identity: Identity,
    /// The token's `exp`, in milliseconds since 1970.
    pub expires_at_ms: u64,
    /// What others may see of the user. Apart from the identity: nothing is decided by it.
    pub info: Option<Arc<Info>>,
}

#[cfg(test)]
mod tests;
