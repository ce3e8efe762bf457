//! A backend that is asked and told by HTTP (docs/PROTOCOL.md, "Webhooks"), against one that the tests answer themselves.

mod document;
mod failures;
mod notifications;
mod questions;
mod rules;
mod signature;
