//! Making streams and keys agree where the last end was not clean, and saying what is missing where something is.

use std::collections::HashSet;

use portcullis_log::Owner;

use crate::{
    Lost,
    failure::Failure,
    keys::{self, Name},
    slots::Held,
    store::{damaged, meta},
    values::{self, EventHead, Meta, RunHead, text_size},
    writer::Writer,
};

impl Writer {
    /// Finishes what was cut off: streams without keys are those whose deletion was, and keys without streams those whose
    /// beginning or deletion was. Where batches are missing, looks through everything, and says what is gone.
    pub(crate) fn reconcile(&mut self, held: &[Option<Held>], gap: bool) -> Result<Vec<Lost>, Failure> {
        if gap {
            // The chain begins anew.
            for entry in self.store.table.prefix(keys::CHAINS) {
                self.remove(entry.key()?);
            }
        }
        let (mut used, mut serials, mut lost) = (vec![false; held.len()], HashSet::new(), Vec::new());
        for entry in self.store.table.prefix(keys::STREAMS) {
            let (key, value) = entry.into_inner()?;
            let names = keys::owner(&key).zip(keys::name_of(&key));
            let (owner, name) = names.ok_or_else(|| damaged("a key is not of the known form"))?;
            let meta = meta(&value)?;
            match held.get(meta.slot as usize).copied().flatten() {
                Some(held) if held.serial == meta.serial && held.live => {
                    used[meta.slot as usize] = true;
                    if gap {
                        serials.insert(meta.serial);
                        lost.extend(self.mend(&owner, &name, &meta, held.tail)?);
                    }
                }
                // The key was destroyed, and its slot may belong to a later stream.
                Some(held) if held.serial >= meta.serial => self.remove_stream(&owner, &name, &meta)?,
                _ => lost.push(Lost { thread: None, events: meta.count() }),
            }
            self.relieve()?;
        }
        for (slot, held) in held.iter().enumerate() {
            match held {
                Some(held) if held.live && !used[slot] => {
                    if gap && held.tail > 0 {
                        lost.push(Lost { thread: None, events: held.tail });
                    }
                    self.doomed.push((slot as u32, held.serial));
                }
                _ => {}
            }
        }
        if gap {
            self.remove_strays(&serials)?;
        }
        self.commit()?;
        Ok(lost)
    }

    /// Makes what is known of a stream agree with the events that are there: the last of them that follow on each other.
    fn mend(&mut self, owner: &Owner, name: &Name, was: &Meta, tail: u64) -> Result<Option<Lost>, Failure> {
        let mut meta = Meta { first: 1, tail: 0, bytes: 0, ..was.clone() };
        let mut before = Vec::new();
        for entry in self.store.table.prefix(keys::events_of(was.serial)) {
            let (key, value) = entry.into_inner()?;
            let found = keys::seq(&key).zip(EventHead::read(&value));
            let (seq, head) = found.ok_or_else(|| damaged("an event is not of the known form"))?;
            if seq != meta.tail + 1 || meta.tail == 0 {
                // What stands before a hole cannot be resumed from.
                before.extend(meta.first..=meta.tail);
                (meta.first, meta.bytes) = (seq, 0);
            }
            (meta.tail, meta.at) = (seq, head.at);
            meta.bytes += text_size(value.len());
        }
        for seq in before {
            self.remove(keys::event(was.serial, seq));
        }
        let known = was.tail.max(tail);
        let events = known.saturating_sub(meta.tail) + meta.first.min(known + 1).saturating_sub(was.first);
        let secret = self.store.slots.key(was.slot, was.serial).ok();
        let thread = secret.and_then(|secret| was.thread(&secret, owner, name));
        if meta.tail == 0 {
            meta.epoch.clear();
        }
        if meta != *was {
            self.insert(keys::stream(owner, name), meta.write());
        }
        Ok((events > 0).then_some(Lost { thread, events }))
    }

    /// Lets go of events and runs whose streams are not there.
    fn remove_strays(&mut self, serials: &HashSet<u64>) -> Result<(), Failure> {
        let form = || damaged("a key is not of the known form");
        let mut from = keys::EVENTS.to_vec();
        // From stream to stream.
        while let Some(entry) = self.store.table.range(from..keys::behind(&keys::EVENTS)).next() {
            let first = entry.key()?;
            let serial = keys::number(&first).ok_or_else(form)?;
            let last = self.store.table.prefix(keys::events_of(serial)).next_back();
            if let Some(last) = last
                && !serials.contains(&serial)
            {
                let (first, last) = keys::seq(&first).zip(keys::seq(&last.key()?)).ok_or_else(form)?;
                self.insert(keys::leftover(serial), values::leftover(first, last + 1));
                self.leftovers.push_back((serial, first, last + 1));
            }
            from = keys::behind(&keys::events_of(serial));
        }
        for entry in self.store.table.prefix(keys::RUNS) {
            let (key, value) = entry.into_inner()?;
            if RunHead::read(&value).is_none_or(|head| !serials.contains(&head.serial)) {
                self.remove(key);
            }
        }
        Ok(())
    }
}
