//! Who may have the issuer asked about a token, and how often: invented tokens cost it little, and crowd out nobody who is known.
//!
//! A token of a user whose token was found good lately has turns of its own, of which each user has a few. All others are counted by
//! address.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::moment::Moment;
use crate::limits::{Gcra, Quota, address};

/// Questions at once about users that are known, and as many about others; further ones wait their turn within the time of one.
const TURNS: usize = 8;
/// How long a user counts as known after a good token.
const KNOWN: Duration = Duration::from_secs(24 * 3600);
/// Known users, and those and addresses whose questions are counted. Beyond it, the ones that came first are forgotten.
const MAX_KEPT: usize = 16_384;

/// Questions a second, and at once, about tokens from one address.
const OF_ADDRESS: (u32, u32) = (5, 50);
/// The same of one known user: a token is refreshed once an hour, and each device has one.
const OF_USER: (u32, u32) = (1, 10);

/// The doors to the issuer.
pub(super) struct Doors {
    known: Arc<Semaphore>,
    others: Arc<Semaphore>,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    known: Bounded<String, Instant>,
    users: Bounded<String, Gcra>,
    addresses: Bounded<Option<IpAddr>, Gcra>,
}

impl Doors {
    pub(super) fn new() -> Self {
        let state = State { known: Bounded::new(MAX_KEPT), users: Bounded::new(MAX_KEPT), addresses: Bounded::new(MAX_KEPT) };
        let turns = || Arc::new(Semaphore::new(TURNS));
        Self { known: turns(), others: turns(), began: Instant::now(), state: Mutex::new(state) }
    }

    /// A token of this user was found good.
    pub(super) fn found_good(&self, sub: &str, now: Moment) {
        self.state.lock().known.put(sub.to_owned(), now.instant);
    }

    /// A turn to ask about a token that says to be of `sub`, once there is one; `None` where too many were asked about.
    pub(super) async fn turn(&self, sub: &str, from: Option<IpAddr>, now: Moment) -> Option<OwnedSemaphorePermit> {
        let turns = self.charge(sub, from, now)?;
        turns.acquire_owned().await.ok()
    }

    /// Where to wait.
    fn charge(&self, sub: &str, from: Option<IpAddr>, now: Moment) -> Option<Arc<Semaphore>> {
        let now_ms = u64::try_from(now.instant.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        let quota = |(rate, burst)| Quota::new(Some(rate), burst);
        let mut state = self.state.lock();
        let is_known = state.known.get(sub).is_some_and(|last| now.within(KNOWN, Some(*last)));
        // Who knows a user's id can use up that user's, and then shares the address's with everybody else there.
        if is_known && state.users.get_mut(sub.to_owned()).take(&quota(OF_USER), now_ms).is_ok() {
            return Some(self.known.clone());
        }
        // A program that checks tokens by itself has no address.
        let Some(from) = from else { return Some(self.others.clone()) };
        let counted = state.addresses.get_mut(Some(address::group(from)));
        counted.take(&quota(OF_ADDRESS), now_ms).ok().map(|()| self.others.clone())
    }
}

/// A map that forgets what came first.
pub(super) struct Bounded<K, V> {
    most: usize,
    values: HashMap<K, V>,
    /// In the order in which they came.
    order: VecDeque<K>,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, values: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.values.get(key)
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        if self.values.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }
}

impl<K: Hash + Eq + Clone, V: Default> Bounded<K, V> {
    fn get_mut(&mut self, key: K) -> &mut V {
        if !self.values.contains_key(&key) {
            self.put(key.clone(), V::default());
        }
        self.values.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some([192, 0, 2, last].into())
    }

    #[test]
    fn an_address_has_its_rate_and_known_users_are_not_in_it() {
        let (doors, now) = (Doors::new(), Moment::now());
        doors.found_good("ada", now);
        let asks = |sub: &str, from, at| doors.charge(sub, from, at).is_some();
        let passed = |from, at| (0..1_000).filter(|n| asks(&format!("invented-{n}"), from, at)).count();
        assert_eq!(passed(address(1), now), 50);
        assert!(!asks("bob", address(1), now) && asks("bob", address(2), now));
        let turns = doors.charge("ada", address(1), now).unwrap();
        assert!(Arc::ptr_eq(&turns, &doors.known));
        assert_eq!(passed(address(1), now.later(Duration::from_secs(2))), 10);
        // Her name in invented tokens takes her own turns, and then the address's.
        assert_eq!((0..100).filter(|_| asks("ada", address(1), now)).count(), 9);
        assert!(asks("ada", address(3), now), "elsewhere she is anybody");
        assert!(!Arc::ptr_eq(&doors.charge("ada", address(4), now.later(KNOWN)).unwrap(), &doors.known));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = Bounded::new(3);
        (0..10).for_each(|n| [n, n].iter().for_each(|n| kept.put(*n, *n)));
        assert_eq!((kept.values.len(), kept.order.len()), (3, 3));
        assert!(kept.get(&6).is_none() && kept.get(&7).is_some());
    }
}
