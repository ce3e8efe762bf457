//! A close that the server decides is prompt (§6), however much waits for the client and however slowly it reads.
//!
//! Nothing here depends on the machine's speed: the client reads a little for each round trip of somebody else, and what is
//! asserted is how much it was sent, not when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use osbackend_protocol::RoomName;
use osbackend_server::Realtime;
use osbackend_server::auth::mint::Token;
use osbackend_server::config::{Config, ConfigFile};
use osbackend_server::handlers::CustomReply;
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::support::{RawSocket, Scrape, TestServer, opcode, request, soon, token, user_token};

const ROOM: &str = "dashboard:overview";
/// Anonymous clients may join, too.
const POLICY: &str = "[[policy.rooms]]\nmatch = \"dashboard:overview\"\njoin = \"public\"\npresence = \"authenticated\"\n";
const EVENTS: usize = 256;
const EVENT_BYTES: usize = 64 * 1024;
/// The client may still be sent what was on its way at the decision: buffers of both systems, and one write.
const ON_ITS_WAY: usize = 2 * 1024 * 1024;

/// A client in `ROOM` for whom megabytes wait.
struct Behind {
    server: TestServer,
    reader: RawSocket,
}

impl Behind {
    async fn new(change: impl FnOnce(&mut Config), query: &str) -> Self {
        let policy = ConfigFile::parse("test", POLICY).unwrap().policy().unwrap().clone();
        let server = TestServer::built(Realtime::builder().policy(policy), |config| {
            config.limits.outbox_bytes = Some(64 * 1024 * 1024);
            change(config);
        })
        .await;
        let mut reader = RawSocket::open_slow(server.ws, query).await;
        reader.ask("join", &json!({"room": ROOM})).await;
        while reader.text().await["type"] != "room_joined" {}
        let data = json!({"pad": "x".repeat(EVENT_BYTES)});
        for _ in 0..EVENTS {
            server.handle.broadcast_to_room(ROOM, "note", &data).await.unwrap();
        }
        Self { server, reader }
    }

    fn scrape(&self) -> Scrape {
        Scrape::parse(&self.server.handle.exposition().text())
    }

    fn waiting(&self) -> usize {
        self.scrape().get("osbackend_queue_bytes_max") as usize
    }

    /// Reads some KiB at most, and waits for an answer that somebody else gets. At 32 KB a second it would be one in four such
    /// answers; it doesn't matter how long they take. False at the end of the socket.
    async fn read_a_little(&mut self, read: &mut usize) -> bool {
        let mut buffer = [0; 8 * 1024];
        match soon("more, or the end", self.reader.socket.read(&mut buffer)).await {
            Ok(0) | Err(_) => return false,
            Ok(bytes) => *read += bytes,
        }
        self.somebody_is_served().await;
        true
    }

    async fn somebody_is_served(&self) {
        assert_eq!(request(self.server.http, "GET", "/healthz", None, "").await.status, 200);
    }

    /// The server closes it by its own decision: before the client has read on it is in no room, doesn't count, and no event waits
    /// for it.
    async fn expect_prompt_close(self, code: u16) {
        soon("the room to be left", async {
            while self.is_member() {
                self.somebody_is_served().await;
            }
        })
        .await;
        self.reads_to_its_end(code).await;
    }

    /// The same for what the client itself brought about: the server reads it once the client has taken what is being written.
    async fn brings_it_about(mut self, code: u16) {
        while self.is_member() {
            assert!(self.read_a_little(&mut 0).await, "the socket ended before the room was left");
        }
        self.reads_to_its_end(code).await;
    }

    fn is_member(&self) -> bool {
        self.server.handle.client_count(&RoomName::parse(ROOM).unwrap()) > 0
    }

    async fn reads_to_its_end(mut self, code: u16) {
        assert!(self.waiting() < EVENT_BYTES, "{} bytes wait after the decision", self.waiting());
        let mut read = 0;
        while self.read_a_little(&mut read).await {}
        assert!(read < ON_ITS_WAY, "{read} bytes came after the decision");
        let closes = format!("osbackend_closes_total{{code=\"{code}\",by=\"server\"}}");
        self.scrape().expect(&[(&closes, 1.0)]);
    }
}

fn of(user: &str) -> String {
    format!("?token={}", user_token(user))
}

