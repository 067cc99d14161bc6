//! Who may come in at all: connections in all, connections and handshakes per address (steps 1 and 6 of the table in
//! ARCHITECTURE.md).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use portcullis_reason::{Reason, Rejection};
use portcullis_units::{Clock, Gcra, Rate, Wait};

use crate::LimitOptions;

/// Counts what is open and how often each address comes.
///
/// One table of addresses, bounded by the connections that are open plus those that came within the last burst: an
/// address with nothing open and a full allowance is forgotten.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    clock: Clock,
    open: AtomicUsize,
    addresses: Mutex<Addresses>,
}

#[derive(Debug)]
struct Limits {
    connections: usize,
    /// Connections beyond that which are let in to be told so with a 429.
    headroom: usize,
    per_address: u32,
    /// Of handshakes, and of plain requests likewise.
    rate: Rate,
}

#[derive(Debug, Default)]
struct Addresses {
    table: HashMap<IpAddr, Address>,
    /// The table is swept when it has grown to this size.
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Address {
    open: u32,
    handshakes: Gcra,
    /// Plain requests, apart: the files of a page are in no handshake's way.
    requests: Gcra,
}

impl Address {
    /// Whether nothing is known of it that a stranger would not start with.
    fn is_forgettable(&self, now: Instant) -> bool {
        self.open == 0 && self.handshakes.is_full(now) && self.requests.is_full(now)
    }
}

/// Connections beyond the cap: as many as the cap, within these.
const HEADROOM: usize = 256;
const FEWEST: usize = 16;

/// One connection's share of what may be open; dropping it gives that back.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    const FIRST_SWEEP: usize = 1_024;

