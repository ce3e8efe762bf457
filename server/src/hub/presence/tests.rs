//! Presence in virtual time: what each member is told, and a naive model that knows nothing but who is connected.

use super::{Departure, Person, PresenceOptions};
use crate::{
    engine::{MemoryEngine, Retention, Retentions},
    hub::{
        Hub, JoinRequest,
        outbox::{Item, Outbox},
        registry::ConnectionId,
    },
};
use osbackend_protocol::RoomName;
use proptest::prelude::*;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const START: u64 = 1_000_000;
const GRACE: u64 = 15_000;

/// What one client makes of what it is told, by docs/PROTOCOL.md alone.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Picture {
    Unknown,
    Users(BTreeSet<String>),
    Counts(u64),
}

struct Client {
    user: Option<String>,
    outbox: Arc<Outbox>,
    picture: Picture,
    told: usize,
}

/// A hub with one room, and clients that read at once.
struct World {
    hub: Hub,
    room: RoomName,
    now: u64,
    next: u64,
    clients: BTreeMap<u64, Client>,
}

impl World {
    fn new(options: PresenceOptions) -> Self {
        let engine = MemoryEngine::new("p", Retentions::from(Retention { events: 10, age_ms: 0 }));
        let hub = Hub::new(Box::new(engine), "p", options);
        Self { hub, room: RoomName::parse("agent:7").unwrap(), now: START, next: 0, clients: BTreeMap::new() }
    }

    /// Long after its start.
    fn settled(limit: usize) -> Self {
        Self::new(PresenceOptions { grace_ms: GRACE, limit, quiet_until: 0 })
    }

    fn join(&mut self, user: Option<&str>) -> u64 {
        self.join_as(user, true, false)
    }

    fn come_back(&mut self, user: &str) -> u64 {
        self.join_as(Some(user), true, true)
    }

    fn join_as(&mut self, user: Option<&str>, presence: bool, returning: bool) -> u64 {
        self.next += 1;
        let outbox = Arc::new(Outbox::new(0));
        let person = user.map(|user| Person { user: user.into(), info: None });
        let room = self.room.clone();
        let request = JoinRequest { room, position: None, snapshot: true, max_clients: None, presence, returning, own: false };
        self.hub.join(ConnectionId(self.next), &outbox, person.as_ref(), &request, self.now, |_| {}).unwrap();
        let client = Client { user: user.map(str::to_owned), outbox, picture: Picture::Unknown, told: 0 };
        self.clients.insert(self.next, client);
        self.next
    }

    fn leave(&mut self, client: u64, how: Departure) {
        self.clients.remove(&client);
        assert!(self.hub.leave(ConnectionId(client), &self.room, how, self.now));
    }

    fn ask(&mut self, client: u64) {
        let outbox = self.clients[&client].outbox.clone();
        self.hub.tell_presence(ConnectionId(client), &self.room, |presence| {
            let frame = serde_json::json!({"type": "presence", "data": presence, "id": 1});
            outbox.push(Item::Text(frame.to_string().into()));
        });
    }

    /// Time passes, and what is due is done at its time.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(at) = self.hub.next_presence().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.hub.presence_due(self.now);
        }
        self.now = end;
    }

    /// Each reads what is queued; the frames, as `type user`.
    fn read(&mut self, client: u64) -> Vec<String> {
        let client = self.clients.get_mut(&client).unwrap();
        let mut lines = Vec::new();
        for item in client.outbox.take().items {
            let Item::Text(text) = item else { panic!("an event in a room where nothing is published: {item:?}") };
            let frame: Value = serde_json::from_str(&text).unwrap();
            client.told += 1;
            let user = frame["data"]["userId"].as_str().unwrap_or_default().to_owned();
            lines.push(format!("{} {user}", frame["type"].as_str().unwrap()).trim().to_owned());
            match (frame["type"].as_str().unwrap(), &mut client.picture) {
                ("presence", picture) => {
                    let users = frame["data"]["users"].as_array().unwrap().iter();
                    let users = users.map(|user| user["userId"].as_str().unwrap().to_owned()).collect();
                    let counts = frame["data"]["counts"]["users"].as_u64();
                    *picture = counts.map_or(Picture::Users(users), Picture::Counts);
                }
                ("presence_join", Picture::Users(users)) => assert!(users.insert(user), "came, but was there"),
                ("presence_leave", Picture::Users(users)) => {
                    users.remove(&user);
                }
                _ => {}
            }
        }
        lines
    }

    fn read_all(&mut self) -> usize {
        let ids: Vec<u64> = self.clients.keys().copied().collect();
        ids.into_iter().map(|client| self.read(client).len()).sum()
    }

    fn users(&self) -> BTreeSet<String> {
        self.hub.presence(&self.room).users.into_iter().map(|user| user.user_id).collect()
    }
}

