//! A disk that survives, and lives of a process on it that end whenever the test says.

use std::{sync::Arc, time::Duration};

use portcullis_log::EventLog;
use portcullis_router::{Agents, Options, Recovered, Router};
use portcullis_test::{MemoryDisk, MemoryLog};
use portcullis_units::Clock;

use crate::{
    script::scripted,
    world::{recording_at, recording_with, roomy},
};

/// A log whose acknowledgements are held back until the test lets them go, one by one.
pub(crate) struct Held(MemoryLog);

impl Held {
    pub(crate) fn new() -> Self {
        Self(MemoryLog::open(&Arc::default()))
    }

    /// The same disk for the next process. What the one before has not recorded, and whatever its tasks say from now on,
    /// goes nowhere.
    pub(crate) fn restart(&self) -> Self {
        self.0.crash(0);
        Self(MemoryLog::open(self.0.disk()))
    }

    pub(crate) fn router(&self) -> Router {
        self.router_with(roomy(), scripted())
    }

    pub(crate) fn router_with(&self, options: Options, agents: Agents) -> Router {
        recording_with(options, agents, Arc::new(self.0.clone()) as Arc<dyn EventLog>)
    }

    /// One whose time of day may go other ways than the runtime's time.
    pub(crate) fn router_at(&self, options: Options, clock: Clock) -> Router {
        recording_at(options, scripted(), Arc::new(self.0.clone()) as Arc<dyn EventLog>, clock)
    }

    /// Takes up what the process before left open. What that has to say is recorded at once.
    pub(crate) async fn recover(&self, router: &Router) -> Recovered {
        let mut recovered = std::pin::pin!(router.recover());
        loop {
            tokio::select! {
                biased;
                recovered = &mut recovered => return recovered.unwrap(),
                () = tokio::task::yield_now() => drop(self.next()),
            }
        }
    }

    /// Records the next change, and acknowledges it; false if none waits.
    pub(crate) fn next(&self) -> bool {
        self.0.step()
    }

    pub(crate) fn fail(&self) {
        self.0.fail();
    }

    /// Whether nothing waits to be recorded.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    pub(crate) fn log(&self) -> &MemoryLog {
        &self.0
    }

    pub(crate) fn disk(&self) -> &MemoryDisk {
        self.0.disk()
    }
}

/// Lets tasks go as far as they come without the log.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Lets everything come to its end.
pub(crate) async fn finish(router: &Router, log: &Held) {
    while log.next() || router.runs() > 0 {
        pause().await;
    }
}
