//! One run: the server's process, the clients, the sockets between them, and the one clock.

use crate::{
    app::App,
    dice::Dice,
    durable::{Disk, Turn, Writer},
    judge::Verdict,
    mutant::Mutant,
    network::{Link, ToClient, ToServer},
    node::Node,
    oracle::Book,
    orders::Order,
    process::{engine, process},
    schedule::{self, Act, CALM_MS, CHAOS_MS, IDLE_MS, Settings},
};
use osbackend_client_core::{Input, RoomStatus};
use osbackend_server::{
    auth::Verified,
    connection::{Connection, Shared},
    handlers::Running,
    session::{Mode, Refusal, Verdict as BackendVerdict},
};
use std::{cmp::Reverse, collections::BTreeMap, collections::BinaryHeap, sync::Arc};

/// When the world begins, in milliseconds since 1970.
pub(crate) const BEGIN: u64 = 1_700_000_000_000;
/// How often the hub sweeps, as in the real server.
const SWEEP_MS: u64 = 30_000;
/// More steps than any run needs: one that takes them is going in circles.
const MOST_STEPS: u64 = 400_000;

/// What comes to pass.
pub(crate) enum Happening {
    Act(Act),
    Accept(u64),
    ToServer(u64),
    ToClient(u64),
    Verified(u64, Result<Verified, Refusal>),
    /// The backend's answer to the question with this ticket.
    Answered(u64, u64, BackendVerdict),
    /// A handler of custom messages is done.
    Handled(u64, Box<Running>),
    Token(usize, Result<Option<String>, String>),
    /// A server learns that a socket is gone.
    ServerLearns(u64),
    Unstall(u64),
    Reconnect(usize),
    Sweep,
    /// The writer of this process goes on.
    Writer(u64, Turn),
    /// A backend looks after what it has published.
    Order(usize),
    ServerDown(u64),
    ServerUp,
}

/// Figures of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) delivered: u64,
    pub(crate) skipped: u64,
    pub(crate) recovered: u64,
    pub(crate) lost: u64,
    pub(crate) sessions: u64,
    /// Of who is in a room, judged.
    pub(crate) pictures: u64,
    /// Publishes that were written again.
    pub(crate) retried: u64,
    /// Publishes of backends that were stored, and attempts more than that.
    pub(crate) orders: u64,
    pub(crate) repeated: u64,
    /// Sessions that were taken over, and attempts with a token that was someone else's.
    pub(crate) taken_over: u64,
    pub(crate) thefts: u64,
    /// Clients that left a draining server at their slot.
    pub(crate) drained: u64,
    /// Answers of slow handlers.
    pub(crate) handled: u64,
    pub(crate) steps: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.skipped += other.skipped;
        self.recovered += other.recovered;
        self.lost += other.lost;
        self.sessions += other.sessions;
        self.pictures += other.pictures;
        self.retried += other.retried;
        self.orders += other.orders;
        self.repeated += other.repeated;
        self.taken_over += other.taken_over;
        self.thefts += other.thefts;
        self.drained += other.drained;
        self.handled += other.handled;
        self.steps += other.steps;
    }
}

/// The world.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) dice: Dice,
    pub(crate) settings: Settings,
    pub(crate) mutant: Mutant,
    pub(crate) apps: Vec<App>,
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) nodes: BTreeMap<u64, Node>,
    pub(crate) next_link: u64,
    pub(crate) shared: Arc<Shared>,
    /// Of the process, where its engine is a durable one.
    pub(crate) writer: Option<Arc<Writer>>,
    pub(crate) disk: Disk,
    pub(crate) disk_full_until: u64,
    /// The process ends after its next commit, for this long.
    pub(crate) ends_at_commit: Option<u64>,
    /// Since the last process began.
    pub(crate) power_lost: bool,
    /// What backends publish, each until it is stored.
    pub(crate) orders: Vec<Order>,
    pub(crate) processes: u64,
    pub(crate) up: bool,
    pub(crate) draining: bool,
    /// When the slots of drained connections come.
    pub(crate) slots: BTreeMap<u64, u64>,
    pub(crate) book: Book,
    pub(crate) next_number: u64,
    pub(crate) calm: bool,
    /// Nobody may lose a connection any more.
    pub(crate) serene: bool,
    /// Where a mutant owes a frame.
    pub(crate) swallowed: Option<String>,
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    next_happening: u64,
    pub(crate) tally: Tally,
    pub(crate) verdict: Verdict,
    pub(crate) trace: Option<Vec<String>>,
}

/// Notes a line where a trace is kept.
macro_rules! note {
    ($world:expr, $($arg:tt)*) => {
        if $world.trace.is_some() {
            let line = format!($($arg)*);
            $world.trace_line(line);
        }
    };
}
pub(crate) use note;

