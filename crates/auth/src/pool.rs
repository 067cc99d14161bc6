//! Blocking work in bounded numbers: password hashes cost memory and a core, the database has one writer.
//!
//! Who waits is served in the order of their [`Claim`], and not of their coming: however many strangers ask, whoever
//! asked least lately is next.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use portcullis_peer::Host;
use tokio::{sync::oneshot, task, time::timeout};

/// How long somebody waits for their turn before they are told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// On whose behalf something is done, and how soon: the least is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) lane: Lane,
    /// How much the peer asked for lately.
    pub(crate) asked: Duration,
    pub(crate) host: Host,
}

/// What is known of whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// The service itself.
    Own,
    /// Somebody who has logged in from there before, or shown that they may now.
    Known,
    /// Anybody.
    Stranger,
}

impl Claim {
    /// The service's own.
    pub(crate) const OWN: Self = Self { lane: Lane::Own, asked: Duration::ZERO, host: Host::V4(0) };

    /// The same, of somebody who is known by now.
    #[must_use]
    pub(crate) const fn known(self) -> Self {
        Self { lane: Lane::Known, ..self }
    }
}

/// Runs so many closures at a time on blocking threads, lets so many wait, and turns the rest away.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    /// How many may wait.
    capacity: usize,
    /// How many strangers of one host may wait.
    share: u32,
}

#[derive(Default)]
struct Queue {
    /// How many more may run.
    free: u32,
    waiting: BTreeMap<Place, oneshot::Sender<Turn>>,
    /// How many wait for each host.
    hosts: HashMap<Host, u32>,
    arrivals: u64,
}

/// Where somebody stands in the queue: by claim, then by arrival.
type Place = (Claim, u64);

/// Why a closure did not run to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// As many wait as may, and none with a lesser claim; or it took too long.
    Full,
    /// The closure panicked.
    Panicked,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(concurrency: u32, capacity: u32) -> Self {
        Self(Arc::new(Shared {
            queue: Mutex::new(Queue { free: concurrency, ..Queue::default() }),
            capacity: capacity as usize,
            share: (capacity / 4).max(1),
        }))
    }

    /// Runs `work`. A caller that goes away while it waits gives up its place; work that runs holds its turn to its end,
    /// also when nobody waits for it any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        claim: Claim,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = self.turn(claim).await?;
        let task = task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        task.await.map_err(|_| Failure::Panicked)
    }

    async fn turn(&self, claim: Claim) -> Result<Turn, Failure> {
        let (waiting, turn) = match self.enter(claim)? {
            Entered::Now(turn) => return Ok(turn),
            Entered::Waiting(waiting, turn) => (waiting, turn),
        };
        // A sender that is gone was turned away for somebody with a better claim.
        let turn = timeout(PATIENCE, turn).await.map_err(|_| Failure::Full)?.map_err(|_| Failure::Full);
        drop(waiting);
        turn
    }

    fn enter(&self, claim: Claim) -> Result<Entered, Failure> {
        let Shared { queue, capacity, share } = &*self.0;
        let mut queue = queue.lock();
        if queue.free > 0 {
            queue.free -= 1;
            return Ok(Entered::Now(Turn(self.clone())));
        }
        let here = queue.hosts.get(&claim.host).copied().unwrap_or_default();
        if claim.lane == Lane::Stranger && here >= *share {
            return Err(Failure::Full);
        }
        if queue.waiting.len() >= *capacity {
            match queue.waiting.last_key_value() {
                Some((&last, _)) if claim < last.0 => queue.leave(&last),
                _ => return Err(Failure::Full),
            }
        }
        let (sender, turn) = oneshot::channel();
        let place = (claim, queue.arrivals);
        queue.arrivals += 1;
        queue.waiting.insert(place, sender);
        *queue.hosts.entry(claim.host).or_default() += 1;
        Ok(Entered::Waiting(Waiting { pool: self.clone(), place }, turn))
    }

    /// Gives a turn to whoever is next.
    fn pass_on(&self) {
        let next = {
            let mut queue = self.0.queue.lock();
            let first = queue.waiting.first_key_value().map(|(&place, _)| place);
            let next = first.and_then(|first| queue.take(&first));
            queue.free += u32::from(next.is_none());
            next
        };
        if let Some(next) = next {
            // Somebody who has just gone away drops the turn, and so passes it on.
            let _ = next.send(Turn(self.clone()));
        }
    }
}

enum Entered {
    Now(Turn),
    Waiting(Waiting, oneshot::Receiver<Turn>),
}

impl Queue {
    fn take(&mut self, place: &Place) -> Option<oneshot::Sender<Turn>> {
        let sender = self.waiting.remove(place)?;
        let host = place.0.host;
        if let Some(here) = self.hosts.get_mut(&host) {
            *here -= 1;
            if *here == 0 {
                self.hosts.remove(&host);
            }
        }
        Some(sender)
    }

