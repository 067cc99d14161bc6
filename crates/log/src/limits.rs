//! How much is kept, and what is said where that is reached.

/// How much is kept of each user, and of all.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events of one thread.
    pub events: usize,
    /// Bytes of the events of one thread.
    pub bytes: usize,
    /// Threads. Where one more comes, the one that was silent for longest and has no open run goes.
    pub threads: usize,
    /// Bytes of all events of one user, [`EVENT_COST`] for each among them. Who has as many gets no further message accepted.
    pub owner_bytes: u64,
    /// The same of all users.
    pub all_bytes: u64,
}

/// What an event costs beside its text.
pub const EVENT_COST: u64 = 128;

/// A bound on what is kept that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// So many bytes of one user.
    Owner(u64),
    /// So many bytes of all users.
    All(u64),
}

impl Limits {
    /// The bound that is reached where so many bytes are kept of a user, and of all.
    pub const fn reached(&self, owner: u64, all: u64) -> Option<Quota> {
        if owner >= self.owner_bytes {
            return Some(Quota::Owner(self.owner_bytes));
        }
        if all >= self.all_bytes {
            return Some(Quota::All(self.all_bytes));
        }
        None
    }
}
