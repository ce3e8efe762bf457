//! The socket loop: one task a connection moves frames between a WebSocket and a [`Handler`], within bounds.
//!
//! It takes the whole queue at once, feeds every message and flushes once (ARCHITECTURE.md, decision 4). While a write is
//! stuck, the handler's deadlines and the queue's bound still hold. The protocol's connections and the echo example
//! share this code.

use super::{
    frames,
    upgrade::{Bounds, Socket},
};
use crate::{
    clock::Clock,
    hub::outbox::{Item, Outbox, Taken},
    session::Traffic,
    telemetry::meters::EndedBy,
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use osbackend_protocol::CloseCode;
use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};
use tungstenite::{
    Error, Message, Utf8Bytes,
    error::ProtocolError,
    protocol::{CloseFrame, frame::coding::CloseCode as WsCloseCode},
};

/// From the decision to end a connection to the drop of its socket, however slowly the peer reads; half of it for what is left to
/// be said, the rest for the close frame and the peer's answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How much is read of a peer that was told the end, while its own close is waited for. One that sends more is cut off.
const AFTER_CLOSE_BYTES: u64 = 256 * 1024;

/// How long a socket that can't be read any more stays open for the peer to read the close frame.
const LINGER: Duration = Duration::from_millis(500);

/// What the socket loop serves.
pub trait Handler: Send {
    /// The queue to write from.
    fn outbox(&self) -> Arc<Outbox>;
    /// A text message came.
    fn on_text(&mut self, text: &str, now_ms: u64);
    /// What of the queue is written, and how.
    fn on_taken(&self, items: Vec<Item>) -> Vec<Item> {
        items
    }
    /// Nothing more is there to be read for now.
    fn on_read(&mut self) {}
    /// A binary message came.
    fn on_binary(&mut self, data: Bytes, now_ms: u64);
    /// Bytes came; told before the message that they end.
    fn on_traffic(&mut self, traffic: Traffic, now_ms: u64);
    /// Messages were written; pings alone don't count.
    fn on_sent(&mut self, now_ms: u64);
    /// A deadline passed.
    fn on_timer(&mut self, now_ms: u64);
    /// When [`Self::on_timer`] is due.
    fn next_deadline(&self) -> Option<u64>;
    /// Whether several messages may share a frame (§7).
    fn batch(&self) -> bool;
    /// Drives what waits; `true` while nothing should be read.
    fn poll_work(&mut self, cx: &mut Context<'_>, now_ms: u64) -> bool;
    /// So many messages of so many bytes are being written.
    fn on_write(&mut self, _messages: usize, _bytes: usize) {}
    /// The end is decided; what is queued is still written.
    fn on_ending(&mut self, _now_ms: u64) {}
    /// The connection ends with this close code, of the server's or the client's; not called where it is just cut.
    fn on_end(&mut self, _by: EndedBy, _code: u16) {}
    /// The socket is gone.
    fn on_gone(&mut self, now_ms: u64);
}

/// Calls [`Handler::on_gone`] however the loop ends, a panic included.
struct Gone<'a, H: Handler> {
    handler: &'a mut H,
    clock: &'a Clock,
}

impl<H: Handler> Drop for Gone<'_, H> {
    fn drop(&mut self) {
        self.handler.on_gone(self.clock.now_ms());
    }
}

/// How the server ends a connection.
struct End {
    code: u16,
    reason: &'static str,
    /// What the queue is closed with.
    close: CloseCode,
    /// Taken from the queue, and not written yet.
    unwritten: VecDeque<Message>,
}

impl End {
    fn after(close: CloseCode, unwritten: VecDeque<Message>) -> Self {
        Self { code: close.code(), reason: close.reason(), close, unwritten }
    }
}

fn end(code: CloseCode) -> End {
    End::after(code, VecDeque::new())
}

