//! How many are in: places in all, by address and by user, and whose place a client that resumes takes over.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::address;
use crate::config::Limits;

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// `MAX_CONNECTIONS` are open, or so many new ones wait by `CONNECT_RATE` that this one would wait longer than
    /// [`CONNECT_PATIENCE_MS`]: not this client's fault, try later.
    #[error("the server has no room for another connection now")]
    Full {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// This address opens connections faster than `CONNECT_RATE_PER_IP`.
    #[error("this address opens connections too fast")]
    AddressRate {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// `MAX_CONNECTIONS_PER_IP` are open from this address, or from its IPv6 network.
    #[error("too many connections from this address")]
    Address,
    /// `MAX_CONNECTIONS_PER_USER` are open of this user.
    #[error("too many connections of this user")]
    User,
}

/// Counts the open connections of a server. Cloning shares the counts.
#[derive(Clone, Debug)]
pub struct Admission {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug)]
struct Counts {
    limits: Limits,
    /// What each counted connection counts for, by its number.
    places: HashMap<u64, Held>,
    next: u64,
    /// Of the places, those at the door.
    at_the_door: usize,
    by_ip: HashMap<IpAddr, ByIp>,
    by_user: HashMap<String, usize>,
}

/// Of one address group.
#[derive(Clone, Copy, Debug, Default)]
struct ByIp {
    open: usize,
    at_the_door: usize,
}

/// What one connection counts for, beside the total.
#[derive(Debug, Default)]
struct Held {
    ip: Option<IpAddr>,
    /// Over the limit of its address: see [`Admission::at_the_door`].
    at_the_door: bool,
    user: Option<String>,
}

/// One counted connection; dropping it gives the place back.
#[derive(Debug)]
pub struct Place {
    counts: Arc<Mutex<Counts>>,
    number: u64,
    ip: Option<IpAddr>,
}

/// What became of a client that took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seated {
    /// There was room.
    Free,
    /// It took over the place of the older connection, which is to be closed.
    TakenOver,
}

/// How long a connection that comes faster than `CONNECT_RATE` is kept waiting at most, in milliseconds. A client that is
/// turned away comes back after a delay that doubles, and a browser is not even told which: when a server's clients come back
/// all together, waiting here is sooner, and no more work. Less than a client waits for its connection (10 s).
pub const CONNECT_PATIENCE_MS: u64 = 8_000;

/// After how long to try again when all places are taken, in milliseconds: nobody knows when one becomes free.
pub const FULL_RETRY_MS: u64 = 5_000;

/// Connections over their address's limit that are let in at the same time, to be told so or to take over a place of their own.
const AT_THE_DOOR: usize = 32;
/// Of one address.
const AT_THE_DOOR_PER_IP: usize = 8;

impl Admission {
    /// No connection counted yet.
    pub fn new(limits: &Limits) -> Self {
        let counts = Counts {
            limits: limits.clone(),
            places: HashMap::new(),
            next: 0,
            at_the_door: 0,
            by_ip: HashMap::new(),
            by_user: HashMap::new(),
        };
        Self { counts: Arc::new(Mutex::new(counts)) }
    }

    /// Counts a connection from `ip`; `None` where the address is unknown (an embedding without connect info).
    ///
    /// # Errors
    /// A limit is reached; nothing is counted.
    pub fn admit(&self, ip: Option<IpAddr>) -> Result<Place, NotAdmitted> {
        let mut counts = lock(&self.counts);
        counts.has_room()?;
        let group = ip.map(address::group);
        if let (Some(group), Some(most)) = (group, counts.limits.max_connections_per_ip)
            && counts.by_ip.get(&group).is_some_and(|of| of.open >= most)
        {
            return Err(NotAdmitted::Address);
        }
        Ok(self.take(&mut counts, ip, Held { ip: group, ..Held::default() }))
    }

