//! A room tells its members who comes and goes, under its lock.

use super::{
    super::{
        outbox::Item,
        registry::ConnectionId,
        room::{Member, Room},
    },
    Departure, Info, Person, Presences,
    roster::{Change, Departed},
};
use osbackend_protocol::{ServerFrame, ServerMessage, SystemFrame, Timestamp, encode_server, server_msg::PresenceChange};
use std::sync::Arc;

impl Room {
    /// `connection` has become a member; `returning` as in [`super::super::JoinRequest`].
    pub(in crate::hub) fn arrived(
        &mut self,
        connection: ConnectionId,
        person: Option<&Person>,
        returning: bool,
        now: u64,
        presences: &Presences,
    ) {
        match self.roster.arrive(person, returning, now, &presences.options) {
            Change::None | Change::Left => {}
            Change::Joined => {
                let Some(person) = person else { return };
                let change = self.change(&person.user, person.info.as_ref());
                self.tell(ServerMessage::PresenceJoin(change), now, |member| {
                    member.sees_presence && member.connection != connection
                });
            }
            Change::Redrawn => self.redraw(now),
            Change::Stale => {
                if !self.stale && self.members.iter().any(|member| member.follows_presence) {
                    self.stale = true;
                    presences.departures.stale(self.name.clone());
                }
            }
        }
    }

    /// `member` is none any more.
    pub(in crate::hub) fn departed(&mut self, member: &Member, how: Departure, now: u64, presences: &Presences) {
        let info = member.user.as_ref().and_then(|user| self.roster.info(user)).cloned();
        let departed = self.roster.depart(member.user.as_ref(), how, now, &presences.options);
        if let Some(user) = &member.user {
            self.gone(user, info, departed, now, presences);
        }
    }

    /// A departure of this user may be old enough to be told.
    pub(in crate::hub) fn expired(&mut self, user: &Arc<str>, now: u64, presences: &Presences) {
        let info = self.roster.info(user).cloned();
        let departed = self.roster.expire(user, now, &presences.options);
        self.gone(user, info, departed, now, presences);
    }

    fn gone(&mut self, user: &Arc<str>, info: Option<Arc<Info>>, departed: Departed, now: u64, presences: &Presences) {
        if let Some(due) = departed.due {
            presences.departures.remind(due, self.name.clone(), user.clone());
        }
        match departed.change {
            Change::Left => {
                let change = self.change(user, info.as_ref());
                self.tell(ServerMessage::PresenceLeave(change), now, |member| member.sees_presence);
            }
            Change::Redrawn => self.redraw(now),
            Change::None | Change::Joined | Change::Stale => {}
        }
    }

    /// A member asked who is there, and may: it is told of changes from now on.
    pub(in crate::hub) fn follow(&mut self, connection: ConnectionId) {
        if let Some(member) = self.member(connection) {
            member.sees_presence = true;
            member.follows_presence = true;
        }
    }

    /// What is known of a member has changed.
    pub(in crate::hub) fn identify(
        &mut self,
        connection: ConnectionId,
        person: Option<&Person>,
        sees: bool,
        now: u64,
        presences: &Presences,
    ) {
        let Some(member) = self.member(connection) else { return };
        member.sees_presence = sees;
        // What it was told is kept true only while it may know.
        member.follows_presence &= sees;
        if member.user.is_none()
            && let Some(person) = person
        {
            member.user = Some(person.user.clone());
            self.roster.depart(None, Departure::Left, now, &presences.options);
            self.arrived(connection, Some(person), false, now, presences);
        }
    }

    /// Gives a new picture to everyone who has asked for one.
    pub(in crate::hub) fn redraw(&mut self, now: u64) {
        self.stale = false;
        if self.members.iter().any(|member| member.follows_presence) {
            let presence = self.roster.presence(self.name.clone());
            self.tell(ServerMessage::Presence(presence), now, |member| member.follows_presence);
        }
    }

    fn member(&mut self, connection: ConnectionId) -> Option<&mut Member> {
        let place = *self.places.get(&connection)?;
        self.members.get_mut(place)
    }

    fn change(&self, user: &Arc<str>, info: Option<&Arc<Info>>) -> PresenceChange {
        let info = info.map(|info| info.to_json());
        PresenceChange { room: self.name.clone(), user_id: user.to_string(), info }
    }

    /// Encoded once, for as many as there are.
    fn tell(&self, message: ServerMessage, now: u64, to: impl Fn(&Member) -> bool) {
        let mut told = self.members.iter().filter(|member| to(member)).peekable();
        if told.peek().is_none() {
            return;
        }
        let frame = SystemFrame { message, id: None, timestamp: Timestamp(now) };
        let item = Item::Text(encode_server(&ServerFrame::System(frame)).into());
        for member in told {
            member.outbox.push(item.clone());
        }
    }
}