#[test]
fn the_first_connection_joins_and_the_last_one_leaves_after_the_grace() {
    let mut world = World::settled(200);
    let ada = world.join(Some("ada"));
    let bob = world.join(Some("bob"));
    assert_eq!(world.read(ada), ["presence_join bob"]);
    assert!(world.read(bob).is_empty(), "nobody is told of itself");
    let tab = world.join(Some("bob"));
    world.leave(bob, Departure::Lost);
    world.pass(GRACE * 2);
    assert!(world.read(ada).is_empty(), "a second tab makes no noise, nor does one tab less");
    world.leave(tab, Departure::Lost);
    world.pass(GRACE - 1);
    assert!(world.read(ada).is_empty());
    let presence = world.hub.presence(&world.room);
    let bob = presence.users.iter().find(|user| user.user_id == "bob").unwrap();
    assert_eq!((bob.clients, bob.joined_at.0), (0, START), "present until the grace is over");
    world.pass(1);
    assert_eq!(world.read(ada), ["presence_leave bob"]);
    assert_eq!(world.users(), BTreeSet::from(["ada".to_owned()]));
}

#[test]
fn a_reconnect_within_the_grace_is_no_news_and_the_next_loss_has_a_grace_of_its_own() {
    let mut world = World::settled(200);
    let ada = world.join(Some("ada"));
    let mut bob = world.join(Some("bob"));
    world.read(ada);
    for _ in 0..10 {
        world.leave(bob, Departure::Lost);
        world.pass(GRACE - 1);
        bob = world.join(Some("bob"));
    }
    assert!(world.read(ada).is_empty());
    world.leave(bob, Departure::Lost);
    world.pass(GRACE - 1);
    assert!(world.read(ada).is_empty());
    world.pass(1);
    assert_eq!(world.read(ada), ["presence_leave bob"]);
    assert_eq!(world.hub.next_presence(), None, "nobody is waited for any more");
}

#[test]
fn who_leaves_is_gone_at_once_unless_another_connection_was_lost_just_before() {
    let mut world = World::settled(200);
    let ada = world.join(Some("ada"));
    let bob = world.join(Some("bob"));
    world.leave(bob, Departure::Left);
    assert_eq!(world.read(ada), ["presence_join bob", "presence_leave bob"]);
    let (lost, left) = (world.join(Some("bob")), world.join(Some("bob")));
    world.leave(lost, Departure::Lost);
    world.leave(left, Departure::Left);
    assert_eq!(world.read(ada), ["presence_join bob"]);
    world.pass(GRACE);
    assert_eq!(world.read(ada), ["presence_leave bob"]);
}

#[test]
fn anonymous_clients_are_counted_and_not_told_of() {
    let mut world = World::settled(200);
    let ada = world.join(Some("ada"));
    let nobody = world.join(None);
    assert_eq!(world.hub.presence(&world.room).anonymous, 1);
    assert_eq!(world.read(ada).len(), 0);
    // It says who it is.
    let person = Person { user: "bob".into(), info: None };
    let room = world.room.clone();
    world.hub.identify(ConnectionId(nobody), &room, Some(&person), true, world.now);
    assert_eq!(world.read(ada), ["presence_join bob"]);
    assert_eq!((world.hub.presence(&room).anonymous, world.users().len()), (0, 2));
    world.leave(nobody, Departure::Left);
    assert_eq!(world.read(ada), ["presence_leave bob"]);
}

#[test]
fn who_may_not_see_presence_is_told_nothing_until_it_may() {
    let mut world = World::settled(200);
    let ada = world.join_as(Some("ada"), false, false);
    let bob = world.join(Some("bob"));
    assert!(world.read(ada).is_empty());
    let room = world.room.clone();
    world.hub.identify(ConnectionId(ada), &room, None, true, world.now);
    world.leave(bob, Departure::Left);
    assert_eq!(world.read(ada), ["presence_leave bob"]);
    world.ask(ada);
    world.hub.identify(ConnectionId(ada), &room, None, false, world.now);
    world.join(Some("bob"));
    assert_eq!(world.read(ada), ["presence"]);
}

