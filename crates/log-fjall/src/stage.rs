//! What changes do to the record. They are put together in a batch, and looked up in what is there with it.

use std::{sync::Arc, time::Duration};

use portcullis_event::{MessageId, ThreadId};
use portcullis_log::{Accepted, AppendError, Change, OpenRun, Owner, Record, Repeat};

use crate::{
    failure::Refused,
    keys::{self, Name, Of},
    slots::Missing,
    store::{damaged, meta},
    values::{self, EventHead, MessageHead, Meta, Place, text_size},
    writer::{Live, Writer},
};

type Staged<T = ()> = Result<T, Refused>;

impl Writer {
    /// Puts a change into the batch, or says why it is refused.
    pub(crate) fn apply(&mut self, owner: &Owner, change: Change) -> Staged {
        if let Some(cause) = self.room.refuses(&change) {
            let (cause, after) = (Arc::clone(cause), Duration::from_secs(5));
            return Err(AppendError::Unavailable { cause, after }.into());
        }
        match change {
            Change::Accept { run, told } => return self.accept(owner, &run, told),
            Change::Reopen(run) => {
                self.questions.ended();
                self.put_run(owner, &run)?;
            }
            Change::Event { record, ends } => {
                let name = keys::name(owner, Of::Thread, record.thread_id.as_str());
                if !self.fits(owner, &name, &record)? {
                    return Err(AppendError::Fenced.into());
                }
                self.put_event(owner, name, &record)?;
                if let Some(run) = ends {
                    self.questions.ended();
                    self.remove(keys::run(owner, &keys::name(owner, Of::Run, run.as_str())));
                }
            }
            Change::Forget(thread_id) => {
                let name = keys::name(owner, Of::Thread, thread_id.as_str());
                self.forget(owner, &name)?;
            }
        }
        Ok(())
    }

    fn accept(&mut self, owner: &Owner, run: &OpenRun, told: Option<Record>) -> Staged {
        let message = keys::name(owner, Of::Message, run.message_id.as_str());
        let before = self.accepted(owner, &message, &run.message_id)?;
        if let Some(accepted) = before.as_ref().filter(|it| it.thread_id == run.thread_id) {
            return Err(AppendError::AlreadyAccepted(accepted.clone()).into());
        }
        if let Some(record) = &told {
            let name = keys::name(owner, Of::Thread, record.thread_id.as_str());
            if !self.fits(owner, &name, record)? {
                return Err(AppendError::Fenced.into());
            }
        }
        if before.is_some() {
            // On another thread it was another message. What is in this batch of it has to be in the table first.
            self.flush()?;
            let value = self.store.table.get(keys::message(owner, &message))?;
            if let Some(head) = value.as_deref().and_then(MessageHead::read) {
                self.remove_message(owner, &message, head.at, head.serial);
            }
        }
        self.put_run(owner, run)?;
        let accepted = Accepted { run_id: run.run_id.clone(), thread_id: run.thread_id.clone() };
        self.put_message(owner, &message, run.accepted_at, accepted)?;
        self.count_message(owner)?;
        if let Some(record) = told {
            let name = keys::name(owner, Of::Thread, record.thread_id.as_str());
            self.put_event(owner, name, &record)?;
        }
        Ok(())
    }

    /// What became of a message that was accepted before.
    fn accepted(&self, owner: &Owner, name: &Name, id: &MessageId) -> Staged<Option<Accepted>> {
        if let Some(accepted) = self.recent.get(&(*owner, *name)) {
            return Ok(Some(accepted.clone()));
        }
        if self.store.table.contains_key(keys::message(owner, name))? {
            return Ok(self.store.view().message(owner, id)?);
        }
        Ok(None)
    }

    /// Whether a record is the next one of its stream.
    fn fits(&mut self, owner: &Owner, name: &Name, record: &Record) -> Staged<bool> {
        let renewals = self.store.renewals;
        Ok(match self.live(owner, name)? {
            Some(live) if live.meta.is_visible() => {
                live.meta.tail + 1 == record.seq && live.meta.epoch(renewals).as_ref() == Some(&record.epoch)
            }
            _ => record.seq == 1,
        })
    }

    /// A stream at work, if it is there.
    pub(crate) fn live(&mut self, owner: &Owner, name: &Name) -> Staged<Option<&mut Live>> {
        let at = (*owner, *name);
        if !self.streams.contains_key(&at) {
            let Some(value) = self.store.table.get(keys::stream(owner, name))? else { return Ok(None) };
            let meta = meta(&value)?;
            match self.store.slots.key(meta.slot, meta.serial) {
                Ok(secret) => drop(self.streams.insert(at, Live::new(meta, Arc::new(secret)))),
                Err(Missing::Unreadable(error)) => return Err(error.into()),
                Err(Missing::Destroyed | Missing::Damaged) => {
                    return Err(damaged("the key of a thread is missing").into());
                }
            }
        }
        Ok(self.streams.get_mut(&at))
    }

