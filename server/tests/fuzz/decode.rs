//! The frame decoder on any bytes: it never panics, and tells what is wrong as §2 says, by another reading of the same text.

use osbackend_protocol::{ClientFrame, DecodeError, decode_client};
use serde_json::Value;

/// No answer is longer than this, however long the frame.
const MOST_MESSAGE_BYTES: usize = 1024;
const MAX_DEPTH: usize = 32;

/// One input.
pub(crate) fn run(data: &[u8]) {
    // What is no text never reaches the decoder: the WebSocket layer closes with 1007.
    let Ok(text) = std::str::from_utf8(data) else { return };
    let decoded = decode_client(text);
    assert_eq!(format!("{decoded:?}"), format!("{:?}", decode_client(text)), "twice the same");
    assert!(!decoded.is_empty(), "a frame without an answer");
    for error in decoded.iter().filter_map(|one| one.as_ref().err()) {
        assert!(!error.path.is_empty());
        let length = error.message.len() + error.path.len();
        assert!(length <= MOST_MESSAGE_BYTES, "an answer of {length} bytes");
    }
    if depth(text) > MAX_DEPTH + 1 {
        assert!(decoded.iter().all(is_malformed), "too deep");
    }
    match serde_json::from_str::<Value>(text) {
        Err(_) => {
            assert!(decoded.iter().all(Result::is_err) || has_twins_or_wide_numbers(text), "not JSON, and taken: {decoded:?}")
        }
        Ok(Value::Array(items)) if items.is_empty() => assert!(decoded.len() == 1 && is_malformed(&decoded[0])),
        Ok(Value::Array(items)) if depth(text) <= MAX_DEPTH + 1 => {
            assert_eq!(decoded.len(), items.len(), "each is answered by itself");
            decoded.iter().zip(&items).for_each(|(one, item)| check(one, item));
        }
        Ok(Value::Array(_)) => {}
        Ok(item) => {
            assert_eq!(decoded.len(), 1);
            check(&decoded[0], &item);
        }
    }
}

fn is_malformed(one: &Result<ClientFrame, DecodeError>) -> bool {
    one.as_ref().is_err_and(|error| error.malformed)
}

/// One message against its reading as plain JSON.
fn check(one: &Result<ClientFrame, DecodeError>, item: &Value) {
    let named = item.get("type").is_some_and(Value::is_string);
    if !named {
        assert!(is_malformed(one), "no object with a type, and not malformed: {item} {one:?}");
    }
    if let Ok(frame) = one {
        let id = item.get("id").filter(|id| !id.is_null());
        let kept = frame.id.as_ref().map(|id| serde_json::to_value(id).expect("an id is JSON"));
        assert_eq!(kept.as_ref(), id, "the id comes back as it was");
        assert!(item.get("payload").is_none_or(|payload| payload.is_object() || payload.is_null()), "{item}");
    }
}

/// `serde_json::Value` refuses what the decoder, which leaves such text as it is, has no reason to look at.
fn has_twins_or_wide_numbers(text: &str) -> bool {
    serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

/// Of brackets outside strings.
fn depth(text: &str) -> usize {
    let (mut depth, mut most, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                most = most.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    most
}