#[test]
fn a_large_room_tells_counts_only_and_lists_again_when_it_has_emptied() {
    let mut world = World::settled(8);
    let first: Vec<u64> = (0..8).map(|n| world.join(Some(&format!("u{n}")))).collect();
    world.ask(first[0]);
    world.read_all();
    let ninth = world.join(Some("u8"));
    assert_eq!(world.read(first[0]), ["presence"], "who has asked learns that nothing more will come");
    assert_eq!(world.clients[&first[0]].picture, Picture::Counts(9));
    assert_eq!(world.read_all(), 0, "and nobody else is told");
    let more: Vec<u64> = (0..50).map(|n| world.join(Some(&format!("more{n}")))).collect();
    assert_eq!(world.read_all(), 0);
    let presence = world.hub.presence(&world.room);
    assert_eq!((presence.users.len(), presence.counts.map(|counts| (counts.users, counts.clients))), (0, Some((59, 59))));
    more.into_iter().chain([ninth, first[7]]).for_each(|client| world.leave(client, Departure::Left));
    assert_eq!(world.read_all(), 0, "just below the limit it is still counts");
    world.leave(first[6], Departure::Left);
    assert_eq!(world.read(first[0]), ["presence"]);
    assert_eq!(world.clients[&first[0]].picture, Picture::Users(world.users()));
    assert_eq!(world.read_all(), 0);
    world.leave(first[5], Departure::Left);
    assert_eq!(world.read(first[0]), ["presence_leave u5"]);
}

#[test]
fn after_a_restart_nobody_is_a_ghost_and_nobody_who_comes_back_is_news() {
    let mut world = World::new(PresenceOptions::new(GRACE, 200, START));
    assert!(world.users().is_empty());
    let ada = world.join(Some("ada"));
    world.ask(ada);
    assert_eq!(world.read(ada), ["presence"]);
    for n in 0..20 {
        world.pass(100);
        world.come_back(&format!("u{n}"));
    }
    assert_eq!(world.read_all(), 0);
    world.join(Some("stranger"));
    assert_eq!(world.read_all(), 21, "who was not here before is news at once");
    world.pass(GRACE);
    assert_eq!(world.read(ada), ["presence"], "who asked too early gets one new picture");
    assert_eq!(world.clients[&ada].picture, Picture::Users(world.users()));
    assert_eq!((world.users().len(), world.read_all()), (22, 0));
    world.join(Some("new"));
    assert_eq!(world.read(ada), ["presence_join new"]);
}

#[test]
fn a_draining_server_tells_of_nobody_who_moves_to_its_successor() {
    let mut world = World::settled(200);
    let ada = world.join(Some("ada"));
    let bob = world.join(Some("bob"));
    world.read(ada);
    world.hub.registry.begin_drain();
    world.leave(bob, Departure::Lost);
    world.pass(GRACE * 2);
    assert!(world.read(ada).is_empty());
    assert_eq!(world.hub.next_presence(), None);
}

#[test]
fn a_room_is_kept_while_somebody_may_come_back_and_not_longer() {
    let mut world = World::settled(200);
    let ada = world.join(Some("ada"));
    world.leave(ada, Departure::Lost);
    world.hub.sweep(world.now);
    assert_eq!((world.users().len(), world.hub.rooms().len(), world.hub.present_users()), (1, 1, 1));
    world.pass(GRACE);
    assert_eq!((world.users().len(), world.hub.rooms().len(), world.hub.present_users()), (0, 0, 0));
}

/// Messages that five thousand clients cause in one room, each with a user of its own, where every tenth has asked.
#[test]
fn five_thousand_reconnects_make_no_message_and_five_thousand_strangers_a_bounded_number() {
    let mut world = World::settled(200);
    let mut clients: Vec<u64> = (0..5_000).map(|n| world.join(Some(&format!("u{n}")))).collect();
    clients.iter().step_by(10).for_each(|client| world.ask(*client));
    // The 200th hears of nobody, the first of 199: n²/2 up to the limit, and nothing beyond it.
    assert_eq!(world.read_all(), 200 * 199 / 2 + 500);
    clients.drain(..).for_each(|client| world.leave(client, Departure::Lost));
    world.pass(GRACE - 1);
    clients = (0..5_000).map(|n| world.join(Some(&format!("u{n}")))).collect();
    assert_eq!(world.read_all(), 0);
    world.pass(GRACE);
    assert_eq!((world.read_all(), world.hub.next_presence()), (0, None));
    drop(clients);

    // The same after a crash: a room just below the limit, and all have asked.
    let mut world = World::new(PresenceOptions::new(GRACE, 200, START));
    for n in 0..200 {
        let client = world.come_back(&format!("u{n}"));
        world.ask(client);
    }
    assert_eq!(world.read_all(), 200, "the answers");
    world.pass(GRACE);
    assert_eq!(world.read_all(), 200, "one picture each");
}

