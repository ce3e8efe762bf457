//! Counts WebSocket frames as their bytes come from the network.
//!
//! The WebSocket layer answers pings and puts fragments together by itself; a flood of either would be seen nowhere. This
//! reads the headers of the frames on their way through (RFC 6455, 5.2), and nothing else: it keeps no payload.

use crate::session::Traffic;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read before somebody has to look at what they were.
const UNREPORTED_BYTES: u64 = 64 * 1024;

const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const FIRST_CONTROL: u8 = 8;
const MASKED: u8 = 0x80;
const MASK_BYTES: u64 = 4;
/// Two bytes and the longest form of the length.
const LONGEST_HEAD: usize = 10;

/// A stream of frames, counted.
#[derive(Debug)]
pub struct Metered<S> {
    inner: S,
    meter: Meter,
}

impl<S> Metered<S> {
    /// A stream that begins with the header of a frame.
    pub fn new(inner: S) -> Self {
        Self { inner, meter: Meter::default() }
    }

    /// The time at which what is read from now on comes, in milliseconds since 1970.
    pub fn set_now(&mut self, now_ms: u64) {
        self.meter.now_ms = now_ms;
    }

    /// What came since the last call. To be called after each read: it reads on only when asked.
    pub fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.meter.traffic)
    }

    /// When the frame or message began that has not ended yet.
    pub fn unfinished_since(&self) -> Option<u64> {
        let Meter { message_since, frame_since, .. } = &self.meter;
        message_since.or(*frame_since)
    }
}

/// Where in a frame the stream is.
#[derive(Debug, Default)]
struct Meter {
    now_ms: u64,
    traffic: Traffic,
    head: [u8; LONGEST_HEAD],
    /// Bytes of `head` that are there.
    have: u8,
    /// Bytes of mask and payload to come.
    rest: u64,
    frame_since: Option<u64>,
    /// A message that is not complete, whose frames may have others between.
    message_since: Option<u64>,
    message_is_text: bool,
}

impl Meter {
    fn feed(&mut self, mut bytes: &[u8]) {
        self.traffic.bytes = self.traffic.bytes.saturating_add(bytes.len() as u64);
        while let Some((byte, after)) = bytes.split_first() {
            if self.rest > 0 {
                let here = self.rest.min(bytes.len() as u64);
                self.rest -= here;
                // No longer than the slice: it fits.
                bytes = &bytes[here as usize..];
                if self.rest == 0 {
                    self.frame_ends();
                }
                continue;
            }
            bytes = after;
            if self.have == 0 {
                self.frame_since = Some(self.now_ms);
            }
            self.head[usize::from(self.have)] = *byte;
            self.have += 1;
            if let Some(length) = self.length() {
                self.have = 0;
                self.frame_begins();
                self.rest = length;
                if length == 0 {
                    self.frame_ends();
                }
            }
        }
    }

    /// What follows the header once it is complete: mask and payload.
    fn length(&self) -> Option<u64> {
        let have = usize::from(self.have);
        let [_, second, ref long @ ..] = self.head;
        let size = match second & !MASKED {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if have < 2 + size {
            return None;
        }
        let payload = match size {
            0 => u64::from(second & !MASKED),
            _ => long[..size].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        Some(payload.saturating_add(if second & MASKED != 0 { MASK_BYTES } else { 0 }))
    }

    fn is_data(&self) -> bool {
        self.head[0] & OPCODE < FIRST_CONTROL
    }

    fn is_final(&self) -> bool {
        self.head[0] & FINAL != 0
    }

    fn frame_begins(&mut self) {
        if self.is_data() && self.head[0] & OPCODE != CONTINUATION {
            self.message_is_text = self.head[0] & OPCODE == TEXT;
            self.message_since = self.frame_since;
        }
        if !(self.is_data() && self.is_final() && self.message_is_text) {
            self.traffic.frames = self.traffic.frames.saturating_add(1);
        }
    }

    fn frame_ends(&mut self) {
        self.frame_since = None;
        if self.is_data() && self.is_final() {
            self.message_since = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // The WebSocket layer reads on for as long as no message is complete: empty fragments could keep it there.
        if self.meter.traffic.bytes >= UNREPORTED_BYTES {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.meter.feed(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 9;

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload {
            short @ 0..126 => bytes.push(MASKED | short as u8),
            middle @ 126..65_536 => {
                bytes.push(MASKED | 126);
                bytes.extend((middle as u16).to_be_bytes());
            }
            long => {
                bytes.push(MASKED | 127);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        bytes.extend([0x5a; 4]);
        bytes.resize(bytes.len() + payload, 0xff);
        bytes
    }

    fn metered() -> Metered<()> {
        Metered::new(())
    }

    #[test]
    fn frames_are_counted_however_their_bytes_are_cut() {
        let stream = [
            frame(FINAL | TEXT, 5),
            frame(FINAL | PING, 0),
            frame(TEXT, 200),
            frame(FINAL | PING, 125),
            frame(CONTINUATION, 0),
            frame(FINAL, 70_000),
            frame(FINAL | TEXT, 0),
        ]
        .concat();
        for size in [1, 2, 3, 7, 100, stream.len()] {
            let mut metered = metered();
            for part in stream.chunks(size) {
                metered.meter.feed(part);
            }
            let traffic = Traffic { bytes: stream.len() as u64, frames: 4 };
            assert_eq!(metered.take_traffic(), traffic, "two pings, two fragments; by {size}");
            assert_eq!(metered.unfinished_since(), None);
            assert_eq!(metered.take_traffic(), Traffic::default());
        }
    }

    #[test]
    fn a_message_is_unfinished_from_its_first_byte_to_its_last() {
        let mut metered = metered();
        let mut feed = |now, bytes: &[u8]| {
            metered.set_now(now);
            metered.meter.feed(bytes);
            metered.unfinished_since()
        };
        assert_eq!(feed(10, &[TEXT]), Some(10), "half a header");
        assert_eq!(feed(20, &frame(TEXT, 3)[1..]), Some(10));
        assert_eq!(feed(30, &frame(FINAL | PING, 2)), Some(10), "a ping between ends no message");
        assert_eq!(feed(40, &frame(CONTINUATION, 0)), Some(10));
        assert_eq!(feed(50, &frame(FINAL, 4)), None);
        assert_eq!(feed(60, &frame(FINAL | PING, 2)[..4]), Some(60), "a ping must end too");
        let rest_and_next = [&frame(FINAL | PING, 2)[4..], &frame(FINAL | TEXT, 9)[..8]].concat();
        assert_eq!(feed(70, &rest_and_next), Some(70), "each counts from its own beginning");
    }

    #[test]
    fn a_length_that_no_memory_holds_is_only_a_number() {
        let mut metered = metered();
        let mut head = vec![FINAL | TEXT, MASKED | 127];
        head.extend([0xff; 8]);
        metered.meter.feed(&head);
        metered.meter.feed(&[0; 1000]);
        assert_eq!(metered.unfinished_since(), Some(0));
    }
}
