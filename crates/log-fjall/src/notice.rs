//! What an operator should know.

use std::{fmt, sync::Arc};

use portcullis_event::ThreadId;

/// Something that an operator should know about the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The end of the streams may have been lost, so they have begun new epochs: clients get again what there is.
    Renewed {
        /// What made that necessary.
        cause: Arc<str>,
    },
    /// Something that was committed is not there any more.
    Lost {
        /// How many writes are missing.
        batches: u64,
        /// What is missing of the threads that are known to miss something.
        threads: Vec<Lost>,
    },
    /// Nothing is taken for now: the database is closed and opened again.
    Failed {
        /// Why, and what would help.
        cause: Arc<str>,
    },
    /// Changes are taken again.
    Recovered,
    /// Messages are refused, and what is under way goes on, since there is little room left on the device.
    Full {
        /// How much, and what would help.
        cause: Arc<str>,
    },
    /// There is room again.
    Roomy,
    /// A record of format 1 is taken over, which takes its time: so many events are there so far.
    TakingOver {
        /// How many.
        events: u64,
    },
}

/// What is missing of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its name; none where nothing is left of it, or it cannot be read.
    pub thread: Option<ThreadId>,
    /// How many of its events are missing, as far as that is known.
    pub events: u64,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renewed { cause } => {
                write!(f, "the streams have begun new epochs, since their ends may have been lost: {cause}")
            }
            Self::Lost { batches, threads } => {
                let events: u64 = threads.iter().map(|lost| lost.events).sum();
                write!(
                    f,
                    "{batches} writes are missing from the record, and with them at least {events} events of {} \
                     threads",
                    threads.len()
                )?;
                let named =
                    threads.iter().filter_map(|lost| lost.thread.as_ref().map(|name| (name, lost.events)));
                for (index, (thread, events)) in named.take(NAMED).enumerate() {
                    let begin = if index == 0 { ": " } else { ", " };
                    write!(f, "{begin}{events} of {thread}")?;
                }
                Ok(())
            }
            Self::Failed { cause } => write!(f, "events cannot be recorded for now: {cause}"),
            Self::Recovered => f.write_str("events are recorded again"),
            Self::Full { cause } => {
                write!(f, "messages are refused, since their events cannot be recorded: {cause}")
            }
            Self::Roomy => f.write_str("messages are accepted again, since there is room"),
            Self::TakingOver { events } => {
                write!(f, "it is taken over from format 1; {events} events are there so far")
            }
        }
    }
}

/// Threads that are named at most.
const NAMED: usize = 20;
