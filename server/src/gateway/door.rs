//! The door of `/ws`: counts who comes in, and lets those wait that come faster than the rates allow (`limits/turns.rs` decides
//! whose turn it is; one task, for as long as anybody waits, tells them).

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::{Notify, oneshot};

use crate::clock::Clock;
use crate::config::Limits;
use crate::limits::{Admission, Asked, CONNECT_PATIENCE_MS, NotAdmitted, Place, Quota, Ticket, TooFast, Turns, address};

/// Connections at once that one address may open beyond its rate: so many seconds of it. An office behind one address, and the
/// clients of one address that lost their server together, have to fit.
const BURST_SECONDS: u32 = 5;

/// Cloning shares it.
#[derive(Clone)]
pub(crate) struct Door {
    admission: Admission,
    clock: Clock,
    waiting: Arc<Waiting>,
}

struct Waiting {
    line: Mutex<Line>,
    /// Somebody new waits.
    changed: Notify,
}

struct Line {
    turns: Turns,
    callers: HashMap<Ticket, oneshot::Sender<Result<(), TooFast>>>,
    /// A task serves it.
    served: bool,
}

/// Who came in.
pub(crate) enum Entered {
    /// With a place.
    In(Place),
    /// At its address's limit: to be told so, unless it comes in place of an older connection.
    AtTheDoor(Place),
}

impl Door {
    /// A door with these limits.
    pub(crate) fn new(limits: &Limits, clock: Clock) -> Self {
        let quota = |rate: Option<u32>, seconds: u32| Quota::new(rate, rate.unwrap_or(1).saturating_mul(seconds));
        let turns =
            Turns::new(quota(limits.connect_rate, 1), quota(limits.connect_rate_per_ip, BURST_SECONDS), CONNECT_PATIENCE_MS);
        let line = Mutex::new(Line { turns, callers: HashMap::new(), served: false });
        Self { admission: Admission::new(limits), clock, waiting: Arc::new(Waiting { line, changed: Notify::new() }) }
    }

    /// Whether every connection comes from this address, and it has as many as it may.
    pub(crate) fn is_all_of(&self, ip: IpAddr) -> bool {
        self.admission.is_all_of(ip)
    }

    /// Lets a connection in, at its turn. Whoever drops this meanwhile gives back place and turn.
    pub(crate) async fn enter(&self, ip: Option<IpAddr>) -> Result<Entered, NotAdmitted> {
        match (self.admission.admit(ip), ip) {
            (Ok(place), _) => {
                self.turn(ip, true).await?;
                Ok(Entered::In(place))
            }
            (Err(NotAdmitted::Address), Some(ip)) => {
                let place = self.admission.at_the_door(ip)?;
                self.turn(Some(ip), false).await?;
                Ok(Entered::AtTheDoor(place))
            }
            (Err(refused), _) => Err(refused),
        }
    }

    async fn turn(&self, ip: Option<IpAddr>, patient: bool) -> Result<(), NotAdmitted> {
        let (answer, hears) = oneshot::channel();
        let ticket = {
            let mut line = self.waiting.line.lock();
            let ticket = match line.turns.ask(ip.map(address::group), patient, self.clock.now_ms()) {
                Asked::Now => return Ok(()),
                Asked::Refused(too_fast) => return Err(refused(too_fast)),
                Asked::Wait(ticket) => ticket,
            };
            line.callers.insert(ticket, answer);
            if !std::mem::replace(&mut line.served, true) {
                tokio::spawn(serve(self.waiting.clone(), self.clock.clone()));
            }
            ticket
        };
        self.waiting.changed.notify_one();
        let _waiter = Waiter { waiting: &self.waiting, ticket };
        match hears.await {
            Ok(result) => result.map_err(refused),
            // The runtime is going down.
            Err(_) => Err(NotAdmitted::Full { retry_after_ms: CONNECT_PATIENCE_MS }),
        }
    }
}

fn refused(too_fast: TooFast) -> NotAdmitted {
    let TooFast { by_address, retry_after_ms } = too_fast;
    if by_address { NotAdmitted::AddressRate { retry_after_ms } } else { NotAdmitted::Full { retry_after_ms } }
}

/// Somebody who waits; dropped when it is served or goes.
struct Waiter<'a> {
    waiting: &'a Waiting,
    ticket: Ticket,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut line = self.waiting.line.lock();
        line.turns.cancel(self.ticket);
        line.callers.remove(&self.ticket);
    }
}

/// Tells each waiter when its turn comes; ends when nobody waits.
async fn serve(waiting: Arc<Waiting>, clock: Clock) {
    loop {
        let due_ms = {
            let mut line = waiting.line.lock();
            let now_ms = clock.now_ms();
            for (ticket, result) in line.turns.serve(now_ms) {
                if let Some(caller) = line.callers.remove(&ticket) {
                    // Who has gone meanwhile doesn't hear it.
                    let _ = caller.send(result);
                }
            }
            let Some(due_ms) = line.turns.next_due(now_ms) else {
                line.served = false;
                return;
            };
            due_ms
        };
        tokio::select! {
            () = tokio::time::sleep_until(clock.instant(due_ms).into()) => {}
            () = waiting.changed.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn door(change: impl FnOnce(&mut Limits)) -> Door {
        let mut limits = Config::default().limits;
        change(&mut limits);
        Door::new(&limits, Clock::start())
    }

    #[tokio::test]
    async fn who_stops_waiting_gives_back_turn_and_place() {
        let door = door(|limits| {
            limits.connect_rate = Some(1);
            limits.max_connections = Some(2);
        });
        let _first = door.enter(None).await.unwrap_or_else(|_| panic!("the first goes in at once"));
        let mut waited = 0;
        for _ in 0..100 {
            let mut waiting = pin!(door.enter(None));
            // On a very slow machine its turn has come already; it goes again all the same.
            if waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                waited += 1;
                assert_eq!(door.waiting.line.lock().callers.len(), 1);
                assert!(matches!(door.enter(None).await, Err(NotAdmitted::Full { .. })), "who waits counts");
            }
        }
        assert!(waited > 0);
        let line = door.waiting.line.lock();
        assert!(line.callers.is_empty() && line.turns.next_due(door.clock.now_ms()).is_none());
    }

    #[tokio::test]
    async fn a_waiter_is_told_when_its_turn_comes() {
        let door = door(|limits| limits.connect_rate = Some(100));
        let places: Vec<_> = (0..150).map(|_| door.enter(None)).collect();
        let places = futures_util::future::join_all(places).await;
        assert!(places.iter().all(|entered| matches!(entered, Ok(Entered::In(_)))));
        assert!(door.waiting.line.lock().callers.is_empty());
    }

    #[tokio::test]
    async fn at_its_limit_an_address_is_let_in_to_be_told() {
        let door = door(|limits| limits.max_connections_per_ip = Some(1));
        let here = Some(IpAddr::from([192, 0, 2, 1]));
        let Ok(Entered::In(first)) = door.enter(here).await else { panic!("refused") };
        let Ok(Entered::AtTheDoor(second)) = door.enter(here).await else { panic!("not told") };
        assert!(!door.is_all_of(first.ip().unwrap()), "one connection is no crowd");
        drop((first, second));
        assert!(matches!(door.enter(here).await, Ok(Entered::In(_))));
    }
}