#[derive(Clone, Debug)]
enum Deed {
    Join(Option<usize>, bool),
    Leave(prop::sample::Index, Departure),
    Ask(prop::sample::Index),
    Pass(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let which = any::<prop::sample::Index>;
    let how = prop::sample::select(vec![Departure::Lost, Departure::Left]);
    prop_oneof![
        4 => (prop::option::weighted(0.9, 0..12_usize), any::<bool>()).prop_map(|(user, back)| Deed::Join(user, back)),
        3 => (which(), how).prop_map(|(client, how)| Deed::Leave(client, how)),
        2 => which().prop_map(Deed::Ask),
        2 => prop::sample::select(vec![1, 500, 5_000, GRACE - 1, GRACE]).prop_map(Deed::Pass),
    ]
}

/// Who is connected, and until when whose lost connection is waited for: all that there is to know.
#[derive(Default)]
struct Model {
    users: BTreeMap<String, (usize, u64)>,
}

impl Model {
    fn present(&self, now: u64) -> BTreeSet<String> {
        let present = |(clients, until): &(usize, u64)| *clients > 0 || *until > now;
        self.users.iter().filter(|(_, user)| present(user)).map(|(user, _)| user.clone()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens: who has asked believes what is true, at every step.
    #[test]
    fn who_has_asked_knows_who_is_there(
        deeds in prop::collection::vec(deed(), 1..120),
        limit in prop::sample::select(vec![0_usize, 4, 200]),
        restarted in any::<bool>(),
    ) {
        let quiet_until = if restarted { START + GRACE } else { 0 };
        let mut world = World::new(PresenceOptions { grace_ms: GRACE, limit, quiet_until });
        let mut model = Model::default();
        let mut crowded = false;
        for deed in deeds {
            let ids: Vec<u64> = world.clients.keys().copied().collect();
            match deed {
                Deed::Join(user, returning) => {
                    let user = user.map(|n| format!("u{n}"));
                    world.join_as(user.as_deref(), true, returning);
                    if let Some(user) = user {
                        let (clients, until) = model.users.entry(user).or_default();
                        (*clients, *until) = (*clients + 1, 0);
                    }
                }
                Deed::Leave(client, how) if !ids.is_empty() => {
                    let client = *client.get(&ids);
                    let user = world.clients[&client].user.clone();
                    world.leave(client, how);
                    if let Some((clients, until)) = user.and_then(|user| model.users.get_mut(&user)) {
                        *clients -= 1;
                        if how == Departure::Lost {
                            *until = world.now + GRACE;
                        }
                    }
                }
                Deed::Ask(client) if !ids.is_empty() => world.ask(*client.get(&ids)),
                Deed::Leave(..) | Deed::Ask(_) => {}
                Deed::Pass(ms) => world.pass(ms),
            }
            let present = model.present(world.now);
            crowded = limit > 0 && (present.len() > limit || crowded && present.len() > limit - limit / 4);
            let presence = world.hub.presence(&world.room);
            prop_assert_eq!(presence.counts.map(|counts| counts.users), crowded.then_some(present.len() as u64));
            prop_assert_eq!(world.users(), if crowded { BTreeSet::new() } else { present.clone() });
            let anonymous = world.clients.values().filter(|client| client.user.is_none()).count();
            prop_assert_eq!(presence.anonymous, anonymous as u64);
            world.read_all();
            for client in world.clients.values().filter(|client| client.picture != Picture::Unknown) {
                match &client.picture {
                    Picture::Counts(_) => prop_assert!(crowded),
                    Picture::Users(users) if world.now >= quiet_until => prop_assert_eq!(users, &present),
                    _ => prop_assert!(!crowded),
                }
            }
        }
    }
}
