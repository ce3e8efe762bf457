//! Who is let in: counts of the open connections, in all, by address and by user, and the rate of new ones.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Gcra, Quota, address};
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
    rate: Quota,
    new: Gcra,
    total: usize,
    /// By [`address::group`].
    by_ip: HashMap<IpAddr, usize>,
    by_user: HashMap<String, usize>,
}

/// One counted connection; dropping it gives the place back.
#[derive(Debug)]
pub struct Place {
    counts: Arc<Mutex<Counts>>,
    ip: Option<IpAddr>,
    user: Option<String>,
    wait_ms: u64,
}

/// How long a connection that comes faster than `CONNECT_RATE` is kept waiting at most, in milliseconds. A client that is
/// turned away comes back after a delay that doubles, and a browser is not even told which: when a server's clients come back
/// all together, waiting here is sooner, and no more work. Less than a client waits for its connection (10 s).
pub const CONNECT_PATIENCE_MS: u64 = 8_000;

/// After how long to try again when all places are taken, in milliseconds: nobody knows when one becomes free.
pub const FULL_RETRY_MS: u64 = 5_000;

impl Admission {
    /// No connection counted yet.
    pub fn new(limits: &Limits) -> Self {
        let rate = Quota::new(limits.connect_rate, limits.connect_rate.unwrap_or(1));
        let (limits, new) = (limits.clone(), Gcra::default());
        let counts = Counts { limits, rate, new, total: 0, by_ip: HashMap::new(), by_user: HashMap::new() };
        Self { counts: Arc::new(Mutex::new(counts)) }
    }

    /// Counts a connection from `ip`; `None` where the address is unknown (an embedding without connect info).
    ///
    /// # Errors
    /// A limit is reached; nothing is counted.
    pub fn admit(&self, ip: Option<IpAddr>, now_ms: u64) -> Result<Place, NotAdmitted> {
        let counted = ip.map(address::group);
        let mut guard = lock(&self.counts);
        let counts = &mut *guard;
        if counts.limits.max_connections.is_some_and(|most| counts.total >= most) {
            return Err(NotAdmitted::Full { retry_after_ms: FULL_RETRY_MS });
        }
        if let (Some(ip), Some(most)) = (counted, counts.limits.max_connections_per_ip)
            && counts.by_ip.get(&ip).is_some_and(|open| *open >= most)
        {
            return Err(NotAdmitted::Address);
        }
        let wait_ms = counts
            .new
            .reserve(&counts.rate, CONNECT_PATIENCE_MS, now_ms)
            .map_err(|retry_after_ms| NotAdmitted::Full { retry_after_ms })?;
        counts.total += 1;
        if let Some(ip) = counted {
            *counts.by_ip.entry(ip).or_default() += 1;
        }
        Ok(Place { counts: self.counts.clone(), ip, user: None, wait_ms })
    }
}

impl Place {
    /// After how many milliseconds the connection may be opened, so that new ones come at `CONNECT_RATE`; 0: now. It is
    /// counted meanwhile.
    pub fn wait_ms(&self) -> u64 {
        self.wait_ms
    }

    /// The client's address, where it is known.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// Counts the connection as one of `user`, and no longer as one of whom it was before.
    ///
    /// # Errors
    /// The user has too many; the connection stays counted as before.
    pub fn assign(&mut self, user: &str) -> Result<(), NotAdmitted> {
        if self.user.as_deref() == Some(user) {
            return Ok(());
        }
        let mut counts = lock(&self.counts);
        let open = counts.by_user.get(user).copied().unwrap_or(0);
        if counts.limits.max_connections_per_user.is_some_and(|most| open >= most) {
            return Err(NotAdmitted::User);
        }
        if let Some(before) = self.user.replace(user.to_owned()) {
            decrement(&mut counts.by_user, &before);
        }
        *counts.by_user.entry(user.to_owned()).or_default() += 1;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.total -= 1;
        if let Some(ip) = self.ip {
            decrement(&mut counts.by_ip, &address::group(ip));
        }
        if let Some(user) = &self.user {
            decrement(&mut counts.by_user, user);
        }
    }
}

