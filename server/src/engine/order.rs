//! The order of what one connection publishes, where some of it is refused for now (§5).
//!
//! An event that is refused for now comes again, and what its client wrote behind it would pass it meanwhile. So each event
//! says, with `after`, which one it must not pass; the connection remembers the keys that were refused for now, and what follows
//! one of them is refused as well, until that one came again. An engine looks right before it stores ([`in_order`]): only then
//! is it known what became of the events before.

use super::{EngineError, Pending};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Keys that are remembered of one connection.
const MOST_KEYS: usize = 1_024;
/// How long, in milliseconds: as long as an event may come again with its key (§4).
const REMEMBERED_MS: u64 = 300_000;

/// The keys that one connection was refused for now.
#[derive(Debug, Default)]
pub struct Refused(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    /// When each was refused last.
    at: HashMap<Arc<str>, u64>,
    /// In the order of the refusals; some stand for a key that came again, or was refused again since.
    oldest: VecDeque<(u64, Arc<str>)>,
    /// Until then more were refused than are remembered, and it may be any that an event follows.
    full_until: u64,
}

impl Keys {
    fn expire(&mut self, now_ms: u64) {
        while let Some((at, key)) = self.oldest.front() {
            let stands = self.at.get(key) == Some(at);
            if stands && at.saturating_add(REMEMBERED_MS) > now_ms {
                return;
            }
            if stands {
                self.at.remove(key);
            }
            self.oldest.pop_front();
        }
    }
}

impl Refused {
    /// The event with this key was refused for now.
    pub fn refuse(&self, key: &str, now_ms: u64) {
        let mut keys = self.0.lock();
        keys.expire(now_ms);
        // What came again leaves its entry behind, which counts: a client may be refused the same event for minutes.
        if keys.oldest.len() >= MOST_KEYS {
            let Keys { at, oldest, .. } = &mut *keys;
            oldest.retain(|(refused_at, key)| at.get(key) == Some(refused_at));
        }
        if keys.oldest.len() >= MOST_KEYS && !keys.at.contains_key(key) {
            keys.full_until = now_ms.saturating_add(REMEMBERED_MS);
            return;
        }
        let key: Arc<str> = key.into();
        if keys.at.insert(key.clone(), now_ms) != Some(now_ms) {
            keys.oldest.push_back((now_ms, key));
        }
    }

    /// Whether an event after this one would pass it.
    pub fn holds(&self, after: &str, now_ms: u64) -> bool {
        let mut keys = self.0.lock();
        keys.expire(now_ms);
        keys.full_until > now_ms || keys.at.contains_key(after)
    }

    /// The event with this key is taken: what follows it may come.
    fn take(&self, key: &str) {
        let mut keys = self.0.lock();
        if !keys.at.is_empty() {
            keys.at.remove(key);
        }
    }
}

/// The place of one event in its connection's order.
#[derive(Debug)]
pub struct Place {
    /// The connection's.
    pub refused: Arc<Refused>,
    /// The event's own key, as its client gave it.
    pub key: Option<String>,
    /// The key of the event that it must not pass.
    pub after: Option<String>,
}

impl Place {
    /// The event here was refused for now.
    pub fn refuse(&self, now_ms: u64) {
        if let Some(key) = &self.key {
            self.refused.refuse(key, now_ms);
        }
    }
}

impl Pending {
    /// Tells that it was not published, and remembers that for what follows it.
    pub fn refuse(self, error: EngineError) {
        if let Some(place) = &self.place {
            place.refuse(self.now_ms);
        }
        (self.done)(Err(error));
    }

    /// Whether it would pass an event that was refused for now; otherwise it is taken.
    fn passes(&self) -> bool {
        let Some(Place { refused, key, after }) = &self.place else { return false };
        if after.as_ref().is_some_and(|after| refused.holds(after, self.now_ms)) {
            return true;
        }
        if let Some(key) = key {
            refused.take(key);
        }
        false
    }
}

/// What may be stored now, in its order; the rest is refused. To be called right before storing, once what came before is
/// stored or [refused](Pending::refuse).
pub fn in_order(mut pending: Vec<Pending>) -> Vec<Pending> {
    if pending.iter().all(|pending| pending.place.is_none()) {
        return pending;
    }
    let mut at = 0;
    while at < pending.len() {
        if pending[at].passes() {
            // Before the next is looked at: it may follow this one.
            pending.remove(at).refuse(EngineError::Follows);
        } else {
            at += 1;
        }
    }
    pending
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{event, room};
    use osbackend_protocol::Published;

    const NOW: u64 = 1_700_000_000_000;

    type Told = Arc<Mutex<Vec<(&'static str, Result<Published, EngineError>)>>>;

    fn pending(refused: &Arc<Refused>, told: &Told, key: &'static str, after: Option<&str>) -> Pending {
        let told = told.clone();
        Pending {
            room: room("agent:1"),
            event: event(1),
            now_ms: NOW,
            place: Some(Place { refused: refused.clone(), key: Some(key.to_owned()), after: after.map(str::to_owned) }),
            done: Box::new(move |result| told.lock().push((key, result))),
        }
    }

    fn keys(pending: &[Pending]) -> Vec<&str> {
        pending.iter().filter_map(|pending| pending.place.as_ref()?.key.as_deref()).collect()
    }

    #[test]
    fn what_follows_a_refused_event_is_refused_down_the_chain_until_it_came_again() {
        let (refused, told) = (Arc::new(Refused::default()), Told::default());
        let one = |key, after| pending(&refused, &told, key, after);
        one("a", None).refuse(EngineError::Unavailable("no disk".to_owned()));
        let kept = in_order(vec![one("b", Some("a")), one("x", None), one("c", Some("b")), one("y", Some("x"))]);
        assert_eq!(keys(&kept), ["x", "y"]);
        let follows: Vec<_> = told.lock().drain(..).skip(1).collect();
        assert!(follows.iter().all(|(_, result)| matches!(result, Err(EngineError::Follows))));
        assert_eq!(follows.iter().map(|(key, _)| *key).collect::<Vec<_>>(), ["b", "c"]);
        let kept = in_order(vec![one("a", None), one("b", None), one("c", Some("b"))]);
        assert_eq!(keys(&kept), ["a", "b", "c"]);
        assert!(told.lock().is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_beyond_the_bound_nothing_passes() {
        let refused = Refused::default();
        for n in 0..MOST_KEYS as u64 {
            refused.refuse(&format!("k{n}"), NOW + n);
        }
        assert!(refused.holds("k0", NOW + 2_000) && !refused.holds("other", NOW + 2_000));
        // The same one again and again takes one place.
        refused.take("k7");
        (0..10).for_each(|n| refused.refuse("k7", NOW + 2_000 + n));
        assert!(!refused.holds("other", NOW + 3_000));
        refused.refuse("one more", NOW + 3_000);
        assert!(refused.holds("other", NOW + 3_000), "it may be one that was not remembered");
        let later = NOW + 3_000 + REMEMBERED_MS;
        assert!(!refused.holds("other", later) && !refused.holds("k1023", later));
        assert_eq!(refused.0.lock().oldest.len(), 0);
    }
}
