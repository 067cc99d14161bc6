//! What the record does where something fails in it.

mod failures;
mod support;

use std::sync::Mutex;

use crate::{failure::Failure, store::locked};

/// Something that fails once, on the next write.
#[derive(Default)]
pub(crate) struct Fault(Mutex<Option<Strike>>);

type Strike = Box<dyn FnOnce() -> Failure + Send>;

impl Fault {
    pub(crate) fn set(&self, strike: impl FnOnce() -> Failure + Send + 'static) {
        *locked(&self.0) = Some(Box::new(strike));
    }

    pub(crate) fn strike(&self) -> Result<(), Failure> {
        // Let go of before it may panic.
        let strike = locked(&self.0).take();
        strike.map_or(Ok(()), |strike| Err(strike()))
    }
}
