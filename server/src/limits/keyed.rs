//! One rate for each of many keys (users, addresses), in bounded memory.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;

use super::{Gcra, Quota};

/// Keys that are kept at most. Who comes when all of them are in use shares one rate with the others who do.
const MOST_KEYS: usize = 20_000;
/// Between two looks for keys that have their whole quota again, in milliseconds: a look reads all keys.
const SWEEP_MS: u64 = 1_000;

/// How much each key has used of a [`Quota`]. A key whose quota is whole again is forgotten.
#[derive(Debug)]
pub struct Keyed<K> {
    inner: Mutex<Inner<K>>,
}

#[derive(Debug)]
struct Inner<K> {
    used: HashMap<K, Gcra>,
    /// Of all who came when [`MOST_KEYS`] were in use.
    others: Gcra,
    swept_ms: u64,
}

impl<K> Default for Keyed<K> {
    fn default() -> Self {
        Self { inner: Mutex::new(Inner { used: HashMap::new(), others: Gcra::default(), swept_ms: 0 }) }
    }
}

impl<K: Eq + Hash> Keyed<K> {
    /// Takes `units` of what `key` has, unless there are not so many.
    ///
    /// # Errors
    /// There are not, and nothing was taken; in so many milliseconds there will be.
    pub fn take<Q>(&self, key: &Q, quota: &Quota, units: u64, now_ms: u64) -> Result<(), u64>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        if quota.is_lifted() {
            return Ok(());
        }
        let mut inner = self.inner.lock();
        if let Some(used) = inner.used.get_mut(key) {
            return used.take_many(quota, units, now_ms);
        }
        if now_ms.abs_diff(inner.swept_ms) >= SWEEP_MS {
            inner.swept_ms = now_ms;
            inner.used.retain(|_, used| used.is_in_use(now_ms));
        }
        if inner.used.len() >= MOST_KEYS {
            return inner.others.take_many(quota, units, now_ms);
        }
        inner.used.entry(key.to_owned()).or_default().take_many(quota, units, now_ms)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.inner.lock().used.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_rate_of_its_own() {
        let (keyed, quota) = (Keyed::<String>::default(), Quota::new(Some(10), 2));
        assert_eq!([0, 0].map(|_| keyed.take("ada", &quota, 1, 5_000)), [Ok(()); 2]);
        assert_eq!(keyed.take("ada", &quota, 1, 5_000), Err(100));
        assert_eq!(keyed.take("bob", &quota, 2, 5_000), Ok(()));
        assert_eq!(keyed.take("bob", &quota, 2, 5_000), Err(200));
        assert_eq!(keyed.take("ada", &quota, 1, 5_100), Ok(()));
        assert!((0..100).all(|_| keyed.take("eve", &Quota::new(None, 1), 1, 5_000).is_ok()));
    }

    #[test]
    fn invented_keys_take_no_memory_without_end_and_lift_no_limit() {
        let (keyed, quota) = (Keyed::<u32>::default(), Quota::new(Some(1), 1));
        let taken = (0..3 * MOST_KEYS as u32).filter(|key| keyed.take(key, &quota, 1, 5_000).is_ok()).count();
        assert_eq!((taken, keyed.len()), (MOST_KEYS + 1, MOST_KEYS), "those beyond share one rate");
        assert_eq!(keyed.take(&0, &quota, 1, 5_000), Err(1_000), "who was there before is not forgotten");
        assert_eq!(keyed.take(&u32::MAX, &quota, 1, 60_000), Ok(()));
        assert_eq!(keyed.len(), 1, "whose quota is whole again is forgotten");
    }
}
