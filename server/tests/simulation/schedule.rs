//! What a seed decides in advance: the settings of everyone, and what is done to them when.

use crate::dice::Dice;
use osbackend_client_core::{BackoffConfig, Config};

/// The rooms of the simulation. The last one is client 0's own, which others may join only as admins.
pub(crate) const ROOMS: [&str; 6] = ["dashboard:overview", "agent:1", "agent:2", "voice:training", "clips:analytics", "user:u0"];

/// The one that clients without a token may join too.
pub(crate) const PUBLIC_ROOM: &str = "clips:analytics";

/// How long the faults last, in milliseconds.
pub(crate) const CHAOS_MS: u64 = 90_000;
/// From the last fault until everyone has to be live again, in milliseconds.
pub(crate) const CALM_MS: u64 = 150_000;
/// How long nobody may lose a healthy connection after that, in milliseconds; nothing is published at first.
pub(crate) const IDLE_MS: u64 = 90_000;

/// The world's settings.
pub(crate) struct Settings {
    pub(crate) clients: Vec<ClientSettings>,
    /// A socket's usual delay in each direction, in milliseconds: from, to.
    pub(crate) delay: (u64, u64),
    /// Bytes of padding in each event.
    pub(crate) padding: usize,
    pub(crate) outbox_bytes: usize,
    /// Of 100 sockets, how many carry nothing to the server for a long time at first, while there are faults.
    pub(crate) slow_starts: u64,
    /// Of 100 wake-ups of a connection's task, how many come late.
    pub(crate) busy: u64,
    /// How long a token's check takes at most, in milliseconds.
    pub(crate) verify_ms: u64,
    pub(crate) history: (usize, u64),
    pub(crate) heartbeat_ms: u64,
    pub(crate) message_rate: u32,
    pub(crate) message_burst: u32,
    pub(crate) join_rate: u32,
    pub(crate) join_burst: u32,
    /// Of 100 tokens, how many the provider doesn't give or gives badly, while there are faults.
    pub(crate) bad_tokens: u64,
    /// How long tokens live while there are faults, in milliseconds: from, to.
    pub(crate) token_ms: (u64, u64),
    /// How long a backend that is asked about connections, joins and publishes takes at most, in milliseconds; `None`: it is
    /// not asked.
    pub(crate) backend_ms: Option<u64>,
    /// Presence: its grace in milliseconds, and the users of a room that are listed.
    pub(crate) presence: (u64, usize),
    /// Of 100 joins, after how many the application asks who is there.
    pub(crate) watches: u64,
    /// How long each step of a durable engine takes, in milliseconds: from, to. `None`: streams live in memory.
    pub(crate) commit_ms: Option<(u64, u64)>,
    /// A commit of the durable engine survives a loss of power.
    pub(crate) syncs: bool,
    /// How long tokens live once the faults are over, in milliseconds.
    pub(crate) calm_token_ms: u64,
}

/// One client's settings.
pub(crate) struct ClientSettings {
    pub(crate) config: Config,
    pub(crate) admin: bool,
    /// It has no token.
    pub(crate) anonymous: bool,
    /// What its clock shows when the world begins.
    pub(crate) clock: u64,
}