    /// A stream at work: one with nothing in it where there was none.
    pub(crate) fn begin(
        &mut self,
        owner: &Owner,
        thread_id: &ThreadId,
        name: Name,
        at: u64,
    ) -> Staged<&mut Live> {
        if self.live(owner, &name)?.is_none() {
            let serial = self.chain.serial();
            let slot = self.free.pop().unwrap_or_else(|| {
                self.end += 1;
                self.end - 1
            });
            let secret = self.store.slots.fill(slot, serial)?;
            self.unsynced = true;
            let mut meta = Meta {
                serial,
                slot,
                born: self.store.renewals,
                first: 1,
                tail: 0,
                bytes: 0,
                at,
                epoch: String::new(),
                name: Vec::new(),
            };
            meta.seal_name(&secret, &mut self.nonces, owner, thread_id);
            self.streams.insert((*owner, name), Live::new(meta, Arc::new(secret)));
            self.touch((*owner, name));
        }
        Ok(self.streams.get_mut(&(*owner, name)).expect("it was just seen to"))
    }

    /// Puts an open run into the batch.
    pub(crate) fn put_run(&mut self, owner: &Owner, run: &OpenRun) -> Staged {
        let thread = keys::name(owner, Of::Thread, run.thread_id.as_str());
        let live = self.begin(owner, &run.thread_id, thread, run.accepted_at)?;
        let (serial, secret) = (live.meta.serial, Arc::clone(&live.secret));
        let generation = match run.repeat {
            Repeat::Once(_) => {
                let (generation, secret, new) = self.questions.key(&self.store.slots)?;
                self.unsynced |= new;
                Some((generation, secret))
            }
            Repeat::Never | Repeat::Done => None,
        };
        let value = values::seal_run((serial, &thread), &secret, generation, &mut self.nonces, owner, run);
        self.insert(keys::run(owner, &keys::name(owner, Of::Run, run.run_id.as_str())), value);
        Ok(())
    }

    /// Puts a message that was accepted into the batch.
    pub(crate) fn put_message(
        &mut self,
        owner: &Owner,
        message: &Name,
        at: u64,
        accepted: Accepted,
    ) -> Staged {
        let thread = keys::name(owner, Of::Thread, accepted.thread_id.as_str());
        let live = self.begin(owner, &accepted.thread_id, thread, at)?;
        let (serial, secret) = (live.meta.serial, Arc::clone(&live.secret));
        let key = keys::message(owner, message);
        let head = MessageHead { serial, at, thread };
        let value = values::seal_message(&head, &secret, &mut self.nonces, &key, &accepted);
        self.insert(key, value);
        self.insert(keys::message_by_time(owner, at, message), []);
        self.insert(keys::message_by_stream(serial, message), at.to_be_bytes());
        self.recent.insert((*owner, *message), accepted);
        Ok(())
    }

    /// Puts an event that fits into the batch.
    fn put_event(&mut self, owner: &Owner, name: Name, record: &Record) -> Staged {
        let begins = !self.streams.get(&(*owner, name)).is_some_and(|live| live.meta.is_visible());
        if begins {
            self.make_room(owner)?;
            let renewals = self.store.renewals;
            let live = self.begin(owner, &record.thread_id, name, record.at)?;
            record.epoch.as_str().clone_into(&mut live.meta.epoch);
            live.meta.born = renewals;
        }
        let Some(live) = self.streams.get_mut(&(*owner, name)) else { return Ok(()) };
        let meta = &mut live.meta;
        let before = meta.cost();
        (meta.tail, meta.at) = (record.seq, record.at);
        meta.bytes += record.text.len() as u64;
        let place = Place { owner, thread: &name, serial: meta.serial, seq: record.seq };
        let head = EventHead { at: record.at, renewals: self.store.renewals };
        let value = place.seal(&live.secret, &mut self.nonces, &head, &record.text);
        let key = keys::event(meta.serial, record.seq);
        let over = meta.count() > self.limits.events as u64 || meta.bytes > self.limits.bytes as u64;
        let now = meta.cost();
        self.count(owner, before, now);
        self.insert(key, value);
        self.touch((*owner, name));
        if over {
            self.trim(owner, &name)?;
        }
        Ok(())
    }

    /// Lets go of the first part of a stream: an eighth of what may be kept of it, so that this is not done for each event.
    fn trim(&mut self, owner: &Owner, name: &Name) -> Staged {
        self.flush()?;
        let Some(live) = self.streams.get(&(*owner, *name)) else { return Ok(()) };
        let (serial, mut first, tail) = (live.meta.serial, live.meta.first, live.meta.tail);
        let (mut count, mut bytes) = (live.meta.count(), live.meta.bytes);
        let most = (self.limits.events as u64, self.limits.bytes as u64);
        let (events, size) = (most.0 - most.0 / 8, most.1 - most.1 / 8);
        let range = keys::event(serial, first)..=keys::event(serial, tail);
        for entry in self.store.table.range(range) {
            if first == tail || (count <= events && bytes <= size) {
                break;
            }
            bytes = bytes.saturating_sub(text_size(entry.size()? as usize));
            count -= 1;
            self.remove(keys::event(serial, first));
            first += 1;
        }
        if let Some(live) = self.streams.get_mut(&(*owner, *name)) {
            let before = live.meta.cost();
            (live.meta.first, live.meta.bytes) = (first, bytes);
            let now = live.meta.cost();
            self.count(owner, before, now);
        }
        self.touch((*owner, *name));
        Ok(())
    }
}