    fn leave(&mut self, place: &Place) {
        drop(self.take(place));
    }
}

/// Leave to run one closure.
struct Turn(Pool);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

/// A place in the queue, given up when it is dropped.
struct Waiting {
    pool: Pool,
    place: Place,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pool.0.queue.lock().leave(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::mpsc};

    use futures_util::future::join_all;

    use super::*;

    fn stranger(n: u8, asked: u64) -> Claim {
        let host = Host::from(IpAddr::from([192, 0, 2, n]));
        Claim { lane: Lane::Stranger, asked: Duration::from_secs(asked), host }
    }

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_the_rest_is_turned_away() {
        let pool = Pool::new(1, 1);
        let (release, gate) = mpsc::channel::<()>();
        let first = pool.run(stranger(1, 0), move || gate.recv().is_ok());
        let second = pool.run(stranger(2, 0), || true);
        let third = pool.run(stranger(3, 0), || true);
        let (first, second, (third, fourth)) = tokio::join!(first, second, async {
            // Both places are taken by the time this future is polled for the first time.
            let turned_away = third.await;
            release.send(()).unwrap();
            (turned_away, pool.clone())
        });
        assert_eq!((first, second, third), (Ok(true), Ok(true), Err(Failure::Full)));
        assert_eq!(fourth.run(stranger(4, 0), || 4).await, Ok(4));
    }

    /// What is served, in its order, of those who come while something runs. None for whoever is turned away.
    async fn order(capacity: u32, claims: &[Claim]) -> (Vec<usize>, Vec<usize>) {
        let pool = Pool::new(1, capacity);
        let (release, gate) = mpsc::channel::<()>();
        let (served, order) = mpsc::channel();
        let running = pool.run(Claim::OWN, move || gate.recv().is_ok());
        let all = claims.iter().enumerate().map(|(n, &claim)| {
            let (pool, served) = (pool.clone(), served.clone());
            async move { pool.run(claim, move || served.send(n).unwrap()).await }
        });
        // Polled in their order, so they come in their order.
        let waiting = join_all(all);
        let (_, outcomes) = tokio::join!(running, async {
            let mut waiting = std::pin::pin!(waiting);
            tokio::select! {
                biased;
                _ = waiting.as_mut() => unreachable!("something runs"),
                () = std::future::ready(()) => {}
            }
            release.send(()).unwrap();
            waiting.await
        });
        let turned_away = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_err());
        (order.try_iter().collect(), turned_away.map(|(n, _)| n).collect())
    }

    #[tokio::test]
    async fn whoever_asked_least_is_next_and_who_is_known_before_strangers() {
        let claims =
            [stranger(1, 60), stranger(2, 5), stranger(3, 0), stranger(4, 9).known(), stranger(5, 5)];
        assert_eq!(order(9, &claims).await, (vec![3, 2, 1, 4, 0], vec![]));
    }

    #[tokio::test]
    async fn where_all_places_are_taken_whoever_asked_most_makes_room() {
        let claims = [stranger(1, 60), stranger(2, 30), stranger(3, 0), stranger(4, 90)];
        assert_eq!(order(2, &claims).await, (vec![2, 1], vec![0, 3]));
    }

    #[tokio::test]
    async fn strangers_of_one_host_have_a_quarter_of_the_places() {
        let claims = [stranger(1, 0), stranger(1, 0), stranger(1, 0), stranger(2, 0), stranger(1, 0).known()];
        assert_eq!(order(8, &claims).await, (vec![4, 0, 1, 3], vec![2]));
    }

    #[tokio::test]
    async fn a_place_that_is_given_up_is_free_again() {
        let pool = Pool::new(1, 1);
        let (release, gate) = mpsc::channel::<()>();
        let first = pool.run(stranger(1, 0), move || gate.recv().is_ok());
        let (first, third) = tokio::join!(first, async {
            let gone = timeout(Duration::ZERO, pool.run(stranger(2, 0), || 2)).await;
            assert!(gone.is_err());
            let third = pool.run(stranger(3, 0), || 3);
            release.send(()).unwrap();
            third.await
        });
        assert_eq!((first, third), (Ok(true), Ok(3)));
        let queue = pool.0.queue.lock();
        assert_eq!((queue.free, queue.waiting.len(), queue.hosts.len()), (1, 0, 0));
    }

    #[tokio::test]
    async fn a_panic_is_told_and_frees_its_turn() {
        let pool = Pool::new(1, 0);
        for _ in 0..3 {
            let panics = pool.run(stranger(1, 0), || panic!("on purpose")).await;
            assert_eq!(panics, Err::<(), _>(Failure::Panicked));
        }
        assert_eq!(pool.run(stranger(1, 0), || 1).await, Ok(1));
    }
}
