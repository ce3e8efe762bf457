//! A client of osbackend realtime for programs: tokio, reconnecting, rooms with positions, requests with replies.
//!
//! What it does and when is decided by [`osbackend_client_core::Machine`], which browsers run too; this crate gives it a
//! socket (`ws://`, or `wss://` by rustls), a timer and a task. What happens is read from [`Incoming`], what is wanted is
//! said to [`Client`], which is cheap to clone.
//!
//! ```
//! use osbackend_client::{Client, Notice};
//! # use osbackend_server::{Realtime, auth::mint::Token};
//! # use serde_json::json;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = "the secret of an example, longer than 32 bytes";
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = format!("ws://{}/ws", listener.local_addr()?);
//! # let router = Realtime::builder().jwt_secret(secret).build()?.router();
//! # tokio::spawn(async move { axum::serve(listener, router).await });
//! # let token = Token::for_user("ada").role("admin").sign(&secret.into())?;
//! let (client, mut incoming) = Client::builder(&url).token(token).start()?;
//! client.join("agent:7").await?;
//! let published = client.publish("agent:7", "note", &json!({"text": "hello"})).await?;
//! assert_eq!(published["room"], "agent:7");
//!
//! while let Some(notice) = incoming.next().await {
//!     if let Notice::Event(event) = notice {
//!         assert_eq!((event.kind.as_str(), event.data.get()), ("note", r#"{"text":"hello"}"#));
//!         break;
//!     }
//! }
//! client.close().await; // says 1000 and waits for the server's answer
//! # Ok(())
//! # }
//! ```
//!
//! **Backpressure.** [`Incoming`] holds a bounded number of notices. Who reads slowly chooses with [`WhenFull`] what
//! happens then: the socket isn't read any more (the server conflates what can be, and closes 4002 past its bound; the
//! client recovers by position), or events are dropped and counted. An answer to a request comes by the same socket: with
//! [`WhenFull::Wait`], whoever awaits one has to have somebody read [`Incoming`] meanwhile, or leave room in it.

mod builder;
mod client;
mod error;
mod incoming;
mod socket;
mod task;

pub use builder::{Builder, WhenFull};
pub use client::{Client, PublishOptions};
pub use error::{Ended, RequestError, StartError};
pub use incoming::{Event, Incoming, Notice};
pub use osbackend_client_core::{BackoffConfig, ConnectionState, Failure, RoomState, RoomStatus};