/// Serves a socket until it ends.
pub async fn serve<H: Handler>(socket: &mut Socket, handler: &mut H, clock: &Clock, bounds: Bounds) {
    let outbox = handler.outbox();
    let gone = Gone { handler, clock };
    let max_message_bytes = bounds.max_message_bytes;
    let timeout_ms = bounds.message_timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    let mut timer = Timer { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), at_ms: None };
    // Who reads slowly always has something waiting: writing and reading take turns, or it would never be heard.
    let mut read_first = false;
    let end = loop {
        let handler = &mut *gone.handler;
        let event = next_event(socket, handler, &outbox, &mut timer, clock, timeout_ms, read_first).await;
        read_first = matches!(event, Event::Write);
        match event {
            Event::Write => {
                // Who publishes and is written to all the time must not wait for a pause.
                handler.on_read();
                let Taken { items, ending, .. } = outbox.take();
                let items = handler.on_taken(items);
                if ending && let Some(code) = outbox.ending() {
                    break End::after(code, framed(handler, items));
                }
                if !items.is_empty() {
                    let audible = items.iter().any(|item| !matches!(item, Item::Ping));
                    match write(socket, handler, &outbox, &mut timer, clock, items).await {
                        Written::All if audible => handler.on_sent(clock.now_ms()),
                        Written::All => {}
                        Written::Failed => return,
                        Written::Ending(end) => break end,
                    }
                }
            }
            Event::Message(Ok(Message::Text(text))) if text.len() > max_message_bytes => break end(CloseCode::TooBig),
            Event::Message(Ok(Message::Binary(data))) if data.len() > max_message_bytes => break end(CloseCode::TooBig),
            Event::Message(Ok(Message::Text(text))) => handler.on_text(text.as_str(), clock.now_ms()),
            Event::Message(Ok(Message::Binary(data))) => handler.on_binary(data, clock.now_ms()),
            // Its traffic was told. Raw frames are never read.
            Event::Message(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            // tungstenite has queued the answer; reading on sends it.
            Event::Message(Ok(Message::Close(frame))) => {
                // RFC 6455: 1005 is a close frame without a code.
                handler.on_end(EndedBy::Client, frame.map_or(1005, |frame| frame.code.into()));
                return finish(socket).await;
            }
            Event::Message(Err(error)) => match end_after(&error) {
                Some(end) => break end,
                None => return,
            },
            Event::Timer => handler.on_timer(clock.now_ms()),
            // A code after which it may try again: perhaps only the network was slow.
            Event::Unfinished => break end(CloseCode::NoHeartbeat),
            Event::End => return,
        }
    };
    // Boxed: every connection's task would have room for it at all times.
    Box::pin(close(socket, &mut *gone.handler, &outbox, clock, end)).await;
}

/// Ends the connection: what is left to be said, the close frame and the peer's answer, all of it within [`CLOSE_TIMEOUT`].
async fn close<H: Handler>(socket: &mut Socket, handler: &mut H, outbox: &Outbox, clock: &Clock, end: End) {
    let decided_at = Instant::now();
    outbox.close(end.close);
    handler.on_ending(clock.now_ms());
    let mut messages = end.unwritten;
    let rest = async {
        // A queue that was too long is not written; it stays for the log to tell of.
        if end.close == CloseCode::SlowConsumer {
            return Ok::<_, Error>(());
        }
        loop {
            poll_fn(|cx| poll_write(socket, &mut messages, cx)).await?;
            let items = handler.on_taken(outbox.take().items);
            if items.is_empty() {
                return Ok(());
            }
            messages = framed(handler, items);
        }
    };
    let written = tokio::time::timeout_at(decided_at + CLOSE_TIMEOUT / 2, rest).await;
    handler.on_end(EndedBy::Server, end.code);
    if matches!(written, Ok(Err(_))) {
        return;
    }
    let frame = CloseFrame { code: WsCloseCode::from(end.code), reason: Utf8Bytes::from_static(end.reason) };
    let closing = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            finish(socket).await;
        }
    };
    // A peer that reads nothing, or slowly, would hold the task and the place of this connection.
    let _ = tokio::time::timeout_at(decided_at + CLOSE_TIMEOUT, closing).await;
}

/// Reads until the peer has closed too, so that it sees the close frame and not a reset. After a read error nothing more can
/// be read: then the peer is given a moment.
async fn finish(socket: &mut Socket) {
    let rest = async {
        let mut left = AFTER_CLOSE_BYTES;
        loop {
            let next = poll_fn(|cx| {
                // No rate holds any more, so what comes has a budget.
                left = left.saturating_sub(socket.get_mut().take_traffic().bytes);
                if left == 0 {
                    return Poll::Ready(None);
                }
                socket.poll_next_unpin(cx)
            });
            match next.await {
                Some(Ok(_)) => {}
                Some(Err(error)) if end_after(&error).is_some() => return tokio::time::sleep(LINGER).await,
                Some(Err(_)) | None => return,
            }
        }
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, rest).await;
}

enum Event {
    Write,
    Message(Result<Message, Error>),
    Timer,
    /// A message takes too long.
    Unfinished,
    End,
}

