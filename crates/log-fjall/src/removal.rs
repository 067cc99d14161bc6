//! Letting go: of threads that are forgotten, are old, or are too many, and of messages.

use portcullis_log::Owner;

use crate::{
    failure::Failure,
    keys::{self, Name},
    store::{Old, damaged, meta},
    values::{self, MessageHead, Meta},
    writer::Writer,
};

impl Writer {
    /// Lets go of a stream, with the messages that led to it and the runs that are open in it.
    pub(crate) fn forget(&mut self, owner: &Owner, name: &Name) -> Result<(), Failure> {
        // What it is to take away may be in the batch.
        self.flush()?;
        let Some(value) = self.store.table.get(keys::stream(owner, name))? else { return Ok(()) };
        let meta = meta(&value)?;
        self.remove_stream(owner, name, &meta)?;
        self.doomed.push((meta.slot, meta.serial));
        Ok(())
    }

    /// Lets go of a stream that is as the database has it. What becomes of its key is up to the caller.
    pub(crate) fn remove_stream(&mut self, owner: &Owner, name: &Name, meta: &Meta) -> Result<(), Failure> {
        let mut runs = Vec::new();
        for entry in self.store.table.prefix(keys::runs_of(owner)) {
            let (key, value) = entry.into_inner()?;
            if values::RunHead::read(&value).is_some_and(|head| head.serial == meta.serial) {
                runs.push(key);
            }
        }
        let mut messages = Vec::new();
        for entry in self.store.table.prefix(keys::messages_by_stream_of(meta.serial)) {
            let (key, value) = entry.into_inner()?;
            let at = value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
            let message = keys::name_of(&key).zip(at);
            messages.push(message.ok_or_else(|| damaged("a key is not of the known form"))?);
        }
        self.streams.remove(&(*owner, *name));
        self.remove(keys::stream(owner, name));
        for key in runs {
            self.questions.ended();
            self.remove(key);
        }
        for (message, at) in messages {
            self.remove_message(owner, &message, at, meta.serial);
        }
        if meta.is_visible() {
            if let Some(own) = self.opening(owner) {
                own.threads = own.threads.saturating_sub(1);
            }
            self.count(owner, meta.cost(), 0);
            self.leave_over(meta);
        }
        Ok(())
    }

    /// Lets go of the events of a stream: of many of them later, since without their key they are noise.
    fn leave_over(&mut self, meta: &Meta) {
        let (from, to) = (meta.first, meta.tail + 1);
        if to - from <= AT_ONCE {
            for seq in from..to {
                self.remove(keys::event(meta.serial, seq));
            }
        } else {
            self.insert(keys::leftover(meta.serial), values::leftover(from, to));
            self.leftovers.push_back((meta.serial, from, to));
        }
    }

    /// Lets go of some of the events that are left over.
    pub(crate) fn clear_leftovers(&mut self) {
        let Some((serial, from, to)) = self.leftovers.pop_front() else { return };
        let until = to.min(from + AT_ONCE);
        for seq in from..until {
            self.remove(keys::event(serial, seq));
        }
        if until == to {
            self.remove(keys::leftover(serial));
        } else {
            self.insert(keys::leftover(serial), values::leftover(until, to));
            self.leftovers.push_front((serial, until, to));
        }
    }

    pub(crate) fn remove_message(&mut self, owner: &Owner, message: &Name, at: u64, serial: u64) {
        self.recent.remove(&(*owner, *message));
        self.remove(keys::message(owner, message));
        self.remove(keys::message_by_time(owner, at, message));
        self.remove(keys::message_by_stream(serial, message));
        if let Some(messages) = self.opening(owner).and_then(|own| own.messages.as_mut()) {
            *messages = messages.saturating_sub(1);
        }
    }