    /// Counts a connection from an address that has reached its limit, so that it can be told, or can show that it comes in
    /// place of an older one ([`Place::sit`]). A few at a time may, and they count for the total as all do.
    ///
    /// # Errors
    /// Too many are at the door, or the server is full; nothing is counted.
    pub fn at_the_door(&self, ip: IpAddr) -> Result<Place, NotAdmitted> {
        let mut counts = lock(&self.counts);
        counts.has_room()?;
        let group = address::group(ip);
        let here = counts.by_ip.get(&group).map_or(0, |of| of.at_the_door);
        if counts.at_the_door >= AT_THE_DOOR || here >= AT_THE_DOOR_PER_IP {
            return Err(NotAdmitted::Address);
        }
        Ok(self.take(&mut counts, Some(ip), Held { ip: Some(group), at_the_door: true, user: None }))
    }

    /// Whether every connection that is open comes from this address, and it has as many as it may.
    pub fn is_all_of(&self, ip: IpAddr) -> bool {
        let counts = lock(&self.counts);
        let of = counts.by_ip.get(&address::group(ip)).copied().unwrap_or_default();
        of.open > 1 && of.open + of.at_the_door == counts.places.len()
    }

    fn take(&self, counts: &mut Counts, ip: Option<IpAddr>, held: Held) -> Place {
        counts.next += 1;
        let number = counts.next;
        counts.count(&held);
        counts.places.insert(number, held);
        Place { counts: self.counts.clone(), number, ip }
    }
}

impl Counts {
    fn has_room(&self) -> Result<(), NotAdmitted> {
        match self.limits.max_connections {
            Some(most) if self.places.len() >= most => Err(NotAdmitted::Full { retry_after_ms: FULL_RETRY_MS }),
            _ => Ok(()),
        }
    }

    fn count(&mut self, held: &Held) {
        self.at_the_door += usize::from(held.at_the_door);
        if let Some(ip) = held.ip {
            let of = self.by_ip.entry(ip).or_default();
            if held.at_the_door { of.at_the_door += 1 } else { of.open += 1 }
        }
        if let Some(user) = &held.user {
            *self.by_user.entry(user.clone()).or_default() += 1;
        }
    }

    fn uncount(&mut self, held: &Held) {
        self.at_the_door -= usize::from(held.at_the_door);
        if let Some(ip) = held.ip
            && let Some(of) = self.by_ip.get_mut(&ip)
        {
            if held.at_the_door {
                of.at_the_door -= 1
            } else {
                of.open -= 1
            }
            if of.open + of.at_the_door == 0 {
                self.by_ip.remove(&ip);
            }
        }
        if let Some(user) = &held.user
            && let Some(open) = self.by_user.get_mut(user)
        {
            *open -= 1;
            if *open == 0 {
                self.by_user.remove(user);
            }
        }
    }
}

