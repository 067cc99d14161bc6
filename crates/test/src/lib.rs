//! What the tests share: tokens, a running server, and a peer that writes exact bytes.
//!
//! [`Server`] is the real binary in a process of its own, on free ports and with a data directory of its own; it ends
//! when it is dropped. [`Peer`] is a socket whose every byte a test decides, with the client roles of the handshake and
//! of the frames on top of it. Every wait ends after [`PATIENCE`] at the latest, and nothing here sleeps.
//!
//! Helpers panic where they stand: what goes wrong in them is the test's finding.

mod clock;
mod log;
mod memory;
mod peer;
mod request;
mod response;
mod script;
mod server;
mod shared;
mod token;
mod witness;

use std::time::Duration;

pub use clock::runtime_clock;
pub use log::Log;
pub use memory::{MemoryDisk, MemoryLog, Serving};
pub use peer::{Close, Peer, SseBlock};
/// The frames, for tests that write their own.
pub use portcullis_frame as frame;
pub use request::Request;
pub use response::Response;
pub use script::Scripted;
pub use server::{Builder, SECRET, Server};
pub use shared::Shared;
pub use token::{Tokens, alter, forge, wrap};
pub use witness::{Found, Witness, is_terminal};

/// The longest time that anything here waits. It is for machines that are busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Lets this process open as many files as the system allows: each connection is one.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("a soft limit may be raised to the hard one");
}

/// A number from the environment, for tests that can be made to run for longer.
pub fn setting(name: &str, otherwise: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how long to test is the tester's to say")]
    let given = std::env::var(name);
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}
