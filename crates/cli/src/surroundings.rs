//! What the built-in agent may know of the server that it runs in.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use portcullis_agent::{Configuration, Refusal, Surroundings};

/// This process, as the agent sees it.
#[derive(Debug)]
pub(crate) struct Server {
    configuration: Arc<Configuration>,
}

impl Server {
    pub(crate) fn new(configuration: Configuration) -> Self {
        Self { configuration: Arc::new(configuration) }
    }
}

impl Surroundings for Server {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn configuration(&self) -> Arc<Configuration> {
        Arc::clone(&self.configuration)
    }

    fn recent_refusals(&self, _user_id: &str) -> Vec<Refusal> {
        Vec::new()
    }
}