/// Runs a seed: its figures, or what went wrong.
pub(crate) fn run(seed: u64, mutant: Mutant, trace: bool) -> (Result<Tally, String>, Vec<String>) {
    let mut dice = Dice::new(seed);
    let settings = Settings::draw(&mut dice);
    let plan = schedule::draw(&mut dice, settings.clients.len());
    let apps = settings.clients.iter().enumerate().map(|(number, client)| App::new(number, client, dice.seed(), BEGIN)).collect();
    let (book, disk) = (Book::default(), Disk::default());
    book.read().retention = settings.history;
    if settings.commit_ms.is_some() {
        book.restarted(&disk.epoch(), &disk.offsets(), false);
    }
    let (engine, writer) = engine(&settings, &book, &disk, mutant, 0);
    let mut world = World {
        now: BEGIN,
        shared: process(&settings, engine, mutant, 0, BEGIN),
        writer,
        disk,
        disk_full_until: 0,
        ends_at_commit: None,
        power_lost: false,
        orders: Vec::new(),
        dice,
        settings,
        mutant,
        apps,
        links: BTreeMap::new(),
        nodes: BTreeMap::new(),
        next_link: 0,
        processes: 0,
        up: true,
        draining: false,
        slots: BTreeMap::new(),
        book,
        next_number: 1,
        calm: false,
        serene: false,
        swallowed: None,
        agenda: BinaryHeap::new(),
        happenings: BTreeMap::new(),
        next_happening: 0,
        tally: Tally::default(),
        verdict: Ok(()),
        trace: trace.then(Vec::new),
    };
    for (at, act) in plan {
        world.at(BEGIN + at, Happening::Act(act));
    }
    world.at(BEGIN + SWEEP_MS, Happening::Sweep);
    world.live();
    for app in &world.apps {
        world.tally.delivered += app.judge.delivered;
        world.tally.skipped += app.judge.skipped;
        world.tally.recovered += app.judge.recovered;
        world.tally.lost += app.judge.lost;
    }
    (world.verdict.map(|()| world.tally), world.trace.unwrap_or_default())
}