/// Something done to the world.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Publish {
        room: usize,
        count: u64,
        kind: Kind,
    },
    Join {
        client: usize,
        room: usize,
        snapshot: bool,
    },
    Leave {
        client: usize,
        room: usize,
    },
    Request {
        client: usize,
        what: Ask,
    },
    Send {
        client: usize,
        count: u64,
    },
    Connect {
        client: usize,
    },
    Disconnect {
        client: usize,
    },
    /// The socket breaks; who learns of it, and after how long.
    Cut {
        client: usize,
        client_learns: Option<u64>,
        server_learns: Option<u64>,
        /// What is under way to the server still arrives.
        spare: bool,
    },
    /// The client's side reads nothing for this long.
    Stall {
        client: usize,
        ms: u64,
    },
    /// The network holds back what goes up, what goes down or both, for this long.
    Lag {
        client: usize,
        ms: u64,
        way: (bool, bool),
    },
    Hide {
        client: usize,
    },
    Show {
        client: usize,
    },
    Offline {
        client: usize,
    },
    Online {
        client: usize,
    },
    /// The application gives a new token by itself.
    Refresh {
        client: usize,
    },
    /// The connection is lost before the answers to what is published: all of it may have been stored, or only the first.
    PublishAndCut {
        client: usize,
        room: usize,
        count: u64,
    },
    /// Somebody else comes with the client's resume token.
    Steal {
        client: usize,
        by: Thief,
    },
    /// The user comes by another socket with the client's resume token, and goes again.
    Takeover {
        client: usize,
    },
    /// The user is no admin any more, and gets a token that says so.
    Demote {
        client: usize,
    },
    Crash {
        down_ms: u64,
    },
    PowerLoss {
        down_ms: u64,
    },
    DiskFull {
        ms: u64,
    },
    /// A backend publishes with an idempotency key, again and again until it is told that it is stored.
    Order {
        room: usize,
        kind: Kind,
    },
    /// A backend publishes, and the process ends at about the time at which that is stored, or exactly between the commit and
    /// the delivery.
    OrderAndCrash {
        room: usize,
        count: u64,
        exactly: bool,
        after_ms: u64,
        down_ms: u64,
    },
    Drain {
        window_ms: u64,
        down_ms: u64,
    },
}

/// Who has a resume token that isn't theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thief {
    /// Another user.
    User,
    /// Nobody that the server knows.
    Anonymous,
    /// The user, with a token that was changed.
    Forger,
    /// The user, with a good token, for another client's id.
    Impostor,
}

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Latest,
    Reliable,
    Ephemeral,
    Mixed,
}

/// What a client asks the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Publish(usize),
    History(usize),
    Presence(usize),
    /// For a handler that is slow.
    Slow,
    Unknown,
}

impl Settings {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let clients = (0..dice.range(2, 5)).map(|_| ClientSettings::draw(dice)).collect();
        let low = dice.range(1, 80);
        let small_rates = dice.chance(15);
        Self {
            clients,
            delay: (low, low + dice.range(1, 200)),
            padding: *dice.pick(&[0, 0, 300, 1_500]),
            outbox_bytes: *dice.pick(&[36 * 1024, 48 * 1024, 1024 * 1024]),
            slow_starts: *dice.pick(&[0, 5, 30]),
            busy: *dice.pick(&[0, 5, 60]),
            verify_ms: *dice.pick(&[10, 100, 100, 8_000]),
            history: (*dice.pick(&[0, 3, 20, 1_000]), *dice.pick(&[0, 5_000, 30_000, 3_600_000])),
            heartbeat_ms: *dice.pick(&[5_000, 12_000, 25_000]),
            message_rate: if small_rates { 5 } else { 50 },
            message_burst: if small_rates { 10 } else { 100 },
            join_rate: if small_rates { 2 } else { 20 },
            join_burst: if small_rates { 4 } else { 100 },
            bad_tokens: *dice.pick(&[0, 0, 10, 40]),
            token_ms: *dice.pick(&[(70_000, 120_000), (600_000, 600_001)]),
            backend_ms: *dice.pick(&[None, None, Some(50), Some(3_000)]),
            presence: (*dice.pick(&[0, 1_000, 15_000]), *dice.pick(&[2, 200, 200])),
            watches: *dice.pick(&[0, 50, 100]),
            commit_ms: *dice.pick(&[None, Some((0, 3)), Some((1, 60)), Some((10, 2_000))]),
            syncs: dice.chance(40),
            calm_token_ms: *dice.pick(&[100_000, 3_600_000]),
        }
    }
}

impl ClientSettings {
    fn draw(dice: &mut Dice) -> Self {
        let backoff = BackoffConfig {
            initial_ms: *dice.pick(&[100, 1_000, 5_000]),
            max_ms: *dice.pick(&[5_000, 30_000]),
            attempts: *dice.pick(&[0, 0, 10]),
            ..BackoffConfig::default()
        };
        let queue_limit = *dice.pick(&[2, 16, 256]);
        let config = Config { batch: dice.chance(70), backoff, queue_limit, ..Config::default() };
        let anonymous = dice.chance(10);
        Self { config, anonymous, admin: !anonymous && dice.chance(50), clock: dice.below(1_000_000) }
    }
}

