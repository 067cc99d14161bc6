//! Blocking work in bounded numbers: password hashes cost memory and a core, the database has one writer.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::{sync::Semaphore, task};

/// Runs so many closures at a time on blocking threads, lets so many wait, and turns the rest away.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    running: Arc<Semaphore>,
    admitted: Arc<AtomicU32>,
    capacity: u32,
}

/// Why a closure did not run to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// As many run and wait as may.
    Full,
    /// The closure panicked.
    Panicked,
}

impl Pool {
    pub(crate) fn new(concurrency: u32, queue: u32) -> Self {
        Self {
            running: Arc::new(Semaphore::new(concurrency as usize)),
            admitted: Arc::default(),
            capacity: concurrency.saturating_add(queue),
        }
    }

    /// Runs `work`. A caller that goes away while it waits gives up its place; work that runs holds its place to its
    /// end, also when nobody waits for it any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let place = self.admit().ok_or(Failure::Full)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.expect("the semaphore is never closed");
        let task = task::spawn_blocking(move || {
            let result = work();
            drop((turn, place));
            result
        });
        task.await.map_err(|_| Failure::Panicked)
    }

    fn admit(&self) -> Option<Place> {
        self.admitted
            .try_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < self.capacity).then_some(n + 1))
            .ok()
            .map(|_| Place(Arc::clone(&self.admitted)))
    }
}

struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_the_rest_is_turned_away() {
        let pool = Pool::new(1, 1);
        let (release, gate) = mpsc::channel::<()>();
        let first = pool.run(move || gate.recv().is_ok());
        let second = pool.run(|| true);
        let third = pool.run(|| true);
        let (first, second, (third, fourth)) = tokio::join!(first, second, async {
            // Both places are taken by the time this future is polled for the first time.
            let turned_away = third.await;
            release.send(()).unwrap();
            (turned_away, pool.clone())
        });
        assert_eq!((first, second, third), (Ok(true), Ok(true), Err(Failure::Full)));
        assert_eq!(fourth.run(|| 4).await, Ok(4));
    }

    #[tokio::test]
    async fn a_panic_is_told_and_frees_its_place() {
        let pool = Pool::new(1, 0);
        for _ in 0..3 {
            assert_eq!(pool.run(|| panic!("on purpose")).await, Err::<(), _>(Failure::Panicked));
        }
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }
}