impl Place {
    /// Its number among all places of this server, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The client's address, where it is known.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// Counts the connection as one of `user`, where there is one; from the door it goes in. Where a limit is reached, and
    /// `older` is the place of a connection of the same client (the caller knows, by a resume token) that counts for that same
    /// limit, it takes that place over: the older connection counts for the total only from then on, and is to be closed.
    ///
    /// # Errors
    /// A limit is reached, and `older` is none that could be taken over; everything stays counted as before.
    pub fn sit(&self, user: Option<&str>, older: Option<u64>) -> Result<Seated, NotAdmitted> {
        let mut guard = lock(&self.counts);
        let counts = &mut *guard;
        let Some(held) = counts.places.get(&self.number) else { return Ok(Seated::Free) };
        let older = older.filter(|number| *number != self.number).and_then(|number| Some((number, counts.places.get(&number)?)));
        let new_user = user.filter(|user| held.user.as_deref() != Some(*user));
        let mut take_over = false;
        if let (true, Some(ip), Some(most)) = (held.at_the_door, held.ip, counts.limits.max_connections_per_ip)
            && counts.by_ip.get(&ip).is_some_and(|of| of.open >= most)
        {
            if older.is_none_or(|(_, older)| older.at_the_door || older.ip != held.ip) {
                return Err(NotAdmitted::Address);
            }
            take_over = true;
        }
        if let (Some(user), Some(most)) = (new_user, counts.limits.max_connections_per_user)
            && counts.by_user.get(user).is_some_and(|open| *open >= most)
        {
            if older.is_none_or(|(_, older)| older.user.as_deref() != Some(user)) {
                return Err(NotAdmitted::User);
            }
            take_over = true;
        }
        let older = older.map(|(number, _)| number).filter(|_| take_over);
        if let Some(older) = older.and_then(|number| counts.places.get_mut(&number)).map(std::mem::take) {
            counts.uncount(&older);
        }
        if let Some(before) = counts.places.remove(&self.number) {
            counts.uncount(&before);
            let user = new_user.map(str::to_owned).or_else(|| before.user.clone());
            let held = Held { at_the_door: false, user, ..before };
            counts.count(&held);
            counts.places.insert(self.number, held);
        }
        Ok(if take_over { Seated::TakenOver } else { Seated::Free })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(held) = counts.places.remove(&self.number) {
            counts.uncount(&held);
        }
    }
}

