//! The server's process in the world: its connections' tasks, their ends, its own end and its return.

use crate::{
    durable::{Disk, Durable, Turn, Writer},
    mutant::Mutant,
    network::{Pipe, ToClient},
    node::Step,
    oracle::{Book, Witness},
    schedule::{PUBLIC_ROOM, Settings},
    world::{Happening, World, note},
};
use osbackend_protocol::{
    Identity, JsonObject, Limits, Policy,
    permission::{Access, Pattern, Rule},
};
use osbackend_server::{
    auth::{AuthError, Verified, resume::ResumeKeys},
    connection::Shared,
    engine::{Engine, MemoryEngine, Retention},
    handlers::{self, CustomReply, CustomRequest, Handlers, Running},
    hub::{Hub, presence::PresenceOptions},
    limits::Quota,
    metrics::{Desk, memory::MemoryMetrics},
    session::{Asks, Refusal, SessionSettings, Verdict},
};
use std::{collections::VecDeque, sync::Arc};

/// Taken by a handler that is slow, and answered with its own payload.
pub(crate) const SLOW_MESSAGE: &str = "app:slow";
/// How long that takes at most, in milliseconds: longer than a client waits for an answer.
const SLOW_MS: u64 = 15_000;

/// The engine of a process; where it is a durable one, its writer.
pub(crate) fn engine(
    settings: &Settings,
    book: &Book,
    disk: &Disk,
    mutant: Mutant,
    number: u64,
) -> (Box<dyn Engine>, Option<Arc<Writer>>) {
    let retention = Retention { events: settings.history.0, age_ms: settings.history.1 };
    if settings.commit_ms.is_none() {
        let engine = MemoryEngine::new(format!("p{number}"), retention);
        return (Box::new(Witness { engine, book: book.clone() }), None);
    }
    let writer = Writer::new(disk.clone(), book.clone(), retention, mutant);
    (Box::new(Durable(writer.clone())), Some(writer))
}

/// The default, and a room for everyone.
fn policy() -> Policy {
    let mut policy = Policy::default();
    let pattern = Pattern::parse(PUBLIC_ROOM).expect("a room's name is a pattern");
    policy.rules.insert(0, Rule::new(pattern, Access::Public));
    policy
}

/// A process that begins now, with nothing in memory.
pub(crate) fn process(settings: &Settings, engine: Box<dyn Engine>, mutant: Mutant, number: u64, now: u64) -> Arc<Shared> {
    let asks = settings.backend_ms.is_some();
    let changing = if mutant == Mutant::ResumeKeyChanged { number } else { 0 };
    let secret = format!("a secret of at least 32 bytes, kept {changing}");
    let session = SessionSettings {
        ahead: osbackend_server::clock::Ahead::default(),
        handshake_timeout_ms: Some(10_000),
        auth_timeout_ms: Some(10_000),
        token_warning_ms: 60_000,
        token_grace_ms: 25_000,
        heartbeat_ms: Some(settings.heartbeat_ms),
        pong_timeout_ms: Some(10_000),
        allow_anonymous: settings.clients.iter().any(|client| client.anonymous),
        limits: Limits {
            message_rate: settings.message_rate,
            message_burst: settings.message_burst,
            join_rate: settings.join_rate,
            join_burst: settings.join_burst,
            ..Limits::default()
        },
        messages: Quota::new(Some(settings.message_rate), settings.message_burst),
        refusals: Quota::new(Some(settings.message_rate), settings.message_burst.max(10)),
        bytes: Quota::new(None, 0),
        joins: Quota::new(Some(settings.join_rate), settings.join_burst),
        policy: Arc::new(policy()),
        asks: Asks { connect: asks, join: asks, publish: asks },
        asks_about_rooms: asks,
        resume: ResumeKeys::new(&secret.as_str().into()),
    };
    let presence = PresenceOptions::new(settings.presence.0, settings.presence.1, now);
    let handlers = Handlers::default();
    handlers.set(SLOW_MESSAGE, move |request| async move {
        let CustomRequest { payload, .. } = request;
        let data = if mutant == Mutant::AnswerMixed { JsonObject::empty() } else { payload };
        Ok(CustomReply { data, ..CustomReply::ok() })
    });
    Arc::new(Shared {
        meters: Arc::default(),
        hub: Hub::shared(engine, format!("p{number}"), presence),
        settings: Arc::new(session),
        handlers,
        hooks: None,
        metrics: Desk::new(Arc::new(MemoryMetrics::default()), Arc::default()),
        outbox_bytes: settings.outbox_bytes,
        started_ms: now,
    })
}