/// What is done when, in milliseconds from the beginning.
pub(crate) fn draw(dice: &mut Dice, clients: usize) -> Vec<(u64, Act)> {
    let mut plan = Vec::new();
    for client in 0..clients {
        plan.push((dice.below(1_000), Act::Connect { client }));
        for room in 0..ROOMS.len() {
            if dice.chance(60) {
                plan.push((dice.below(5_000), Act::Join { client, room, snapshot: dice.chance(85) }));
            }
        }
    }
    // Some seeds are calm, some rough.
    let faults = *dice.pick(&[1, 6, 15, 30]);
    let life = *dice.pick(&[10, 30, 60]);
    for _ in 0..life {
        plan.push((dice.below(CHAOS_MS), ordinary(dice, clients)));
    }
    for _ in 0..faults {
        let at = dice.below(CHAOS_MS);
        plan.push((at, fault(dice, clients)));
        // Misfortunes seldom come alone.
        if dice.chance(30) {
            plan.push((at + dice.below(3_000), fault(dice, clients)));
        }
        if dice.chance(30) {
            plan.push((at + dice.below(3_000), ordinary(dice, clients)));
        }
        if dice.chance(30) {
            let (client, room) = (dice.below(clients as u64) as usize, dice.below(ROOMS.len() as u64) as usize);
            let left = at + dice.below(3_000);
            plan.push((left, Act::Leave { client, room }));
            plan.push((left + dice.below(300), Act::Join { client, room, snapshot: dice.chance(85) }));
        }
    }
    for _ in 0..*dice.pick(&[0, 1, 3]) {
        storm(dice, clients, &mut plan);
    }
    for _ in 0..*dice.pick(&[0, 2, 5]) {
        let (client, room) = (dice.below(clients as u64) as usize, dice.below(ROOMS.len() as u64) as usize);
        plan.push((dice.below(CHAOS_MS), Act::PublishAndCut { client, room, count: dice.range(1, 8) }));
    }
    for _ in 0..*dice.pick(&[0, 2, 6]) {
        let (room, count) = (dice.below(ROOMS.len() as u64) as usize, dice.range(1, 12));
        let within = *dice.pick(&[10, 200, 4_000]);
        let (after_ms, down_ms) = (dice.below(within), dice.range(10, 3_000));
        plan.push((dice.below(CHAOS_MS), Act::OrderAndCrash { room, count, exactly: dice.chance(40), after_ms, down_ms }));
    }
    for _ in 0..*dice.pick(&[0, 5, 20]) {
        let kind = *dice.pick(&[Kind::Latest, Kind::Reliable]);
        plan.push((dice.below(CHAOS_MS), Act::Order { room: dice.below(ROOMS.len() as u64) as usize, kind }));
    }
    for _ in 0..*dice.pick(&[0, 1, 4]) {
        let client = dice.below(clients as u64) as usize;
        let by = *dice.pick(&[Thief::User, Thief::Anonymous, Thief::Forger, Thief::Impostor]);
        plan.push((dice.below(CHAOS_MS), Act::Steal { client, by }));
        plan.push((dice.below(CHAOS_MS), Act::Takeover { client }));
        if dice.chance(30) {
            plan.push((dice.below(CHAOS_MS), Act::Demote { client }));
        }
    }
    // Clients that an application closed or that gave up are connected again now and then.
    for at in [30_000, 60_000] {
        plan.extend((0..clients).map(|client| (at, Act::Connect { client })));
    }
    plan.retain(|(at, _)| *at < CHAOS_MS);
    // The healthy connections have to cope with an application that can't decide.
    for _ in 0..*dice.pick(&[0, 10, 150]) {
        let (client, room) = (dice.below(clients as u64) as usize, dice.below(ROOMS.len() as u64) as usize);
        let act =
            if dice.chance(50) { Act::Leave { client, room } } else { Act::Join { client, room, snapshot: dice.chance(85) } };
        plan.push((CHAOS_MS + CALM_MS - 20_000 + dice.below(1_000), act));
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
}

/// A client reads nothing while its room is full of life, and comes and goes meanwhile; or it reconnects over a network
/// that holds back what was sent before.
fn storm(dice: &mut Dice, clients: usize, plan: &mut Vec<(u64, Act)>) {
    let (client, room) = (dice.below(clients as u64) as usize, dice.below(ROOMS.len() as u64) as usize);
    let begin = dice.below(CHAOS_MS);
    let within = *dice.pick(&[400, 5_000]);
    let at = |dice: &mut Dice| begin + dice.below(within);
    plan.push((begin.saturating_sub(2_000), Act::Join { client, room, snapshot: true }));
    if dice.chance(70) {
        if dice.chance(60) {
            plan.push((begin, Act::Stall { client, ms: dice.range(2_000, 9_000) }));
        }
        for _ in 0..dice.range(2, 6) {
            let kind = *dice.pick(&[Kind::Latest, Kind::Latest, Kind::Mixed]);
            plan.push((at(dice), Act::Publish { room, count: dice.range(10, 60), kind }));
        }
    } else {
        for _ in 0..dice.range(1, 4) {
            let ms = dice.range(1_000, 25_000);
            plan.push((at(dice), Act::Lag { client, ms, way: way(dice) }));
            plan.push((
                at(dice),
                Act::Cut { client, client_learns: Some(dice.below(100)), server_learns: None, spare: dice.chance(50) },
            ));
        }
    }
    for _ in 0..*dice.pick(&[0, 1, 2, 15]) {
        let left = at(dice);
        plan.push((left, Act::Leave { client, room }));
        if dice.chance(75) {
            plan.push((left + dice.below(within / 4), Act::Join { client, room, snapshot: dice.chance(50) }));
        }
    }
}

fn way(dice: &mut Dice) -> (bool, bool) {
    *dice.pick(&[(true, true), (true, false), (false, true)])
}

fn ordinary(dice: &mut Dice, clients: usize) -> Act {
    let client = dice.below(clients as u64) as usize;
    let room = dice.below(ROOMS.len() as u64) as usize;
    match dice.below(100) {
        0..50 => {
            let count = if dice.chance(20) { dice.range(10, 120) } else { dice.range(1, 6) };
            Act::Publish {
                room,
                count,
                kind: *dice.pick(&[Kind::Latest, Kind::Reliable, Kind::Mixed, Kind::Mixed, Kind::Ephemeral]),
            }
        }
        50..65 => Act::Join { client, room, snapshot: dice.chance(85) },
        65..75 => Act::Leave { client, room },
        75..88 => {
            let what = *dice.pick(&[Ask::Publish(room), Ask::History(room), Ask::Presence(room), Ask::Slow, Ask::Unknown]);
            Act::Request { client, what }
        }
        88..95 => Act::Send { client, count: dice.range(1, 30) },
        _ => Act::Refresh { client },
    }
}

fn fault(dice: &mut Dice, clients: usize) -> Act {
    let client = dice.below(clients as u64) as usize;
    match dice.below(100) {
        0..35 => {
            let client_learns = dice.chance(60).then(|| dice.below(500));
            let server_learns = dice.chance(60).then(|| dice.below(500));
            Act::Cut { client, client_learns, server_learns, spare: dice.chance(30) }
        }
        35..53 => Act::Stall { client, ms: dice.range(100, 15_000) },
        53..63 => Act::Lag { client, ms: dice.range(100, 15_000), way: way(dice) },
        63..68 => Act::Hide { client },
        68..75 => Act::Show { client },
        75..80 => Act::Offline { client },
        80..88 => Act::Online { client },
        88..90 => Act::Disconnect { client },
        90..94 => Act::Drain { window_ms: dice.range(100, 20_000), down_ms: dice.range(100, 5_000) },
        94..96 => Act::PowerLoss { down_ms: dice.range(10, 10_000) },
        96..97 => Act::DiskFull { ms: dice.range(10, 10_000) },
        _ => Act::Crash { down_ms: dice.range(10, 10_000) },
    }
}
