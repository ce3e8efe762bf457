//! How many HTTP connections one address may hold: idle ones give way to new ones, and only where none is idle a new one is refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::address;

/// What an HTTP connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Its last request is answered, and no byte of the next one has come.
    Idle,
    /// A request's head is on its way; so it is from the beginning.
    Head,
    /// A request is being answered.
    Busy,
    /// A request is answered, but not all of the answer has left.
    Flushing,
    /// It is no HTTP connection any more, but a WebSocket.
    Upgraded,
    /// It is idle and has to go.
    Evicted,
}

const PHASES: [Phase; 6] = [Phase::Idle, Phase::Head, Phase::Busy, Phase::Flushing, Phase::Upgraded, Phase::Evicted];

/// One HTTP connection, as its socket, its requests and the counts see it.
#[derive(Debug)]
pub struct HttpConnection {
    phase: AtomicU8,
    /// The order in which connections became idle.
    idle_since: AtomicU64,
    /// Of the connection's task, to be told that it is evicted.
    waker: AtomicWaker,
}

impl Default for HttpConnection {
    fn default() -> Self {
        Self { phase: AtomicU8::new(Phase::Head as u8), idle_since: AtomicU64::new(0), waker: AtomicWaker::new() }
    }
}

/// Counts the times that any connection became idle.
static IDLE_ORDER: AtomicU64 = AtomicU64::new(0);

impl HttpConnection {
    /// What it is doing.
    pub fn phase(&self) -> Phase {
        PHASES[usize::from(self.phase.load(Ordering::Acquire))]
    }

    /// Goes from one phase to the next; `false` where it is in another one meanwhile.
    pub fn step(&self, from: Phase, to: Phase) -> bool {
        if to == Phase::Idle {
            self.idle_since.store(IDLE_ORDER.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        }
        self.phase.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// A request's head is complete. One that was read ahead may still be answered by a connection that is evicted.
    pub fn begin(&self) {
        if self.phase() != Phase::Evicted {
            self.phase.store(Phase::Busy as u8, Ordering::Release);
        }
    }

    /// It is a WebSocket from now on.
    pub fn upgraded(&self) {
        self.phase.store(Phase::Upgraded as u8, Ordering::Release);
    }

    /// Who is woken when it is evicted.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    fn evict(&self) -> bool {
        let evicted = self.step(Phase::Idle, Phase::Evicted);
        if evicted {
            self.waker.wake();
        }
        evicted
    }
}

/// The address holds as many connections as it may, and none of them is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this address has too many HTTP connections (MAX_HTTP_CONNECTIONS_PER_IP): close one first, or let it become idle")]
pub struct TooMany;

type ByAddress = HashMap<IpAddr, Vec<Arc<HttpConnection>>>;

/// Counts HTTP connections by address. Cloning shares the counts.
#[derive(Clone, Debug)]
pub struct HttpConnections {
    most: Option<usize>,
    by_address: Arc<Mutex<ByAddress>>,
}

/// One counted connection; dropping it gives the place back.
#[derive(Debug)]
pub struct HttpPlace {
    by_address: Arc<Mutex<ByAddress>>,
    address: IpAddr,
    connection: Arc<HttpConnection>,
}

impl HttpConnections {
    /// With so many connections of one address at most; `None`: any number.
    pub fn new(most: Option<usize>) -> Self {
        Self { most, by_address: Arc::default() }
    }

    /// Counts a connection of `ip`, or of its IPv6 network; the one that was idle for longest gives way where all places are taken.
    /// `None` where nothing is counted.
    ///
    /// # Errors
    /// All places are taken, and no connection of the address is idle.
    pub fn admit(&self, ip: IpAddr, connection: &Arc<HttpConnection>) -> Result<Option<HttpPlace>, TooMany> {
        let Some(most) = self.most else { return Ok(None) };
        let address = address::group(ip);
        let mut by_address = self.by_address.lock();
        let held = by_address.entry(address).or_default();
        while held.len() >= most {
            let idle = held.iter().enumerate().filter(|(_, one)| one.phase() == Phase::Idle);
            let longest = idle.min_by_key(|(_, one)| one.idle_since.load(Ordering::Relaxed)).map(|(index, _)| index);
            let Some(index) = longest else { return Err(TooMany) };
            // It may have got a request in between: then it is not idle, and stays.
            if held[index].evict() {
                held.swap_remove(index);
            }
        }
        held.push(connection.clone());
        Ok(Some(HttpPlace { by_address: self.by_address.clone(), address, connection: connection.clone() }))
    }

    /// Counts a request as one connection of `ip`, for as long as the place is held: a proxy's connections carry those of many clients.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub fn admit_request(&self, ip: IpAddr) -> Result<Option<HttpPlace>, TooMany> {
        let request = Arc::new(HttpConnection::default());
        self.admit(ip, &request)
    }
}

impl Drop for HttpPlace {
    fn drop(&mut self) {
        let mut by_address = self.by_address.lock();
        let Some(held) = by_address.get_mut(&self.address) else { return };
        // An evicted one is gone already.
        if let Some(index) = held.iter().position(|one| Arc::ptr_eq(one, &self.connection)) {
            held.swap_remove(index);
        }
        if held.is_empty() {
            by_address.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn admitted(connections: &HttpConnections, ip: IpAddr) -> Result<(Arc<HttpConnection>, HttpPlace), TooMany> {
        let connection = Arc::new(HttpConnection::default());
        let place = connections.admit(ip, &connection)?.expect("a limit, so a place");
        Ok((connection, place))
    }

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let connections = HttpConnections::new(Some(2));
        let one = admitted(&connections, ip("192.0.2.1")).unwrap();
        let _two = admitted(&connections, ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(admitted(&connections, ip("192.0.2.1")).unwrap_err(), TooMany);
        assert_eq!(connections.admit_request(ip("192.0.2.1")).unwrap_err(), TooMany);
        assert!(admitted(&connections, ip("192.0.2.2")).is_ok());
        drop(one);
        assert!(admitted(&connections, ip("192.0.2.1")).is_ok());
        assert!(HttpConnections::new(None).admit(ip("192.0.2.1"), &Arc::default()).unwrap().is_none());
    }

    #[test]
    fn the_connection_that_was_idle_for_longest_gives_way() {
        let connections = HttpConnections::new(Some(3));
        let (busy, _place) = admitted(&connections, ip("192.0.2.1")).unwrap();
        let (first, place) = admitted(&connections, ip("192.0.2.1")).unwrap();
        let (second, _place2) = admitted(&connections, ip("192.0.2.1")).unwrap();
        for connection in [&second, &first] {
            assert!(connection.step(Phase::Head, Phase::Idle));
        }
        busy.begin();
        let (third, _place3) = admitted(&connections, ip("192.0.2.1")).unwrap();
        assert_eq!((busy.phase(), first.phase(), second.phase()), (Phase::Busy, Phase::Idle, Phase::Evicted));
        let (_fourth, _place4) = admitted(&connections, ip("192.0.2.1")).unwrap();
        assert_eq!((first.phase(), third.phase()), (Phase::Evicted, Phase::Head));
        drop(place);
        assert_eq!(admitted(&connections, ip("192.0.2.1")).unwrap_err(), TooMany, "an evicted one gives no place back twice");
    }
}