impl World {
    pub(crate) fn verify(&mut self, token: &str) -> Result<Verified, Refusal> {
        if !self.calm && self.dice.chance(2) {
            return Err(AuthError::Unavailable.into());
        }
        let parts: Vec<&str> = token.split('.').collect();
        let expires_at_ms = parts[2].parse().expect("made by the simulation");
        if expires_at_ms <= self.now {
            return Err(AuthError::Expired.into());
        }
        let role = if self.mutant == Mutant::RightsKept { "admin" } else { parts[1] };
        Ok(Verified { identity: Identity::new(parts[0], Some(role)), expires_at_ms, info: None })
    }

    /// A handler has its answer; with the connection it is gone.
    pub(crate) fn handled(&mut self, id: u64, running: Running) {
        let (now, meters) = (self.now, self.shared.meters.clone());
        let Some(node) = self.nodes.get_mut(&id) else { return };
        // The time that it takes has passed.
        node.answer(handlers::answer(running, meters, move || now));
        self.pump(id);
    }

    /// Wakes every connection's task; some have their turn only later, and are sent more or hear something before it.
    pub(crate) fn wake_all(&mut self) {
        let links: Vec<u64> = self.nodes.keys().copied().collect();
        for id in links {
            if self.dice.chance(self.settings.busy) {
                let until = self.now + self.dice.below(400);
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.asleep_until = until;
                }
                self.at(until, Happening::Unstall(id));
            } else {
                self.pump(id);
            }
        }
    }

    /// Lets every connection go on: a publish or a departure touches others than the one it came from.
    pub(crate) fn pump_all(&mut self) {
        let links: Vec<u64> = self.nodes.keys().copied().collect();
        for id in links {
            self.pump(id);
        }
    }

    pub(crate) fn pump(&mut self, id: u64) {
        let now = self.now;
        let mut steps = VecDeque::new();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.step(now, &mut steps);
        let stalled_until = node.stalled_until;
        for step in steps {
            let Some(link) = self.links.get(&id) else { return };
            let delay = link.delay(&mut self.dice);
            match step {
                Step::Verify(token) => {
                    let result = self.verify(&token);
                    let ms = self.dice.below(if self.calm { 100 } else { self.settings.verify_ms });
                    self.after(ms, Happening::Verified(id, result));
                }
                Step::Ask(ticket) => {
                    let failed = !self.calm && self.dice.chance(3);
                    let verdict = if failed { Verdict::Unavailable { retry_after_ms: 500 } } else { Verdict::Allow };
                    let most = self.settings.backend_ms.unwrap_or(0);
                    let ms = self.dice.below(if self.calm { 100 } else { most.max(1) });
                    self.after(ms, Happening::Answered(id, ticket, verdict));
                }
                Step::Handle(running) => {
                    let ms = self.dice.below(if self.calm { 100 } else { SLOW_MS });
                    self.after(ms, Happening::Handled(id, Box::new(running)));
                }
                Step::Text(text) => self.down(id, ToClient::Text(text), delay),
                Step::Ping => self.down(id, ToClient::Ping, delay),
                Step::Close(code, late) => {
                    note!(self, "server closes link {id}: {code:?}");
                    // A close frame that can't be written in time is not seen.
                    if late && stalled_until > now + 2_000 {
                        self.client_learns(id, 2_000 + delay);
                    } else {
                        let delay = if late { delay.max(stalled_until - now) } else { delay };
                        self.down(id, ToClient::Closed(code.code(), code.reason().to_owned()), delay);
                    }
                    let ms = self.dice.below(2_000);
                    self.after(ms, Happening::ServerLearns(id));
                }
                Step::Gone => self.server_gone(id),
            }
        }
    }

    pub(crate) fn server_gone(&mut self, id: u64) {
        let now = self.now;
        if let Some(mut node) = self.nodes.remove(&id) {
            note!(self, "server forgets link {id}");
            node.connection.on_gone(now);
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.up.cut();
        }
    }

    /// The client hears that the socket broke.
    pub(crate) fn client_learns(&mut self, id: u64, ms: u64) {
        if let Some(link) = self.links.get_mut(&id) {
            link.down = Pipe::new();
        }
        self.down(id, ToClient::Closed(1006, String::new()), ms);
    }

    /// The process ends without a word; some machines' kernels at least reset the sockets.
    pub(crate) fn server_down(&mut self, down_ms: u64) {
        if !self.up {
            return;
        }
        if let Some(writer) = self.writer.as_ref().filter(|_| self.draining) {
            // A deploy waits until all is stored.
            writer.finish();
        }
        self.up = false;
        let links: Vec<u64> = std::mem::take(&mut self.nodes).into_keys().collect();
        let told = self.dice.chance(70);
        for id in links {
            if let Some(link) = self.links.get_mut(&id) {
                link.cut();
            }
            if told {
                let ms = self.dice.below(300);
                self.client_learns(id, ms);
            }
        }
        self.after(down_ms, Happening::ServerUp);
    }

    pub(crate) fn server_up(&mut self) {
        self.new_process();
        self.up = true;
        self.draining = false;
        note!(self, "server is up again as process {}", self.processes);
    }

    pub(crate) fn new_process(&mut self) {
        self.processes += 1;
        if self.settings.commit_ms.is_some() {
            self.disk.reopened(self.mutant);
            self.book.restarted(&self.disk.epoch(), &self.disk.offsets(), std::mem::take(&mut self.power_lost));
        }
        let (engine, writer) = engine(&self.settings, &self.book, &self.disk, self.mutant, self.processes);
        self.writer = writer;
        self.shared = process(&self.settings, engine, self.mutant, self.processes, self.now);
    }

    /// The machine loses its power: what a disk had not written is gone, and its streams can't go on in their epoch.
    pub(crate) fn power_fails(&mut self, down_ms: u64) {
        if !self.up {
            return;
        }
        note!(self, "the power fails");
        self.server_down(down_ms);
        if self.settings.commit_ms.is_some() && !self.settings.syncs {
            self.disk.lose_power(self.dice.below(9) as usize, self.mutant);
            self.power_lost = true;
        }
    }

    /// What the writer of this process has to do is put on the agenda.
    pub(crate) fn schedule_writer(&mut self) {
        let Some(writer) = self.writer.as_ref().filter(|_| self.up) else { return };
        let turn = writer.turn();
        if turn == Turn::Nothing {
            return;
        }
        let (low, high) = self.settings.commit_ms.unwrap_or_default();
        let ms = if self.calm { self.dice.below(20) } else { self.dice.range(low, high) };
        self.after(ms, Happening::Writer(self.processes, turn));
    }

    /// The writer's turn has come, unless its process is gone.
    pub(crate) fn writers_turn(&mut self, process: u64, turn: Turn) {
        let Some(writer) = self.writer.clone().filter(|_| self.up && process == self.processes) else { return };
        match turn {
            Turn::Nothing => {}
            Turn::Commit if self.now < self.disk_full_until => {
                note!(self, "the disk is full");
                writer.refuse();
            }
            Turn::Commit => {
                note!(self, "the writer commits");
                writer.commit();
                if self.mutant == Mutant::AcknowledgedEarly {
                    writer.deliver_early();
                }
                if let Some(down_ms) = self.ends_at_commit.take().filter(|_| !self.calm) {
                    return self.server_down(down_ms);
                }
            }
            Turn::Deliver => writer.deliver(),
        }
        self.wake_all();
    }
}
