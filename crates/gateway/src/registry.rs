//! All live connections, to end them when the server stops or their login does.

use std::sync::Arc;

use parking_lot::Mutex;
use portcullis_reason::Reason;
use portcullis_router::Outbox;
use portcullis_token::Identity;
use slab::Slab;

/// Reaches each live connection by its outbox, and knows whose it is.
#[derive(Default)]
pub(crate) struct Registry {
    entries: Mutex<Slab<Entry>>,
}

struct Entry {
    outbox: Arc<Outbox>,
    identity: Identity,
}

/// Where a connection stands in the registry.
#[derive(Clone, Copy)]
pub(crate) struct Key(u32);

impl Registry {
    /// Enters a connection.
    pub(crate) fn enter(&self, outbox: &Arc<Outbox>, identity: &Identity) -> Key {
        let entry = Entry { outbox: Arc::clone(outbox), identity: identity.clone() };
        let key = self.entries.lock().insert(entry);
        Key(u32::try_from(key).expect("there are fewer descriptors"))
    }

    /// The connection goes on with another token of the same user.
    pub(crate) fn renew(&self, Key(key): Key, identity: &Identity) {
        self.entries.lock()[key as usize].identity = identity.clone();
    }

    /// The connection has ended.
    pub(crate) fn leave(&self, Key(key): Key) {
        self.entries.lock().remove(key as usize);
    }

    /// Ends the connections of those identities.
    pub(crate) fn end(&self, reason: Reason, whose: impl Fn(&Identity) -> bool) {
        let entries = self.entries.lock();
        let theirs = entries.iter().filter(|(_, entry)| whose(&entry.identity));
        let ended: Vec<_> = theirs.map(|(_, entry)| Arc::clone(&entry.outbox)).collect();
        drop(entries);
        for outbox in ended {
            outbox.end(reason);
        }
    }

    /// All of them now.
    pub(crate) fn all(&self) -> Vec<(Arc<Outbox>, Identity)> {
        let entries = self.entries.lock();
        entries.iter().map(|(_, entry)| (Arc::clone(&entry.outbox), entry.identity.clone())).collect()
    }

    /// Bytes in all outgoing queues, and in the fullest.
    pub(crate) fn queued_bytes(&self) -> (usize, usize) {
        let entries = self.entries.lock();
        entries
            .iter()
            .map(|(_, entry)| entry.outbox.queued_bytes())
            .fold((0, 0), |(sum, most), bytes| (sum + bytes, most.max(bytes)))
    }
}
