//! Echoes text and binary over the same socket code as the server: for WebSocket conformance suites.
//!
//! `cargo run -p osbackend-server --example echo -- --port 9001 --max-message-bytes 16777216`

use axum::{Router, body::Bytes, extract::State, response::Response, routing::any};
use clap::Parser;
use osbackend_server::{
    clock::Clock,
    gateway::{
        socket::{self, Handler},
        upgrade::{Bounds, Upgrade},
    },
    hub::outbox::{Item, Outbox},
    session::Traffic,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    task::Context,
};

/// Largest message that may be asked for: 16 MiB.
const MOST_BYTES: u32 = 16 * 1024 * 1024;

#[derive(Parser)]
struct Args {
    /// Port to listen on, on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 9001)]
    port: u16,
    /// Largest message, in bytes; the protocol's own limit is 65536.
    #[arg(long, default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_BYTES)))]
    max_message_bytes: u32,
}

struct Echo {
    outbox: Arc<Outbox>,
}

impl Handler for Echo {
    fn outbox(&self) -> Arc<Outbox> {
        self.outbox.clone()
    }

    fn on_text(&mut self, text: &str, _now_ms: u64) {
        self.outbox.push(Item::Text(text.to_owned().into()));
    }

    fn on_binary(&mut self, data: Bytes, _now_ms: u64) {
        self.outbox.push(Item::Binary(data));
    }

    fn on_traffic(&mut self, _traffic: Traffic, _now_ms: u64) {}

    fn on_sent(&mut self, _now_ms: u64) {}

    fn on_timer(&mut self, _now_ms: u64) {}

    fn next_deadline(&self) -> Option<u64> {
        None
    }

    fn batch(&self) -> bool {
        false
    }

    fn poll_work(&mut self, _cx: &mut Context<'_>, _now_ms: u64) -> bool {
        // A peer that sends and doesn't read is not read from until it does: nothing is echoed into a full queue.
        self.outbox.bytes() > 0
    }

    fn on_gone(&mut self, _now_ms: u64) {
        self.outbox.abandon();
    }
}

async fn upgrade(State(max_message_bytes): State<usize>, socket: Upgrade) -> Response {
    let bounds = Bounds { max_message_bytes, message_timeout: None };
    socket.on_upgrade(bounds, move |mut socket| async move {
        let mut echo = Echo { outbox: Arc::new(Outbox::new(2 * max_message_bytes + 1024)) };
        socket::serve(&mut socket, &mut echo, &Clock::start(), bounds).await;
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let app = Router::new().fallback(any(upgrade)).with_state(usize::try_from(args.max_message_bytes)?);
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port))).await?;
    println!("echo: ws://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