    pub(crate) fn new(options: &LimitOptions, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            limits: Limits {
                connections: options.connections,
                headroom: options.connections.clamp(FEWEST, HEADROOM),
                per_address: options.connections_per_address,
                rate: Rate::per_second(options.handshakes_per_second, options.handshake_burst),
            },
            clock,
            open: AtomicUsize::new(0),
            addresses: Mutex::new(Addresses { table: HashMap::new(), sweep_at: Self::FIRST_SWEEP }),
        })
    }

    /// Permits a connection that was just accepted, before a byte is read. None: the server is full, or far
    /// too much of it belongs to one address.
    ///
    /// A refusal at this point has no words, so up to here there is some headroom; [`Permit::admit`] decides once there
    /// is a request to answer.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let address = network(address);
        let most = self.limits.connections.saturating_add(self.limits.headroom);
        if self.open.fetch_add(1, Ordering::Relaxed) >= most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut addresses = self.addresses.lock();
        let entry = addresses.table.entry(address).or_default();
        if entry.open >= self.limits.per_address.saturating_add(Self::HEADROOM_PER_ADDRESS) {
            drop(addresses);
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        entry.open += 1;
        drop(addresses);
        Some(Permit { admission: Arc::clone(self), address })
    }

    /// The most connections of one address beyond its cap that are let in to be told so with a 429.
    const HEADROOM_PER_ADDRESS: u32 = 64;

    fn leave(&self, address: IpAddr) {
        let now = self.clock.instant();
        let mut addresses = self.addresses.lock();
        if let Some(entry) = addresses.table.get_mut(&address) {
            entry.open -= 1;
            if entry.is_forgettable(now) {
                addresses.table.remove(&address);
            }
        }
        // Addresses that left while their allowance was still filling up.
        if addresses.table.len() >= addresses.sweep_at {
            addresses.table.retain(|_, address| !address.is_forgettable(now));
            addresses.sweep_at = (addresses.table.len() * 2).max(Self::FIRST_SWEEP);
        }
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// Counts the connection for the client behind a proxy instead of for the proxy.
    pub(crate) fn belongs_to(&mut self, client: IpAddr) {
        let client = network(client);
        if client != self.address {
            self.admission.addresses.lock().table.entry(client).or_default().open += 1;
            self.admission.leave(std::mem::replace(&mut self.address, client));
        }
    }

    /// Decides on a handshake: caps first, then the address' rate. A handshake that is refused later uses up allowance
    /// as well.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Rejection> {
        self.decide(
            |address, rate| address.handshakes.take(rate, now),
            "too many handshakes from your address",
        )
    }

    /// The same for a plain request.
    pub(crate) fn admit_plain(&self, now: Instant) -> Result<(), Rejection> {
        self.decide(|address, rate| address.requests.take(rate, now), "too many requests from your address")
    }

    fn decide(
        &self,
        take: impl FnOnce(&mut Address, &Rate) -> Result<(), Wait>,
        hint: &'static str,
    ) -> Result<(), Rejection> {
        let limits = &self.admission.limits;
        if self.admission.open() > limits.connections {
            return Err(Rejection::new(Reason::TooManyConnections, "the cap on all connections is reached")
                .with_retry_after(5));
        }
        let mut addresses = self.admission.addresses.lock();
        let address = addresses.table.entry(self.address).or_default();
        if address.open > limits.per_address {
            return Err(Rejection::new(
                Reason::TooManyConnections,
                "the cap on connections of one address is reached",
            )
            .with_hint("too many connections from your address")
            .with_retry_after(5));
        }
        take(address, &limits.rate).map_err(|wait| {
            Rejection::new(Reason::RateLimited, "the rate of one address is exceeded")
                .with_hint(hint)
                .with_retry_after(wait.as_secs())
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.open.fetch_sub(1, Ordering::Relaxed);
        self.admission.leave(self.address);
    }
}

/// What counts as one address: an IPv4 address, or the /64 that a single IPv6 site usually has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::*;

    fn admission(connections: usize, per_address: u32, rate: u32, burst: u32) -> (Arc<Admission>, Instant) {
        let now = Clock::system().instant();
        let number = |n| NonZeroU32::new(n).unwrap();
        let options = LimitOptions {
            connections,
            connections_per_address: per_address,
            handshakes_per_second: number(rate),
            handshake_burst: number(burst),
            ..LimitOptions::default()
        };
        (Admission::new(&options, Clock::system()), now)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_is_taken_then_the_rate_holds_and_tells_when_to_come_back() {
        let (admission, now) = admission(100, 100, 2, 3);
        let permit = admission.enter(ip("192.0.2.1")).unwrap();
        for _ in 0..3 {
            permit.admit(now).unwrap();
        }
        let refused = permit.admit(now).unwrap_err();
        assert_eq!((refused.reason, refused.retry_after), (Reason::RateLimited, Some(1)));
        permit.admit(now + Duration::from_millis(500)).unwrap();
        assert!(permit.admit(now + Duration::from_millis(500)).is_err());
        let other = admission.enter(ip("192.0.2.2")).unwrap();
        other.admit(now).unwrap();
    }

    #[test]
    fn plain_requests_have_an_allowance_of_their_own() {
        let (admission, now) = admission(100, 1, 2, 3);
        let permit = admission.enter(ip("192.0.2.1")).unwrap();
        for _ in 0..3 {
            permit.admit_plain(now).unwrap();
        }
        assert_eq!(permit.admit_plain(now).unwrap_err().reason, Reason::RateLimited);
        permit.admit(now).unwrap();
        permit.admit_plain(now + Duration::from_millis(500)).unwrap();
        let _second = admission.enter(ip("192.0.2.1")).unwrap();
        assert_eq!(
            permit.admit_plain(now + Duration::from_secs(9)).unwrap_err().reason,
            Reason::TooManyConnections
        );
    }

    #[test]
    fn caps_count_open_connections_and_permits_come_back() {
        let (admission, now) = admission(3, 2, 100, 100);
        let first = admission.enter(ip("192.0.2.1")).unwrap();
        let second = admission.enter(ip("192.0.2.1")).unwrap();
        let third = admission.enter(ip("192.0.2.1")).unwrap();
        assert_eq!(third.admit(now).unwrap_err().reason, Reason::TooManyConnections);
        drop(first);
        third.admit(now).unwrap();
        let more: Vec<_> =
            (0..2).map(|n| admission.enter(ip(&format!("192.0.2.{}", 10 + n))).unwrap()).collect();
        assert_eq!(more[0].admit(now).unwrap_err().reason, Reason::TooManyConnections);
        drop((second, third, more));
        assert_eq!(admission.open(), 0);
    }

    #[test]
    fn a_full_server_drops_connections_before_reading() {
        let (admission, _) = admission(1, 1_000, 100, 100);
        let permits: Vec<_> = (0..=FEWEST).map(|_| admission.enter(ip("192.0.2.1")).unwrap()).collect();
        assert!(admission.enter(ip("192.0.2.9")).is_none());
        drop(permits);
        assert!(admission.enter(ip("192.0.2.9")).is_some());
    }

    #[test]
    fn a_connection_moves_from_the_proxy_to_its_client() {
        let (admission, now) = admission(100, 1, 100, 100);
        let mut first = admission.enter(ip("10.0.0.1")).unwrap();
        first.belongs_to(ip("192.0.2.1"));
        let mut second = admission.enter(ip("10.0.0.1")).unwrap();
        second.belongs_to(ip("192.0.2.2"));
        second.admit(now).unwrap();
        let mut third = admission.enter(ip("10.0.0.1")).unwrap();
        third.belongs_to(ip("192.0.2.1"));
        assert_eq!(third.admit(now).unwrap_err().reason, Reason::TooManyConnections);
        drop((first, third));
        assert!(!admission.addresses.lock().table.contains_key(&ip("10.0.0.1")));
    }

    #[test]
    fn one_address_cannot_hold_the_server_with_sockets_that_say_nothing() {
        let (admission, _) = admission(100_000, 2, 100, 100);
        let most = 2 + Admission::HEADROOM_PER_ADDRESS;
        let permits: Vec<_> = (0..most).map(|_| admission.enter(ip("192.0.2.1")).unwrap()).collect();
        assert!(admission.enter(ip("192.0.2.1")).is_none());
        assert_eq!(admission.open(), most as usize);
        assert!(admission.enter(ip("192.0.2.2")).is_some());
        drop(permits);
        assert!(admission.enter(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn one_ipv6_site_is_one_address_and_mapped_ipv4_is_ipv4() {
        assert_eq!(network(ip("2001:db8::1")), network(ip("2001:db8::ffff:2")));
        assert_ne!(network(ip("2001:db8:0:1::1")), network(ip("2001:db8:0:2::1")));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn strangers_that_are_gone_are_forgotten() {
        let (admission, now) = admission(10_000, 10, 1_000_000, 1);
        for n in 0..5_000u32 {
            let permit = admission.enter(IpAddr::from(n.to_be_bytes())).unwrap();
            let _ = permit.admit(now);
        }
        assert!(admission.addresses.lock().table.len() < 4 * Admission::FIRST_SWEEP);
    }
}