/// Waits for the next thing to do: what waits, then the timer, then the queue and the socket, `read_first` the other way round.
async fn next_event<H: Handler>(
    socket: &mut Socket,
    handler: &mut H,
    outbox: &Outbox,
    timer: &mut Timer,
    clock: &Clock,
    message_timeout_ms: Option<u64>,
    read_first: bool,
) -> Event {
    poll_fn(|cx| {
        let now_ms = clock.now_ms();
        let hold = handler.poll_work(cx, now_ms);
        if timer.poll(cx, handler.next_deadline(), clock).is_ready() {
            return Poll::Ready(Event::Timer);
        }
        let reads_first = read_first && !hold;
        if reads_first && let Poll::Ready(event) = read(socket, handler, now_ms, cx) {
            return Poll::Ready(event);
        }
        if outbox.poll_ready(cx).is_ready() {
            return Poll::Ready(Event::Write);
        }
        if !hold
            && !reads_first
            && let Poll::Ready(event) = read(socket, handler, now_ms, cx)
        {
            return Poll::Ready(event);
        }
        // While nothing is read it is not the client that is late.
        if !hold && let (Some(since), Some(timeout_ms)) = (socket.get_ref().unfinished_since(), message_timeout_ms) {
            let late_at = since.saturating_add(timeout_ms);
            if late_at <= now_ms {
                return Poll::Ready(Event::Unfinished);
            }
            let deadline = handler.next_deadline().map_or(late_at, |deadline| deadline.min(late_at));
            if timer.poll(cx, Some(deadline), clock).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        handler.on_read();
        // What that queued for this connection itself woke nobody but this task.
        if outbox.poll_ready(cx).is_ready() { Poll::Ready(Event::Write) } else { Poll::Pending }
    })
    .await
}

/// Reads on, and tells the handler what came for it.
fn read<H: Handler>(socket: &mut Socket, handler: &mut H, now_ms: u64, cx: &mut Context<'_>) -> Poll<Event> {
    socket.get_mut().set_now(now_ms);
    let message = socket.poll_next_unpin(cx);
    let traffic = socket.get_mut().take_traffic();
    if traffic.bytes > 0 {
        handler.on_traffic(traffic, now_ms);
    }
    message.map(|message| message.map_or(Event::End, Event::Message))
}

enum Written {
    All,
    Failed,
    Ending(End),
}

/// The items as WebSocket messages, which are counted as written.
fn framed<H: Handler>(handler: &mut H, items: Vec<Item>) -> VecDeque<Message> {
    let messages = if handler.batch() { frames::batched(items) } else { frames::single(items) };
    handler.on_write(messages.len(), messages.iter().map(length).sum());
    messages
}

/// Writes `items` and flushes once. The peer may read slowly: meanwhile deadlines count, and the queue may go over its bound.
async fn write<H: Handler>(
    socket: &mut Socket,
    handler: &mut H,
    outbox: &Outbox,
    timer: &mut Timer,
    clock: &Clock,
    items: Vec<Item>,
) -> Written {
    let answers = items.iter().any(|item| matches!(item, Item::Text(_) | Item::Binary(_)));
    let mut messages = framed(handler, items);
    poll_fn(|cx| {
        if let Poll::Ready(result) = poll_write(socket, &mut messages, cx) {
            return Poll::Ready(if result.is_ok() { Written::All } else { Written::Failed });
        }
        while timer.poll(cx, handler.next_deadline(), clock).is_ready() {
            handler.on_timer(clock.now_ms());
        }
        outbox.poll_ending(cx).map(|code| {
            // As in the queue: before an end that is not graceful, events are dropped.
            if !answers && code != CloseCode::Restart {
                messages.clear();
            }
            Written::Ending(End::after(code, std::mem::take(&mut messages)))
        })
    })
    .await
}

/// Bytes of a message; a ping carries none.
fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(data) => data.len(),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => 0,
    }
}

/// Feeds `messages` and flushes. A poll function, not an `async fn` that awaits each: every connection's task would have
/// room for the futures at all times.
fn poll_write(socket: &mut Socket, messages: &mut VecDeque<Message>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
    while !messages.is_empty() {
        ready!(socket.poll_ready_unpin(cx))?;
        if let Some(message) = messages.pop_front() {
            socket.start_send_unpin(message)?;
        }
    }
    socket.poll_flush_unpin(cx)
}

/// One timer, set anew only when the deadline changes.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    at_ms: Option<u64>,
}

impl Timer {
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<u64>, clock: &Clock) -> Poll<()> {
        let Some(at_ms) = deadline else { return Poll::Pending };
        if self.at_ms != Some(at_ms) {
            self.at_ms = Some(at_ms);
            self.sleep.as_mut().reset(Instant::from_std(clock.instant(at_ms)));
        }
        let done = self.sleep.as_mut().poll(cx);
        if done.is_ready() {
            self.at_ms = None;
        }
        done
    }
}

/// How a connection ends after a read error; `None` when there is nobody to tell.
fn end_after(error: &Error) -> Option<End> {
    match error {
        Error::Capacity(_) => Some(end(CloseCode::TooBig)),
        Error::Utf8(_) => Some(end(CloseCode::BadUtf8)),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        // RFC 6455: what breaks WebSocket's own framing, below this protocol, is 1002.
        Error::Protocol(_) => Some(End { code: 1002, reason: "websocket_protocol_error", ..end(CloseCode::BadUtf8) }),
        _ => None,
    }
}