impl World {
    pub(crate) fn trace_line(&mut self, line: String) {
        let at = self.now - BEGIN;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>4}.{:03} {line}", at / 1_000, at % 1_000));
        }
    }

    pub(crate) fn at(&mut self, at: u64, happening: Happening) {
        self.next_happening += 1;
        self.agenda.push(Reverse((at, self.next_happening)));
        self.happenings.insert(self.next_happening, happening);
    }

    pub(crate) fn after(&mut self, ms: u64, happening: Happening) {
        self.at(self.now + ms, happening);
    }

    pub(crate) fn fail(&mut self, what: String) {
        if self.verdict.is_ok() {
            note!(self, "!! {what}");
            self.verdict = Err(what);
        }
    }

    fn live(&mut self) {
        self.until(BEGIN + CHAOS_MS);
        self.begin_calm();
        self.until(BEGIN + CHAOS_MS + CALM_MS);
        self.serene = true;
        self.expect_all_connected();
        for client in 0..self.apps.len() {
            if self.apps[client].demoted {
                self.act(Act::Refresh { client });
            }
        }
        self.until(BEGIN + CHAOS_MS + CALM_MS + IDLE_MS);
        for room in 0..schedule::ROOMS.len() {
            self.publish(room, 3, schedule::Kind::Mixed);
        }
        self.until(BEGIN + CHAOS_MS + CALM_MS + IDLE_MS + 20_000);
        // After a refresh of its token a client asks again for what it was refused: that is not for ever.
        for _ in 0..3 {
            let rooms = self.apps.iter().flat_map(|app| app.driver.machine.rooms());
            if rooms.into_iter().any(|room| room.status == RoomStatus::Joining) {
                self.until(self.now + 2_000);
            }
        }
        self.expect_rest();
    }

    /// Lets things happen until `end`.
    fn until(&mut self, end: u64) {
        while self.verdict.is_ok() {
            self.tally.steps += 1;
            self.schedule_writer();
            if self.tally.steps > MOST_STEPS {
                return self.fail("the run goes in circles: too many steps".to_owned());
            }
            let happening = self.agenda.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
            let deaf = self.mutant == Mutant::DeafTimers;
            let client = (0..self.apps.len()).filter(|number| !deaf || *number > 0);
            let client = client.filter_map(|number| Some((self.apps[number].next_deadline()?, number))).min();
            let node = self.nodes.iter().filter_map(|(link, node)| Some((node.next_deadline()?, *link))).min();
            let (client_at, node_at) = (client.map_or(u64::MAX, |(at, _)| at), node.map_or(u64::MAX, |(at, _)| at));
            let missed_at = if self.up { self.shared.hub.next_presence().unwrap_or(u64::MAX) } else { u64::MAX };
            let next = happening.min(client_at).min(node_at).min(missed_at);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if missed_at == next {
                self.shared.hub.presence_due(self.now);
                self.pump_all();
            } else if let Some((_, number)) = client.filter(|(at, _)| *at == next) {
                self.input(number, Input::Timer);
            } else if let Some((_, link)) = node.filter(|(at, _)| *at == next) {
                let now = self.now;
                if let Some(node) = self.nodes.get_mut(&link) {
                    node.connection.on_timer(now);
                }
                self.pump_all();
            } else if let Some(Reverse((_, number))) = self.agenda.pop()
                && let Some(happening) = self.happenings.remove(&number)
            {
                self.happen(happening);
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Act(act) => self.act(act),
            Happening::Accept(link) => self.accept(link),
            Happening::ToServer(link) => self.reaches_server(link),
            Happening::ToClient(link) => self.reaches_client(link),
            Happening::Verified(link, result) => {
                let now = self.now;
                if let Some(node) = self.nodes.get_mut(&link) {
                    node.verified();
                    node.connection.on_verified(result, now);
                    self.pump_all();
                }
            }
            Happening::Answered(link, ticket, verdict) => {
                let now = self.now;
                if let Some(node) = self.nodes.get_mut(&link) {
                    node.connection.on_answer(ticket, verdict, now);
                    self.pump_all();
                }
            }
            Happening::Handled(link, running) => self.handled(link, *running),
            Happening::Token(client, answer) => self.input(client, Input::Token(answer)),
            Happening::ServerLearns(link) => self.server_gone(link),
            Happening::Unstall(link) => self.pump(link),
            Happening::Reconnect(client) => self.input(client, Input::Connect),
            Happening::Sweep => {
                self.shared.hub.sweep(self.now);
                self.after(SWEEP_MS, Happening::Sweep);
            }
            Happening::Writer(process, turn) => self.writers_turn(process, turn),
            Happening::Order(order) => self.look_after(order),
            Happening::ServerDown(down_ms) => self.server_down(down_ms),
            Happening::ServerUp => self.server_up(),
        }
        if let Some(broken) = self.book.read().broken.take() {
            self.verdict = Err(broken);
        }
    }

    fn accept(&mut self, id: u64) {
        let Some(link) = self.links.get(&id) else { return };
        let delay = link.delay(&mut self.dice);
        let client = link.client;
        if !self.up || self.draining || self.apps[client].offline {
            return self.down(id, ToClient::Closed(1006, String::new()), delay);
        }
        let connection = Connection::new(self.shared.clone(), Mode::V1, Ok(None), self.now);
        self.nodes.insert(id, Node::new(connection));
        if !self.calm && self.dice.chance(self.settings.slow_starts) {
            let until = self.now + self.dice.range(1_000, 25_000);
            if let Some(link) = self.links.get_mut(&id) {
                link.lag(until, (true, false));
            }
        }
        note!(self, "server accepts link {id} of client {client}");
        self.down(id, ToClient::Opened, delay);
    }

    /// Sends to a client.
    pub(crate) fn down(&mut self, id: u64, frame: ToClient, delay: u64) {
        let now = self.now;
        if let Some(at) = self.links.get_mut(&id).and_then(|link| link.down.send(frame, now, delay)) {
            self.at(at, Happening::ToClient(id));
        }
    }

    /// Sends to the server.
    pub(crate) fn up(&mut self, id: u64, frame: ToServer) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        let delay = link.delay(&mut self.dice);
        if let Some(at) = link.up.send(frame, now, delay) {
            self.at(at, Happening::ToServer(id));
        }
    }

    fn reaches_server(&mut self, id: u64) {
        let now = self.now;
        let Some(frame) = self.links.get_mut(&id).and_then(|link| link.up.receive(now)) else { return };
        if let Some(node) = self.nodes.get_mut(&id) {
            // The task may look at the socket just before a publisher fills its queue.
            let at_once = self.dice.chance(self.settings.busy);
            node.arrived(frame, at_once, now);
            self.pump_all();
        }
    }

    fn reaches_client(&mut self, id: u64) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(frame) = link.down.receive(now) else { return };
        let client = link.client;
        if !link.heard || self.apps[client].link != Some(id) {
            return;
        }
        match frame {
            ToClient::Opened => self.input(client, Input::SocketOpened),
            ToClient::Ping => self.up(id, ToServer::Pong),
            ToClient::Closed(code, reason) => {
                note!(self, "client {client}: socket closed {code} {reason}");
                if let Some(link) = self.links.get_mut(&id) {
                    link.heard = false;
                    link.cut();
                }
                self.apps[client].link = None;
                self.input(client, Input::SocketClosed { code, reason });
            }
            ToClient::Text(text) => {
                let Some(text) = self.tampered(text) else { return };
                note!(self, "client {client} <- {}", crate::short(&text));
                self.overhear(client, id, &text);
                let clock = self.apps[client].clock(now);
                self.apps[client].driver.text(&text, clock);
                self.settle(client);
            }
        }
    }

    pub(crate) fn input(&mut self, client: usize, input: Input) {
        if !matches!(input, Input::Timer) {
            note!(self, "client {client}: {}", crate::short(&format!("{input:?}")));
        }
        let clock = self.apps[client].clock(self.now);
        self.apps[client].driver.handle(input, clock);
        self.settle(client);
    }

    fn begin_calm(&mut self) {
        note!(self, "-- no more faults");
        self.calm = true;
        for client in 0..self.apps.len() {
            self.apps[client].offline = false;
            if self.apps[client].hidden {
                self.apps[client].hidden = false;
                self.input(client, Input::Visible);
            }
            self.act(Act::Connect { client });
        }
    }
}
