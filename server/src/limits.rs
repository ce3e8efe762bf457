//! Rates and counts that bound what one client, one address or all of them may take. No clock: `now` is an input.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Limits;

/// A token bucket: `rate` a second, up to `burst` at once.
///
/// ```
/// use osbackend_server::limits::Bucket;
/// let mut bucket = Bucket::new(Some(2), 2, 0);
/// assert!(bucket.take(0).is_ok() && bucket.take(0).is_ok());
/// assert_eq!(bucket.take(0), Err(500)); // milliseconds until there is one again
/// assert!(bucket.take(500).is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Bucket {
    /// In thousandths of a token a millisecond is exactly `rate` a second; `None`: no limit.
    rate: Option<u64>,
    capacity: u64,
    level: u64,
    at_ms: u64,
}

/// Thousandths of a token: so that a millisecond at 1 a second is not rounded to nothing.
const TOKEN: u64 = 1000;

impl Bucket {
    /// A full bucket. `rate` `None` never refuses; a `burst` below 1 counts as 1.
    pub fn new(rate: Option<u32>, burst: u32, now_ms: u64) -> Self {
        let capacity = u64::from(burst.max(1)) * TOKEN;
        Self { rate: rate.map(u64::from), capacity, level: capacity, at_ms: now_ms }
    }

    /// Takes one.
    ///
    /// # Errors
    /// There is none; in so many milliseconds there will be (`retryAfterMs`, §4).
    pub fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        let Some(rate) = self.rate else { return Ok(()) };
        let passed = now_ms.saturating_sub(self.at_ms);
        self.at_ms = self.at_ms.max(now_ms);
        self.level = self.level.saturating_add(passed.saturating_mul(rate)).min(self.capacity);
        match self.level.checked_sub(TOKEN) {
            Some(rest) => {
                self.level = rest;
                Ok(())
            }
            None => Err((TOKEN - self.level).div_ceil(rate.max(1))),
        }
    }
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// `MAX_CONNECTIONS` are open, or new ones come faster than `CONNECT_RATE`: not this client's fault, try later.
    #[error("the server has no room for another connection now")]
    Full {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// `MAX_CONNECTIONS_PER_IP` are open from this address.
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
    new: Bucket,
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
    by_user: HashMap<String, usize>,
}

/// One counted connection; dropping it gives the place back.
#[derive(Debug)]
pub struct Place {
    counts: Arc<Mutex<Counts>>,
    ip: Option<IpAddr>,
    user: Option<String>,
}

/// After how long to try again when all places are taken: nobody knows when one becomes free.
const FULL_RETRY_MS: u64 = 5_000;

impl Admission {
    /// No connection counted yet.
    pub fn new(limits: &Limits, now_ms: u64) -> Self {
        let new = Bucket::new(limits.connect_rate, limits.connect_rate.unwrap_or(1), now_ms);
        let counts = Counts { limits: limits.clone(), new, total: 0, by_ip: HashMap::new(), by_user: HashMap::new() };
        Self { counts: Arc::new(Mutex::new(counts)) }
    }

    /// Counts a connection from `ip`; `None` where the address is unknown (an embedding without connect info).
    ///
    /// # Errors
    /// A limit is reached; nothing is counted.
    pub fn admit(&self, ip: Option<IpAddr>, now_ms: u64) -> Result<Place, NotAdmitted> {
        let mut counts = lock(&self.counts);
        if counts.limits.max_connections.is_some_and(|most| counts.total >= most) {
            return Err(NotAdmitted::Full { retry_after_ms: FULL_RETRY_MS });
        }
        if let (Some(ip), Some(most)) = (ip, counts.limits.max_connections_per_ip)
            && counts.by_ip.get(&ip).is_some_and(|open| *open >= most)
        {
            return Err(NotAdmitted::Address);
        }
        counts.new.take(now_ms).map_err(|retry_after_ms| NotAdmitted::Full { retry_after_ms })?;
        counts.total += 1;
        if let Some(ip) = ip {
            *counts.by_ip.entry(ip).or_default() += 1;
        }
        Ok(Place { counts: self.counts.clone(), ip, user: None })
    }
}

impl Place {
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
        if let Some(ip) = &self.ip {
            decrement(&mut counts.by_ip, ip);
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

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(Some(10), 3, 1_000);
        assert_eq!([0, 0, 0].map(|_| bucket.take(1_000)), [Ok(()); 3]);
        assert_eq!(bucket.take(1_000), Err(100));
        assert_eq!(bucket.take(1_060), Err(40));
        assert_eq!(bucket.take(1_100), Ok(()));
        assert_eq!(bucket.take(900), Err(100), "a clock that goes back gives nothing");
        let after_long = [0; 4].map(|_| bucket.take(1_000_000).is_ok());
        assert_eq!(after_long, [true, true, true, false], "never more than the burst");
    }

    #[test]
    fn without_a_rate_nothing_is_refused() {
        let mut bucket = Bucket::new(None, 1, 0);
        assert!((0..1000).all(|_| bucket.take(0).is_ok()));
    }

    fn admission(change: impl Fn(&mut Limits)) -> Admission {
        let mut limits = Config::default().limits;
        change(&mut limits);
        Admission::new(&limits, 0)
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
    fn new_connections_come_at_the_connect_rate() {
        let admission = admission(|limits| limits.connect_rate = Some(2));
        let places: Vec<_> = (0..2).map(|_| admission.admit(None, 0).unwrap()).collect();
        assert_eq!(admission.admit(None, 0).unwrap_err(), NotAdmitted::Full { retry_after_ms: 500 });
        assert!(admission.admit(None, 500).is_ok());
        drop(places);
    }
}
