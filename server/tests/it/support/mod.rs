//! What the tests share: a server in this process, clients of it, and a plain HTTP client.

mod backend;
mod bystander;
mod cli;
mod client;
mod dir;
mod http;
pub(crate) mod keys;
mod postgres;
mod process;
mod raw;
mod schema;
mod scrape;
mod server;
pub(crate) mod supabase;

use std::future::Future;
use std::time::Duration;

pub(crate) use backend::{Asked, Backend, WEBHOOK_SECRET};
pub(crate) use bystander::Bystander;
pub(crate) use cli::{Ended, Running, run_at, run_with};
pub(crate) use client::{Client, Connecting, Refused};
pub(crate) use dir::TempDir;
pub(crate) use http::{Answer, request, send};
pub(crate) use postgres::Postgres;
pub(crate) use process::{Served, durable, durable_without_signal, osbackend};
pub(crate) use raw::{RawSocket, opcode};
pub(crate) use schema::mismatches;
pub(crate) use scrape::Scrape;
pub(crate) use server::{SECRET, TestServer, admin_token, token, user_token};

/// Fails the test where something that must happen does not; never what a passing test waits for.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(20), future).await {
        Ok(value) => value,
        Err(_) => panic!("waited 20 s for {what}"),
    }
}