/// A panic elsewhere must not stop new connections: the counts are whole at every unlock.
fn lock(counts: &Mutex<Counts>) -> std::sync::MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn admission(change: impl Fn(&mut Limits)) -> Admission {
        let mut limits = Config::default().limits;
        change(&mut limits);
        Admission::new(&limits)
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn places_are_given_back_when_dropped() {
        let admission = admission(|limits| limits.max_connections = Some(1));
        let place = admission.admit(None).unwrap();
        assert_eq!(admission.admit(None).unwrap_err(), NotAdmitted::Full { retry_after_ms: 5_000 });
        drop(place);
        assert!(admission.admit(None).is_ok());
        let counts = lock(&admission.counts);
        assert!(counts.places.is_empty() && counts.by_ip.is_empty() && counts.by_user.is_empty());
    }

    #[test]
    fn addresses_and_users_have_their_own_counts() {
        let admission = admission(|limits| {
            limits.max_connections_per_ip = Some(2);
            limits.max_connections_per_user = Some(1);
        });
        let first = admission.admit(ip("1.1.1.1")).unwrap();
        let second = admission.admit(ip("1.1.1.1")).unwrap();
        assert_eq!(admission.admit(ip("1.1.1.1")).unwrap_err(), NotAdmitted::Address);
        assert!(admission.admit(ip("2.2.2.2")).is_ok());
        assert_eq!(first.sit(Some("ada"), None), Ok(Seated::Free));
        assert_eq!(first.sit(Some("ada"), None), Ok(Seated::Free), "the same again is no second one");
        assert_eq!(second.sit(Some("ada"), None), Err(NotAdmitted::User));
        drop(first);
        assert_eq!(second.sit(Some("ada"), None), Ok(Seated::Free));
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_address() {
        let admission = admission(|limits| limits.max_connections_per_ip = Some(1));
        let _v6 = admission.admit(ip("2001:db8:0:1::1")).unwrap();
        assert_eq!(admission.admit(ip("2001:db8:0:1:ffff::2")).unwrap_err(), NotAdmitted::Address);
        assert!(admission.admit(ip("2001:db8:0:2::1")).is_ok());
        let _v4 = admission.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(admission.admit(ip("192.0.2.1")).unwrap_err(), NotAdmitted::Address);
        assert!(admission.admit(ip("192.0.2.2")).is_ok());
    }

    #[test]
    fn few_are_at_the_door_at_once_and_they_count_for_the_total() {
        let admission = admission(|limits| {
            limits.max_connections_per_ip = Some(1);
            limits.max_connections = Some(100);
        });
        let here: IpAddr = [1, 1, 1, 1].into();
        let inside = admission.admit(Some(here)).unwrap();
        let door: Vec<_> = (0..AT_THE_DOOR_PER_IP).map(|_| admission.at_the_door(here).unwrap()).collect();
        assert_eq!(admission.at_the_door(here).unwrap_err(), NotAdmitted::Address);
        let others: Vec<_> = (2..=200).map_while(|n| admission.at_the_door([1, 1, 1, n].into()).ok()).collect();
        assert_eq!(door.len() + others.len(), AT_THE_DOOR);
        let more: Vec<_> = (2..=200).map_while(|n| admission.admit(ip(&format!("2.2.2.{n}"))).ok()).collect();
        assert_eq!(1 + AT_THE_DOOR + more.len(), 100);
        drop((inside, door));
        assert!(admission.at_the_door(here).is_ok());
    }

    #[test]
    fn from_the_door_one_goes_in_when_a_place_is_free_or_in_place_of_its_own() {
        let admission = admission(|limits| {
            limits.max_connections_per_ip = Some(1);
            limits.max_connections_per_user = Some(1);
        });
        let here: IpAddr = [1, 1, 1, 1].into();
        let old = admission.admit(Some(here)).unwrap();
        old.sit(Some("ada"), None).unwrap();
        let elsewhere = admission.admit(ip("2.2.2.2")).unwrap();
        let new = admission.at_the_door(here).unwrap();
        assert_eq!(new.sit(Some("ada"), None), Err(NotAdmitted::Address));
        assert_eq!(new.sit(Some("ada"), Some(elsewhere.number())), Err(NotAdmitted::Address), "another address's place");
        assert_eq!(new.sit(Some("eve"), Some(99)), Err(NotAdmitted::Address), "nobody's place");
        assert_eq!(elsewhere.sit(Some("ada"), Some(new.number())), Err(NotAdmitted::User), "a place that is not ada's");
        assert_eq!(new.sit(Some("ada"), Some(old.number())), Ok(Seated::TakenOver));
        // The older one counts for nothing any more, now or when it is gone.
        assert_eq!(admission.admit(Some(here)).unwrap_err(), NotAdmitted::Address);
        drop(old);
        assert_eq!(admission.admit(Some(here)).unwrap_err(), NotAdmitted::Address);
        drop(new);
        assert!(admission.admit(Some(here)).is_ok());
        assert_eq!(elsewhere.sit(Some("ada"), None), Ok(Seated::Free));
    }

    #[test]
    fn a_client_at_its_users_limit_takes_over_its_own_older_place() {
        let admission = admission(|limits| limits.max_connections_per_user = Some(2));
        let places: Vec<_> = (0..4).map(|n| admission.admit(ip(&format!("1.1.1.{n}"))).unwrap()).collect();
        places[0].sit(Some("ada"), None).unwrap();
        places[1].sit(Some("ada"), None).unwrap();
        assert_eq!(places[2].sit(Some("ada"), Some(places[3].number())), Err(NotAdmitted::User), "not ada's");
        assert_eq!(places[2].sit(Some("ada"), Some(places[0].number())), Ok(Seated::TakenOver), "from another address, too");
        assert_eq!(places[3].sit(Some("ada"), Some(places[0].number())), Err(NotAdmitted::User), "once only");
    }

    #[test]
    fn it_is_known_when_all_come_from_one_address() {
        let admission = admission(|limits| limits.max_connections_per_ip = Some(2));
        let here: IpAddr = [1, 1, 1, 1].into();
        let _both = [admission.admit(Some(here)).unwrap(), admission.admit(Some(here)).unwrap()];
        let _door = admission.at_the_door(here).unwrap();
        assert!(admission.is_all_of(here));
        let _other = admission.admit(ip("2.2.2.2")).unwrap();
        assert!(!admission.is_all_of(here));
    }
}
