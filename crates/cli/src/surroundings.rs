//! What the built-in agent may know of the server that it runs in.

use std::sync::Arc;

use portcullis_doctor::{Configuration, Refusal, Surroundings};
use portcullis_gateway::{OwnRefusal, OwnRefusals};
use portcullis_units::Clock;

/// This process, as the agent sees it.
#[derive(Debug)]
pub(crate) struct Server {
    configuration: Arc<Configuration>,
    refusals: OwnRefusals,
    clock: Clock,
}

impl Server {
    pub(crate) fn new(refusals: OwnRefusals, configuration: Configuration, clock: Clock) -> Self {
        Self { configuration: Arc::new(configuration), refusals, clock }
    }
}

impl Surroundings for Server {
    fn now(&self) -> u64 {
        self.clock.unix_seconds()
    }

    fn configuration(&self) -> Arc<Configuration> {
        Arc::clone(&self.configuration)
    }

    fn recent_refusals(&self, user_id: &str) -> Vec<Refusal> {
        let own = self.refusals.of(user_id).into_iter();
        own.map(|OwnRefusal { at, reason, request_id, form }| {
            let form = form.map(ToOwned::to_owned);
            Refusal { at, reason, request_id, form }
        })
        .collect()
    }
}