/// A panic elsewhere must not stop new connections: the counts are whole at every unlock.
fn lock(counts: &Mutex<Counts>) -> std::sync::MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn decrement<K, Q>(counts: &mut HashMap<K, usize>, key: &Q)
where
    K: std::borrow::Borrow<Q> + Eq + std::hash::Hash,
    Q: Eq + std::hash::Hash + ?Sized,
{
    if let Some(open) = counts.get_mut(key) {
        *open -= 1;
        if *open == 0 {
            counts.remove(key);
        }
    }
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

    #[test]
    fn places_are_given_back_when_dropped() {
        let admission = admission(|limits| limits.max_connections = Some(1));
        let place = admission.admit(None, 0).unwrap();
        assert_eq!(admission.admit(None, 0).unwrap_err(), NotAdmitted::Full { retry_after_ms: 5_000 });
        drop(place);
        assert!(admission.admit(None, 0).is_ok());
    }

    #[test]
    fn addresses_and_users_have_their_own_counts() {
        let admission = admission(|limits| {
            limits.max_connections_per_ip = Some(2);
            limits.max_connections_per_user = Some(1);
        });
        let (one, two) = (Some(IpAddr::from([1, 1, 1, 1])), Some(IpAddr::from([2, 2, 2, 2])));
        let mut first = admission.admit(one, 0).unwrap();
        let mut second = admission.admit(one, 0).unwrap();
        assert_eq!(admission.admit(one, 0).unwrap_err(), NotAdmitted::Address);
        assert!(admission.admit(two, 0).is_ok());
        assert_eq!(first.assign("ada"), Ok(()));
        assert_eq!(first.assign("ada"), Ok(()), "the same again is no second one");
        assert_eq!(second.assign("ada"), Err(NotAdmitted::User));
        drop(first);
        assert_eq!(second.assign("ada"), Ok(()));
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_address() {
        let admission = admission(|limits| limits.max_connections_per_ip = Some(1));
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let _v6 = admission.admit(ip("2001:db8:0:1::1"), 0).unwrap();
        assert_eq!(admission.admit(ip("2001:db8:0:1:ffff::2"), 0).unwrap_err(), NotAdmitted::Address);
        assert!(admission.admit(ip("2001:db8:0:2::1"), 0).is_ok());
        let _v4 = admission.admit(ip("::ffff:192.0.2.1"), 0).unwrap();
        assert_eq!(admission.admit(ip("192.0.2.1"), 0).unwrap_err(), NotAdmitted::Address);
        assert!(admission.admit(ip("192.0.2.2"), 0).is_ok());
    }

    #[test]
    fn new_connections_come_at_the_connect_rate_and_wait_for_their_turn() {
        let admission = admission(|limits| limits.connect_rate = Some(2));
        let mut places: Vec<_> = (0..2 + 16).map(|_| admission.admit(None, 0).unwrap()).collect();
        let waits: Vec<u64> = places.iter().map(Place::wait_ms).collect();
        let expected: Vec<u64> = [0, 0].into_iter().chain((1..=16).map(|n| n * 500)).collect();
        assert_eq!(waits, expected, "the burst at once, the others at the rate");
        assert_eq!(admission.admit(None, 0).unwrap_err(), NotAdmitted::Full { retry_after_ms: 8_500 });
        // A client that doesn't wait gives its place back, and not its turn.
        places.clear();
        assert_eq!(admission.admit(None, 500).unwrap().wait_ms(), 8_000);
        assert_eq!(admission.admit(None, 60_000).unwrap().wait_ms(), 0);
    }

    #[test]
    fn five_thousand_at_once_are_let_in_at_the_rate_as_far_as_the_patience_goes() {
        let admission = admission(|limits| limits.max_connections_per_ip = None);
        let (let_in, refused): (Vec<_>, Vec<_>) = (0..5_000).map(|_| admission.admit(None, 0)).partition(Result::is_ok);
        assert_eq!((let_in.len(), refused.len()), (4_500, 500));
        let waits: Vec<u64> = let_in.into_iter().map(|place| place.unwrap().wait_ms()).collect();
        assert_eq!(waits.iter().filter(|wait| **wait == 0).count(), 500);
        for second in 0..8 {
            let within = waits.iter().filter(|wait| **wait > second * 1000 && **wait <= (second + 1) * 1000).count();
            assert_eq!(within, 500, "in the second {second}");
        }
    }
}
