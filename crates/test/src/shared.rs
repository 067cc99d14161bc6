//! One server for the tests that run at the same time.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::Server;

/// A server that tests share: started for the first of them, ended with the last. A plain static would outlive the
/// tests, and with it the process that it started.
#[derive(Debug)]
pub struct Shared {
    server: Mutex<Weak<Server>>,
    start: fn() -> Server,
}

impl Shared {
    /// A server that `start` starts when somebody needs it.
    pub const fn new(start: fn() -> Server) -> Self {
        Self { server: Mutex::new(Weak::new()), start }
    }

    /// The server that is running, or a new one.
    pub fn get(&self) -> Arc<Server> {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = server.upgrade() {
            return server;
        }
        let started = Arc::new((self.start)());
        *server = Arc::downgrade(&started);
        started
    }
}
