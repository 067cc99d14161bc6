//! Names that nobody can guess.

use portcullis_event::{Epoch, MessageId, RunId, ThreadId};
use portcullis_units::random;

/// A new run's.
pub(crate) fn run() -> RunId {
    RunId::new(&format!("run-{}", random::hex::<12>())).expect("hexadecimal digits are an identifier")
}

/// A message's whose client gave it none.
pub(crate) fn message() -> MessageId {
    MessageId::new(&format!("message-{}", random::hex::<12>())).expect("hexadecimal digits are an identifier")
}

/// A new thread's, where its first message named none.
pub(crate) fn thread() -> ThreadId {
    ThreadId::new(&format!("thread-{}", random::hex::<12>())).expect("hexadecimal digits are an identifier")
}

/// A new stream's.
pub(crate) fn epoch() -> Epoch {
    Epoch::new(&random::hex::<8>()).expect("hexadecimal digits are an epoch")
}
