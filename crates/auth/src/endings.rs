//! Telling whoever verifies access tokens which logins have ended.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use portcullis_units::Clock;

use crate::{
    Accounts,
    accounts::Error,
    options::MAX_ACCESS_TTL,
    pool::{Claim, Pool},
};

/// How often the journal is looked at for what other processes (`portcullis users`) ended: a read of one index.
const INTERVAL: Duration = Duration::from_millis(250);

/// A login that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedLogin {
    /// The `sid` of its access tokens.
    pub session: String,
    /// From this second since 1970 on none of them is good any more.
    pub tokens_end: u64,
}

/// How often the time for which the server ran is written down. A crash loses as much, which keeps what ended for longer.
const RUN_INTERVAL: Duration = Duration::from_mins(1);

type Listener = Box<dyn Fn(Vec<EndedLogin>) + Send + Sync>;

/// Who is told, and how far.
#[derive(Default)]
pub(crate) struct Endings {
    listener: OnceLock<Listener>,
    /// The last number of the journal that was told.
    told: Mutex<i64>,
}

impl Endings {
    pub(crate) fn listen(&self, hear: impl Fn(Vec<EndedLogin>) + Send + Sync + 'static) {
        // The first one stays: there is one gateway.
        let _ = self.listener.set(Box::new(hear));
    }

    /// Tells what has ended since the last time. Blocks on the disk.
    pub(crate) fn tell(&self, accounts: &Accounts) -> Result<(), Error> {
        let Some(hear) = self.listener.get() else { return Ok(()) };
        // Held throughout, so that a login is told before the one that asked for its end is answered.
        let mut told = self.told.lock();
        let (logins, place) = accounts.ended(*told)?;
        if !logins.is_empty() {
            // The longest that a token could have been given for, whatever the setting was then.
            let tokens_end = |at: u64| at.saturating_add(MAX_ACCESS_TTL.as_secs());
            let ended = |(session, at)| EndedLogin { session, tokens_end: tokens_end(at) };
            hear(logins.into_iter().map(ended).collect());
        }
        *told = place;
        Ok(())
    }
}

/// Looks at the journal now and then, for ever, and has the time pass that ends it.
pub(crate) async fn watch(database: Pool, accounts: Accounts, endings: Arc<Endings>, clock: Clock) {
    let mut failing = false;
    let mut since = clock.instant();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let ran = Some(clock.since(since)).filter(|ran| *ran >= RUN_INTERVAL);
        let (accounts, endings) = (accounts.clone(), Arc::clone(&endings));
        let look = move || {
            endings.tell(&accounts)?;
            ran.map_or(Ok(()), |ran| accounts.ran(ran))
        };
        let told = database.run(Claim::OWN, look).await;
        let failed = !matches!(told, Ok(Ok(())));
        if !failed && let Some(ran) = ran {
            since += Duration::from_secs(ran.as_secs());
        }
        if failed && !failing {
            tracing::error!(outcome = ?told, "ended logins cannot be read; their tokens stay good until this is over");
        }
        failing = failed;
    }
}
