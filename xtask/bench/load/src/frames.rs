//! WebSocket frames (RFC 6455), as little of them as a load generator needs.

use anyhow::{Result, bail};

/// Opcodes that occur.
pub(crate) const TEXT: u8 = 0x1;
/// The server is leaving.
pub(crate) const CLOSE: u8 = 0x8;
/// To be answered by [`PONG`].
pub(crate) const PING: u8 = 0x9;
/// The answer to [`PING`].
pub(crate) const PONG: u8 = 0xA;

/// Appends one client frame. Its mask is zero, so the payload goes as it is.
pub(crate) fn encode(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// One complete server frame at the front of `bytes`: opcode, payload and its length with the header.
pub(crate) fn first(bytes: &[u8]) -> Result<Option<(u8, &[u8], usize)>> {
    let [head, length, rest @ ..] = bytes else {
        return Ok(None);
    };
    if length & 0x80 != 0 {
        bail!("the server sent a masked frame");
    }
    let (header, len) = match length {
        126 => match rest {
            [a, b, ..] => (4, usize::from(u16::from_be_bytes([*a, *b]))),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(len) => (10, usize::try_from(u64::from_be_bytes(*len))?),
            None => return Ok(None),
        },
        len => (2, usize::from(*len)),
    };
    Ok(bytes.get(header..header + len).map(|payload| (head & 0x0F, payload, header + len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_only_when_it_is_complete() {
        for len in [0, 5, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; len];
            let mut frame = Vec::new();
            encode(TEXT, &payload, &mut frame);
            // What a server would send: the same without mask bit and key.
            frame[1] &= 0x7F;
            let key = frame.len() - len - 4;
            frame.drain(key..key + 4);
            assert_eq!(first(&frame[..frame.len() - 1]).unwrap(), None, "{len}");
            let whole = frame.len();
            frame.extend_from_slice(b"\x81");
            assert_eq!(first(&frame).unwrap(), Some((TEXT, &payload[..], whole)), "{len}");
        }
    }
}
