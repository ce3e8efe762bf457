//! Attacks below the messages: handshakes and frames that are slow, empty, endless or no text.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Bystander, RawSocket, TestServer, opcode, soon, user_token};

/// Far more than any limit lets through at once.
const FLOOD: usize = 5_000;

async fn attacker(server: &TestServer) -> RawSocket {
    let mut raw = RawSocket::open(server.ws, &format!("?token={}", user_token("eve"))).await;
    assert_eq!(raw.text().await["type"], "connection_established");
    raw
}

#[tokio::test]
async fn slow_handshake_byte_by_byte() {
    let server = TestServer::with(|config| config.limits.handshake_timeout = Some(Duration::from_millis(200))).await;
    let mut bystander = Bystander::join(&server).await;
    let (mut answers, mut requests) = TcpStream::connect(server.ws).await.unwrap().into_split();
    let head = "GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nx-endless: ";
    // Each byte in time for itself, the whole never: a deadline that starts anew with each byte would wait for ever.
    let writing = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        for byte in head.bytes().chain(std::iter::repeat(b'x')) {
            pace.tick().await;
            if requests.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    let mut answer = Vec::new();
    // A reset says the same as an end.
    let _ = soon("the server to hang up", answers.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    soon("the attacker to notice", writing).await.unwrap();
    bystander.goes_on().await;
}

#[tokio::test]
async fn empty_fragment_flood() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let mut raw = attacker(&server).await;
    raw.send(false, opcode::TEXT, b"").await;
    for _ in 0..FLOOD {
        raw.send(false, opcode::CONTINUATION, b"").await;
    }
    let error = raw.text().await;
    assert_eq!((&error["type"], &error["data"]["code"]), (&json!("error"), &json!("rate_limited")), "{error}");
    assert!(error["data"]["retryAfterMs"].as_u64().is_some_and(|ms| ms > 0), "{error}");
    assert_eq!(raw.closed().await, (4003, "rate_limited".to_owned()));
    bystander.goes_on().await;
}

#[tokio::test]
async fn ping_flood() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let mut raw = attacker(&server).await;
    for _ in 0..FLOOD {
        raw.send(true, opcode::PING, b"x").await;
    }
    assert_eq!(raw.text().await["data"]["code"], "rate_limited");
    assert_eq!(raw.closed().await, (4003, "rate_limited".to_owned()));
    bystander.goes_on().await;
}

/// After the decision to close, no rate is charged any more: what still comes is bounded by its bytes.
#[tokio::test]
async fn a_flood_after_the_close_is_cut_off() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let mut raw = attacker(&server).await;
    raw.send(true, opcode::BINARY, b"x").await;
    assert_eq!(raw.closed().await.0, 1003);
    // Pings of two bytes of head, a mask of zeros and 120 bytes. The buffers of two kernels hold some MiB beside the 256 KiB.
    let pings = [&[0x89_u8, 0x80 | 120][..], &[0; 124]].concat().repeat(1_000);
    let (mut taken, most) = (0, 64 * 1024 * 1024);
    while taken < most && raw.socket.write_all(&pings).await.is_ok() {
        taken += pings.len();
    }
    assert!(taken < most, "{taken} bytes were read of a client that was told the end");
    bystander.goes_on().await;
}

#[tokio::test]
async fn a_few_pings_are_answered() {
    let server = TestServer::start().await;
    let mut raw = attacker(&server).await;
    for n in 0..20_u8 {
        raw.send(true, opcode::PING, &[n]).await;
        assert_eq!(raw.next().await, (opcode::PONG, vec![n]));
    }
}

#[tokio::test]
async fn byte_flood() {
    let server = TestServer::with(|config| {
        config.limits.message_rate = None;
        config.limits.byte_rate = Some(64 * 1024);
        config.limits.byte_burst = Some(128 * 1024);
    })
    .await;
    let mut bystander = Bystander::join(&server).await;
    let mut client = server.user("eve").await;
    let text = json!({"type": "x:y", "payload": {"a": "x".repeat(60 * 1024)}, "id": 1}).to_string();
    let mut codes = Vec::new();
    for _ in 0..3 {
        client.send_text(text.as_str()).await;
        let answer = client.expect("error").await;
        codes.push(answer["data"]["code"].as_str().unwrap().to_owned());
        assert_eq!(answer["data"].get("retryAfterMs").is_some(), codes.len() == 3, "{answer}");
    }
    assert_eq!(codes, ["unknown_type", "unknown_type", "rate_limited"]);
    for _ in 0..3 {
        client.send_text(text.as_str()).await;
    }
    assert_eq!(client.closed().await, (4003, "rate_limited".to_owned()));
    bystander.goes_on().await;
}

