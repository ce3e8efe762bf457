//! What one client, one address or all of them may take, each kind of bound in a file of its own. No clock: `now` is an input.

pub mod address;
mod admission;
pub mod files;
mod gcra;
mod http;
mod keyed;
mod turns;

pub use admission::{Admission, CONNECT_PATIENCE_MS, FULL_RETRY_MS, NotAdmitted, Place, Seated};
pub use gcra::{Gcra, Overdrawn, Quota};
pub use http::{HttpConnection, HttpConnections, HttpPlace, Phase, TooMany};
pub use keyed::Keyed;
pub use turns::{Asked, Ticket, TooFast, Turns};