#[tokio::test]
async fn who_is_disconnected_by_an_admin_gets_no_more_events() {
    let behind = Behind::new(|_| {}, &of("eve")).await;
    assert!(behind.waiting() > EVENTS * EVENT_BYTES / 2, "the test tests nothing: {} bytes wait", behind.waiting());
    let mut watcher = behind.server.user("watcher").await.watching();
    watcher.join(ROOM).await;
    assert_eq!(behind.server.handle.disconnect_user("eve"), 1);
    loop {
        let message = watcher.next().await;
        if message["type"] == "presence_leave" && message["data"]["userId"] == "eve" {
            break;
        }
    }
    let handle = &behind.server.handle;
    assert_eq!((handle.disconnect_user("eve"), handle.stats().total_clients), (0, 1), "it is nobody's connection any more");
    watcher.request("leave", json!({"room": ROOM})).await;
    behind.expect_prompt_close(4505).await;
}

#[tokio::test]
async fn a_token_that_ran_out_ends_its_events_too() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let ends = token(Token::for_user("eve").claim("exp", (now + Duration::from_secs(5)).as_secs_f64()));
    let grace = |config: &mut Config| config.auth.token_grace = Duration::ZERO;
    Behind::new(grace, &format!("?token={ends}")).await.expect_prompt_close(4001).await;
}

#[tokio::test]
async fn who_goes_on_over_its_rate_is_closed_without_its_queue() {
    let rate = |config: &mut Config| (config.limits.message_rate, config.limits.message_burst) = (Some(1), Some(5));
    let mut behind = Behind::new(rate, &of("eve")).await;
    let many = json!(vec![json!({"type": "heartbeat"}); 100]).to_string();
    behind.reader.send(true, opcode::TEXT, many.as_bytes()).await;
    behind.brings_it_about(4003).await;
}

#[tokio::test]
async fn who_sends_what_is_no_message_is_closed_without_its_queue() {
    let mut behind = Behind::new(|_| {}, &of("eve")).await;
    for _ in 0..10 {
        behind.reader.send(true, opcode::TEXT, b"no JSON").await;
    }
    behind.brings_it_about(4500).await;
}

#[tokio::test]
async fn an_anonymous_client_with_a_bad_token_is_closed_without_its_queue() {
    let mut behind = Behind::new(|config| config.auth.allow_anonymous = true, "").await;
    behind.reader.ask("auth", &json!({"token": "nonsense"})).await;
    behind.brings_it_about(4501).await;
}

#[tokio::test]
async fn a_user_over_its_limit_of_connections_is_closed_without_its_queue() {
    let limit = |config: &mut Config| {
        config.auth.allow_anonymous = true;
        config.limits.max_connections_per_user = Some(1);
    };
    let mut behind = Behind::new(limit, "").await;
    let mut first = behind.server.user("somebody").await;
    first.is_alive().await;
    behind.reader.ask("auth", &json!({"token": user_token("somebody")})).await;
    let code = osbackend_protocol::CloseCode::ConnectionLimit.code();
    behind.brings_it_about(code).await;
}

/// What answers requests is not dropped, so the deadline has to end it: of a large answer the client takes a little at a time.
#[tokio::test]
async fn a_client_that_reads_ever_so_slowly_is_cut_off_in_the_middle_of_an_answer() {
    const ANSWER_BYTES: usize = 16 * 1024 * 1024;
    let server = TestServer::with(|config| config.limits.message_rate = None).await;
    server.handle.on_custom_message("big", |_| async { CustomReply::json(&json!({"pad": "x".repeat(ANSWER_BYTES)})) });
    let mut other = server.user("somebody").await;
    let mut reader = RawSocket::open_slow(server.ws, &of("eve")).await;
    reader.text().await;
    reader.ask("big", &json!({})).await;
    // Its first byte: the answer is being written.
    soon("the answer", reader.socket.read_u8()).await.unwrap();
    assert_eq!(server.handle.disconnect_user("eve"), 1);
    let (mut read, mut buffer) = (0, [0; 256]);
    let connections = || Scrape::parse(&server.handle.exposition().text()).get("osbackend_connections{mode=\"plain\"}");
    while connections() > 1.0 {
        match soon("more, or the end", reader.socket.read(&mut buffer)).await {
            Ok(0) | Err(_) => break,
            Ok(bytes) => read += bytes,
        }
        other.is_alive().await;
    }
    assert!(read < ANSWER_BYTES / 2, "{read} bytes came: it was not cut off");
}