/// As many bytes as a message may have and as slowly as a liveness timeout allows would hold a buffer for days.
#[tokio::test]
async fn a_message_that_never_ends() {
    let server = TestServer::with(|config| config.limits.message_timeout = Some(Duration::from_millis(200))).await;
    let mut bystander = Bystander::join(&server).await;
    let header = [0x81, 0xfe, 0xff, 0xff, 0, 0, 0, 0];
    for in_fragments in [true, false] {
        let mut raw = attacker(&server).await;
        if in_fragments {
            raw.send(false, opcode::TEXT, b"x").await;
        } else {
            raw.socket.write_all(&header).await.unwrap();
        }
        let mut pace = tokio::time::interval(Duration::from_millis(40));
        let end = loop {
            tokio::select! {
                end = raw.closed() => break end,
                _ = pace.tick() => {}
            }
            if in_fragments {
                raw.send(false, opcode::CONTINUATION, b"x").await;
            } else {
                let _ = raw.socket.write_all(b"x").await;
            }
        };
        assert_eq!(end, (4004, "no_heartbeat".to_owned()), "in fragments: {in_fragments}");
    }
    bystander.goes_on().await;
}

#[tokio::test]
async fn a_message_in_fragments_that_ends_in_time_is_one_message() {
    let server = TestServer::start().await;
    let mut raw = attacker(&server).await;
    let text = br#"{"type":"heartbeat","id":"in pieces"}"#;
    raw.send(false, opcode::TEXT, &text[..5]).await;
    raw.send(true, opcode::PING, b"between").await;
    for byte in &text[5..30] {
        raw.send(false, opcode::CONTINUATION, &[*byte]).await;
    }
    raw.send(true, opcode::CONTINUATION, &text[30..]).await;
    assert_eq!(raw.text().await["id"], "in pieces");
}

#[tokio::test]
async fn a_message_of_65_537_bytes() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let mut client = server.user("eve").await;
    let text = |bytes: usize| {
        let shell = json!({"type": "x:y", "payload": {"a": ""}}).to_string();
        shell.replace(r#""a":"""#, &format!(r#""a":"{}""#, "x".repeat(bytes - shell.len())))
    };
    client.send_text(text(65_536)).await;
    client.expect_error("unknown_type").await;
    client.send_text(text(65_537)).await;
    client.expect_close(1009, "too_big").await;
    bystander.goes_on().await;
}

#[tokio::test]
async fn bad_utf8() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    // A byte that never occurs, an overlong slash, half of a surrogate pair, one past the last code point.
    for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        let text = [br#"{"type":""#, bad, br#""}"#].concat();
        let mut raw = attacker(&server).await;
        raw.send(true, opcode::TEXT, &text).await;
        assert_eq!(raw.closed().await, (1007, "bad_utf8".to_owned()), "{bad:?}");
        let mut raw = attacker(&server).await;
        raw.send(false, opcode::TEXT, &text[..10]).await;
        raw.send(true, opcode::CONTINUATION, &text[10..]).await;
        assert_eq!(raw.closed().await, (1007, "bad_utf8".to_owned()), "{bad:?} in fragments");
    }
    bystander.goes_on().await;
}

/// A character that is cut in two by a fragment is none that is bad.
#[tokio::test]
async fn good_utf8_in_halves() {
    let server = TestServer::start().await;
    let mut raw = attacker(&server).await;
    let text = "{\"type\":\"heartbeat\",\"id\":\"\u{1f600}\"}".as_bytes();
    let cut = text.iter().position(|byte| *byte >= 0x80).unwrap() + 2;
    raw.send(false, opcode::TEXT, &text[..cut]).await;
    raw.send(true, opcode::CONTINUATION, &text[cut..]).await;
    assert_eq!(raw.text().await["id"], "\u{1f600}");
}
