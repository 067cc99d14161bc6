//! Work on long messages, off the threads that serve sockets: one message of each user at a time, and few in all. Whoever
//! pastes without pause waits for themselves, and the others wait for one message of theirs at most.

use std::{
    collections::HashMap,
    num::NonZero,
    panic::resume_unwind,
    sync::{Arc, Weak},
    thread::available_parallelism,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Mutex as Turn, Semaphore},
    task::spawn_blocking,
};

/// Handing over costs more than a shorter message does.
const SHORT: usize = 2 * 1024;

/// Where long messages are worked on.
pub(crate) struct Desk {
    /// How many more may be worked on.
    places: Arc<Semaphore>,
    /// Whose messages are worked on or wait.
    turns: Mutex<HashMap<Arc<str>, Weak<Turn<()>>>>,
}

impl Desk {
    /// One with half of the machine's processors.
    pub(crate) fn new() -> Self {
        let places = available_parallelism().map_or(1, NonZero::get).div_ceil(2);
        Self { places: Arc::new(Semaphore::new(places)), turns: Mutex::default() }
    }

    /// Works on a message of that user, which has so many bytes.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        user: &Arc<str>,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if bytes <= SHORT {
            return work();
        }
        let turn = self.turn(user).lock_owned().await;
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        // Held to the end of the work, also where nobody waits for it any more: that is what is bounded.
        let worked = spawn_blocking(move || {
            let worked = work();
            drop((turn, place));
            worked
        });
        match worked.await {
            Ok(worked) => worked,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime ends, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    fn turn(&self, user: &Arc<str>) -> Arc<Turn<()>> {
        let mut turns = self.turns.lock();
        if let Some(turn) = turns.get(user).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::new(()));
        turns.insert(Arc::clone(user), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::future::{join, join_all};
    use tokio::sync::oneshot;

    use super::*;

    const LONG: usize = SHORT + 1;

    fn user(name: &str) -> Arc<str> {
        name.into()
    }

    #[tokio::test]
    async fn one_user_has_one_message_worked_on_and_others_go_ahead_of_the_rest() {
        let desk = Desk { places: Arc::new(Semaphore::new(1)), turns: Mutex::default() };
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let order = Arc::clone(&order);
            move || order.lock().push(name)
        };
        let (ann, bob) = (user("ann"), user("bob"));
        let (go, gate) = mpsc::channel::<()>();
        let first = note("ann");
        let held = desk.work(&ann, LONG, move || {
            gate.recv().unwrap();
            first();
        });
        // All of them come while the first one is worked on; Ann's others before Bob.
        let others = join_all((0..5).map(|_| desk.work(&ann, LONG, note("ann"))));
        let bob = async {
            tokio::task::yield_now().await;
            let bobs = desk.work(&bob, LONG, note("bob"));
            let mut bobs = std::pin::pin!(bobs);
            assert!(futures_util::poll!(bobs.as_mut()).is_pending());
            go.send(()).unwrap();
            bobs.await;
        };
        join(join(held, others), bob).await;
        assert_eq!(*order.lock(), ["ann", "bob", "ann", "ann", "ann", "ann", "ann"]);
        // Nothing is remembered of who has nothing to do.
        desk.work(&user("cem"), LONG, || ()).await;
        assert_eq!(desk.turns.lock().len(), 1);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_place_and_gives_it_back() {
        let desk = Desk { places: Arc::new(Semaphore::new(1)), turns: Mutex::default() };
        let (go, gate) = oneshot::channel::<()>();
        let ann = user("ann");
        let work = desk.work(&ann, LONG, move || gate.blocking_recv());
        let mut work = Box::pin(work);
        while desk.places.available_permits() > 0 {
            assert!(futures_util::poll!(work.as_mut()).is_pending());
        }
        drop(work);
        assert_eq!(desk.places.available_permits(), 0);
        go.send(()).unwrap();
        assert_eq!(desk.work(&ann, LONG, || 7).await, 7);
    }

    #[tokio::test]
    #[should_panic(expected = "of its own")]
    async fn a_panic_is_the_caller_s() {
        Desk::new().work(&user("ann"), LONG, || panic!("of its own")).await;
    }
}