    /// Makes room for one more thread: the one that was silent for longest goes, if it has no open run.
    pub(crate) fn make_room(&mut self, owner: &Owner) -> Result<(), Failure> {
        let known = self.opening(owner).map(|own| own.threads);
        if known.is_none_or(|threads| threads >= self.limits.threads) {
            self.flush()?;
            let metas = self.store.view().metas(owner)?;
            let mut seen: Vec<_> = metas.into_iter().filter(|(_, meta)| meta.is_visible()).collect();
            if let Some(own) = self.opening(owner) {
                own.threads = seen.len();
            }
            if seen.len() >= self.limits.threads {
                let busy = self.busy(owner)?;
                let over = seen.len() + 1 - self.limits.threads;
                seen.retain(|(_, meta)| !busy.contains(&meta.serial));
                seen.sort_by_key(|(_, meta)| meta.at);
                self.sort_equals(owner, &mut seen);
                for (name, meta) in seen.into_iter().take(over.min(MOST_AT_ONCE)) {
                    self.remove_stream(owner, &name, &meta)?;
                    self.doomed.push((meta.slot, meta.serial));
                }
            }
        }
        if let Some(own) = self.opening(owner) {
            own.threads += 1;
        }
        Ok(())
    }

    /// Sorts streams of one time by the names of their threads, which have to be opened for it.
    fn sort_equals(&self, owner: &Owner, metas: &mut [(Name, Meta)]) {
        for same in metas.chunk_by_mut(|(_, a), (_, b)| a.at == b.at).take(MOST_AT_ONCE) {
            if same.len() > 1 {
                same.sort_by_cached_key(|(name, meta)| {
                    let secret = self.store.slots.key(meta.slot, meta.serial).ok();
                    secret.and_then(|secret| meta.thread(&secret, owner, name))
                });
            }
        }
    }

    /// Counts one more message, and lets go of the oldest where there are too many.
    pub(crate) fn count_message(&mut self, owner: &Owner) -> Result<(), Failure> {
        let known = self.opening(owner).and_then(|own| own.messages);
        let mut count = known.unwrap_or_default();
        if known.is_some() {
            count += 1;
        } else {
            self.flush()?;
            for entry in self.store.table.prefix(keys::messages_by_time_of(owner)) {
                entry.key()?;
                count += 1;
            }
        }
        if let Some(own) = self.opening(owner) {
            own.messages = Some(count);
        }
        if count > 2 * MESSAGES {
            self.flush()?;
            let oldest = self.store.table.prefix(keys::messages_by_time_of(owner)).take(count - MESSAGES);
            let oldest: Result<Vec<_>, _> = oldest.map(fjall::Guard::key).collect();
            for key in oldest? {
                self.remove_message_at(&key)?;
            }
        }
        Ok(())
    }

    /// Lets go of a message by its key in the order of acceptances.
    fn remove_message_at(&mut self, key: &[u8]) -> Result<(), Failure> {
        let names = keys::owner(key).zip(keys::name_of(key)).zip(keys::time(key));
        let ((owner, message), at) = names.ok_or_else(|| damaged("a key is not of the known form"))?;
        if let Some(value) = self.store.table.get(keys::message(&owner, &message))? {
            let head = MessageHead::read(&value);
            let head = head.ok_or_else(|| damaged("a message is not of the known form"))?;
            self.remove_message(&owner, &message, at, head.serial);
        }
        Ok(())
    }

    /// Lets go of what is old, of that which was found: it may have gone on since.
    pub(crate) fn sweep(
        &mut self,
        streams: Vec<Old>,
        messages: Vec<Vec<u8>>,
        before: u64,
    ) -> Result<usize, Failure> {
        self.flush()?;
        for key in messages {
            self.remove_message_at(&key)?;
        }
        let mut gone = 0;
        for Old { owner, name } in streams {
            let Some(value) = self.store.table.get(keys::stream(&owner, &name))? else { continue };
            let meta = meta(&value)?;
            if meta.at < before && !self.busy(&owner)?.contains(&meta.serial) {
                self.remove_stream(&owner, &name, &meta)?;
                self.doomed.push((meta.slot, meta.serial));
                gone += usize::from(meta.is_visible());
            }
        }
        Ok(gone)
    }
}

/// Events that are let go of with one batch.
const AT_ONCE: u64 = 256;
/// Streams that are let go of at once where there are too many.
const MOST_AT_ONCE: usize = 64;
/// Messages of an owner that are remembered at least; twice as many at most.
const MESSAGES: usize = 256;
