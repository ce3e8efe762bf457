//! What the server tells whoever runs it: log lines, and metrics in the form of Prometheus.

pub mod counter;
pub mod http;
mod logs;
pub mod meters;
mod prometheus;
mod seldom;

pub use logs::{TelemetryError, init};
pub use prometheus::Exposition;
pub use seldom::{LeftOut, Seldom};
