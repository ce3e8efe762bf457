//! Kinds of requests to the backend, and the places that each has: what one kind or one user does to the backend is not felt by others.

use super::call::{Call, Topic};
use crate::{limits::address, session::Question};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a request is about. Each kind has its own places and its own breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// May it connect?
    Connect,
    /// May it be in a room, or see what is there?
    Join,
    /// May it publish?
    Publish,
    /// A message of the application's own.
    Custom,
    /// A notification.
    Notice,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Connect, Self::Join, Self::Publish, Self::Custom, Self::Notice];

    pub(super) fn of(topic: &Topic) -> Self {
        match topic {
            Topic::Question(Question::Connect { .. }) => Self::Connect,
            Topic::Question(Question::Join { .. } | Question::Presence { .. } | Question::History { .. }) => Self::Join,
            Topic::Question(Question::Publish { .. }) => Self::Publish,
            Topic::Custom { .. } => Self::Custom,
            Topic::Disconnect => Self::Notice,
        }
    }

    /// How many of its places one user may have. Who comes with many rooms has many questions at once.
    fn share(self) -> usize {
        match self {
            Self::Join => PLACES / 4,
            Self::Connect | Self::Publish | Self::Custom | Self::Notice => PLACES / 16,
        }
    }

    /// How many questions one user may have, on their way or waiting.
    fn most(self) -> usize {
        match self {
            Self::Join => MAX_ROOM_QUESTIONS,
            Self::Connect | Self::Publish | Self::Custom | Self::Notice => MAX_QUESTIONS,
        }
    }

    /// Its index in [`Self::ALL`].
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// Questions of one kind that are on their way at once; more wait, within their time.
pub(super) const PLACES: usize = 64;

/// Questions that one asker has at most, on their way or waiting, however many connections they came by. A question keeps its
/// message in memory, of 64 KiB at most, also when its connection has gone.
const MAX_QUESTIONS: usize = 128;

/// As [`MAX_QUESTIONS`], about rooms: these keep only a name, and a client comes with all its rooms at once.
const MAX_ROOM_QUESTIONS: usize = 8_192;

/// Whom a request is counted to: the user, or where there is none, the address.
pub(super) fn asker(call: &Call) -> String {
    match (&call.identity, call.address) {
        (Some(user), _) => format!("user {}", user.sub),
        (None, Some(address)) => format!("address {}", address::group(address)),
        (None, None) => "nobody".to_owned(),
    }
}

/// The places of all kinds, and of each who has some.
pub(super) struct Places {
    kinds: [Arc<Semaphore>; Kind::ALL.len()],
    shares: Mutex<HashMap<(Kind, String), Arc<Semaphore>>>,
}

/// A place, given back when dropped.
pub(super) struct Place<'a> {
    _of_kind: OwnedSemaphorePermit,
    _of_asker: Option<OwnedSemaphorePermit>,
    _share: Share<'a>,
}

/// One asker's share of a kind, forgotten with the last who uses it.
struct Share<'a> {
    key: (Kind, String),
    share: Option<Arc<Semaphore>>,
    places: &'a Places,
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut shares = self.places.shares.lock();
        self.share = None;
        if shares.get(&self.key).is_some_and(|share| Arc::strong_count(share) == 1) {
            shares.remove(&self.key);
        }
    }
}

impl Default for Places {
    fn default() -> Self {
        Self { kinds: Kind::ALL.map(|_| Arc::new(Semaphore::new(PLACES))), shares: Mutex::default() }
    }
}

impl Places {
    /// Waits for a place: first within the asker's share, so that no more than that of one asker wait among the others. `None` at
    /// once where the asker has as many questions as may wait.
    pub(super) async fn take(&self, kind: Kind, asker: String) -> Option<Place<'_>> {
        let share = {
            let key = (kind, asker);
            let mut shares = self.shares.lock();
            let share = shares.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(kind.share())));
            // The map holds the semaphore once, each question twice: by its share, and by its permit or its wait for one.
            if Arc::strong_count(share) / 2 >= kind.most() {
                return None;
            }
            Share { key, share: Some(share.clone()), places: self }
        };
        let of_asker = match &share.share {
            // The permit holds the semaphore too: it goes before the share looks whether anybody is left.
            Some(share) => Some(share.clone().acquire_owned().await.ok()?),
            None => None,
        };
        let of_kind = self.kinds[kind.index()].clone().acquire_owned().await.ok()?;
        Some(Place { _of_kind: of_kind, _of_asker: of_asker, _share: share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn nobody_takes_more_than_a_share_and_no_kind_takes_anothers_places() {
        let places = Places::default();
        let take = |kind, asker: String| places.take(kind, asker).now_or_never().map(Option::unwrap);
        let eves: Vec<_> = (0..4).map(|_| take(Kind::Custom, "eve".to_owned()).unwrap()).collect();
        assert!(take(Kind::Custom, "eve".to_owned()).is_none());
        assert!(take(Kind::Custom, "ada".to_owned()).is_some() && take(Kind::Connect, "eve".to_owned()).is_some());
        let others: Vec<_> = (4..PLACES).map(|n| take(Kind::Custom, n.to_string()).unwrap()).collect();
        assert!(take(Kind::Custom, "ada".to_owned()).is_none(), "all places of the kind are taken");
        assert!(take(Kind::Connect, "ada".to_owned()).is_some() && take(Kind::Join, "ada".to_owned()).is_some());
        drop(eves);
        assert!(take(Kind::Custom, "ada".to_owned()).is_some());
        drop(others);
        assert!(places.shares.lock().is_empty(), "who has no place is forgotten");
    }

    #[test]
    fn one_asker_has_a_bounded_number_of_questions_waiting_by_however_many_connections() {
        let places = Places::default();
        let mut waiting: Vec<_> = (0..MAX_QUESTIONS).map(|_| Box::pin(places.take(Kind::Custom, "eve".to_owned()))).collect();
        let placed: Vec<_> = waiting.iter_mut().filter_map(|take| take.now_or_never()).collect();
        assert_eq!(placed.len(), Kind::Custom.share());
        assert!(placed.iter().all(Option::is_some));
        let over = places.take(Kind::Custom, "eve".to_owned()).now_or_never();
        assert!(matches!(over, Some(None)), "one more is refused at once");
        assert!(places.take(Kind::Custom, "ada".to_owned()).now_or_never().flatten().is_some());
        drop(waiting);
        assert!(places.take(Kind::Custom, "eve".to_owned()).now_or_never().is_none(), "it waits again");
        drop(placed);
        assert!(places.shares.lock().is_empty());
    }
}
