//! Which connections are open, and whose: so many in all and for each host, and where all are taken, whoever holds most
//! makes room.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    num::NonZeroU32,
    sync::Arc,
};

use parking_lot::Mutex;
use portcullis_peer::Host;
use tokio_util::sync::CancellationToken;

/// The open connections.
#[derive(Debug)]
pub(crate) struct Seats {
    most: usize,
    most_of_a_host: u32,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// By arrival.
    taken: BTreeMap<u64, Taken>,
    hosts: HashMap<Host, u32>,
    arrivals: u64,
}

#[derive(Debug)]
struct Taken {
    host: Host,
    /// Whether its request is worked on: what was begun is not for nothing.
    busy: bool,
    cut: CancellationToken,
}

/// The seat of one connection; dropping it gives the seat back.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    cut: CancellationToken,
}

impl Seats {
    pub(crate) fn new(most: NonZeroU32, most_of_a_host: NonZeroU32) -> Arc<Self> {
        let (most, most_of_a_host) = (most.get() as usize, most_of_a_host.get());
        Arc::new(Self { most, most_of_a_host, table: Mutex::default() })
    }

    /// Takes a seat for a connection from `peer`. A proxy's connections are many people's: each counts for its client once
    /// that is known ([`Seat::belongs_to`]).
    ///
    /// None where the host has as many as it may, or all are taken and none can be had.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr, is_proxy: bool) -> Option<Seat> {
        let host = Host::from(peer);
        let mut table = self.table.lock();
        let held = table.held(host);
        if !is_proxy && held >= self.most_of_a_host {
            return None;
        }
        if table.taken.len() >= self.most && !table.make_room(host, held, is_proxy) {
            return None;
        }
        let (number, cut) = (table.arrivals, CancellationToken::new());
        table.arrivals += 1;
        table.taken.insert(number, Taken { host, busy: false, cut: cut.clone() });
        *table.hosts.entry(host).or_default() += 1;
        drop(table);
        Some(Seat { seats: Arc::clone(self), number, cut })
    }
}

impl Seat {
    /// Counts the connection for another host from now on. False where that one has as many as it may.
    pub(crate) fn belongs_to(&self, host: Host) -> bool {
        let mut table = self.seats.table.lock();
        let Some(taken) = table.taken.get_mut(&self.number) else { return true };
        let before = std::mem::replace(&mut taken.host, host);
        if before != host {
            table.give_back(before);
            *table.hosts.entry(host).or_default() += 1;
        }
        table.held(host) <= self.seats.most_of_a_host
    }

    /// Says that a request is worked on, and not waited for.
    pub(crate) fn work(&self) {
        self.set_busy(true);
    }

    /// Says that a request was answered: the next one may be another client's, where `peer` is a proxy.
    pub(crate) fn rest(&self, peer: Host) {
        self.set_busy(false);
        self.belongs_to(peer);
    }

    fn set_busy(&self, busy: bool) {
        if let Some(taken) = self.seats.table.lock().taken.get_mut(&self.number) {
            taken.busy = busy;
        }
    }

    /// Waits until the connection has to go, because its seat was given to another one.
    pub(crate) async fn cut(&self) {
        self.cut.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.table.lock().leave(self.number);
    }
}

impl Table {
    fn held(&self, host: Host) -> u32 {
        self.hosts.get(&host).copied().unwrap_or_default()
    }

    /// Cuts the oldest connection that waits for a request, of the host that holds most: more than the newcomer's, so that
    /// nobody gets a seat by coming again. Of a proxy's own it may be one, since those are many people's.
    fn make_room(&mut self, newcomer: Host, held: u32, is_proxy: bool) -> bool {
        let waiting = self.taken.iter().filter(|(_, taken)| !taken.busy);
        let most = waiting.max_by_key(|&(&number, taken)| (self.held(taken.host), Reverse(number)));
        let Some((&number, taken)) = most else { return false };
        if self.held(taken.host) <= held && !(is_proxy && taken.host == newcomer) {
            return false;
        }
        taken.cut.cancel();
        self.leave(number);
        true
    }

    fn leave(&mut self, number: u64) {
        if let Some(taken) = self.taken.remove(&number) {
            self.give_back(taken.host);
        }
    }

    fn give_back(&mut self, host: Host) {
        if let Some(held) = self.hosts.get_mut(&host) {
            *held -= 1;
            if *held == 0 {
                self.hosts.remove(&host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(most: u32, of_a_host: u32) -> Arc<Seats> {
        Seats::new(NonZeroU32::new(most).unwrap(), NonZeroU32::new(of_a_host).unwrap())
    }

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn is_cut(seat: &Seat) -> bool {
        seat.cut.is_cancelled()
    }

    #[test]
    fn a_host_has_so_many_and_gets_them_back() {
        let seats = seats(9, 2);
        let first = seats.take(ip(1), false).unwrap();
        let _second = seats.take(ip(1), false).unwrap();
        assert!(seats.take(ip(1), false).is_none());
        drop(first);
        assert!(seats.take(ip(1), false).is_some());
    }

    #[test]
    fn whoever_holds_most_makes_room_for_whoever_holds_less() {
        let seats = seats(5, 5);
        let many: Vec<_> = (0..3).map(|_| seats.take(ip(1), false).unwrap()).collect();
        let _others: Vec<_> = (2..4).map(|n| seats.take(ip(n), false).unwrap()).collect();
        let new = seats.take(ip(9), false).unwrap();
        assert_eq!(many.iter().map(is_cut).collect::<Vec<_>>(), [true, false, false], "the oldest");
        assert!(seats.take(ip(1), false).is_none(), "nobody makes room for whoever holds most");
        let _more = seats.take(ip(9), false);
        assert!(!is_cut(&new));
        drop(many);
        assert_eq!(seats.table.lock().hosts.get(&Host::from(ip(1))), None);
    }

    #[test]
    fn many_hosts_with_one_each_do_not_keep_another_out() {
        let seats = seats(100, 5);
        let strangers: Vec<_> = (0..100).map(|n| seats.take(ip(n), false).unwrap()).collect();
        assert!(seats.take(ip(200), false).is_some());
        assert_eq!(strangers.iter().filter(|seat| is_cut(seat)).count(), 1);
    }

    #[test]
    fn a_request_that_is_worked_on_is_not_cut() {
        let seats = seats(2, 2);
        let pair: Vec<_> = (0..2).map(|_| seats.take(ip(1), false).unwrap()).collect();
        pair.iter().for_each(Seat::work);
        assert!(seats.take(ip(2), false).is_none());
        pair[1].rest(Host::from(ip(1)));
        assert!(seats.take(ip(2), false).is_some());
        assert!(!is_cut(&pair[0]) && is_cut(&pair[1]));
    }

    #[test]
    fn a_proxys_connections_count_for_its_clients() {
        let seats = seats(4, 2);
        let proxied: Vec<_> = (0..4).map(|_| seats.take(ip(1), true).unwrap()).collect();
        let client = |n: u8| Host::from(ip(n));
        assert!(proxied[0].belongs_to(client(9)) && proxied[1].belongs_to(client(9)));
        assert!(!proxied[2].belongs_to(client(9)), "a third of one client");
        assert!(proxied[3].belongs_to(client(8)));
        let _fifth = seats.take(ip(1), true).unwrap();
        assert!(is_cut(&proxied[0]) && !is_cut(&proxied[3]));
        drop(proxied);
        let table = seats.table.lock();
        assert_eq!((table.taken.len(), table.held(client(1)), table.held(client(9))), (1, 1, 0));
    }
}
