//! From a user's message to an agent's run to events on that user's sockets.
//!
//! Everything here hangs on an [`Identity`](portcullis_token::Identity), which only a verifier makes: [`Router::admit`]
//! turns it into a [`Seat`], a seat and an [`Outbox`] into an [`Attachment`], and only an attachment can send a message or
//! receive an event. A connection that was not authenticated has nothing to route with, by the types.
//!
//! Each user has one *world*: their sockets, threads and runs behind one lock, and their record. Events get their number
//! and are handed to the record under that lock, and are queued for every socket in the order in which the record commits
//! them, so that all sockets see the same order; a world holds no way to another one. A connection in the mode `isolated`
//! is a world of its own.
//!
//! An event reaches a socket only once the record has committed it, and an accepted message is told only once it is
//! recorded; whoever opens a user's record takes up what a crash left open. Sockets, frames' details and clocks belong to
//! the gateway.

mod agents;
mod attachment;
mod delivery;
mod homes;
mod ids;
mod outbox;
mod router;
mod run;
mod share;
mod shared;
mod thread;
mod turn;
mod world;

pub use agents::Agents;
pub use attachment::{Attachment, Seat};
pub use delivery::{Delivery, StreamName, StreamPosition};
pub use homes::{Alone, Answer, Home, Homes};
pub use outbox::{Outbox, Outgoing};
pub use router::{Recovered, Router};
pub use share::Share;
pub use shared::{Observer, Options, ThreadPolicy, Unheard};
