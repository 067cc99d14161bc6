//! The one that writes: what it has open, and how what waits is written together.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use fjall::{OwnedWriteBatch, PersistMode, Slice};
use futures_channel::oneshot;
use portcullis_log::{
    Accepted, AppendError, Change, Committer, Limits, OpenError, Owner, OwnerLog, ReadError,
};

use crate::{
    Durability, Shared,
    chain::Chain,
    failure::{Failure, Refused},
    handle::Handle,
    keys::Name,
    questions::Questions,
    queue::{Job, Status},
    room::Room,
    secrets::{Nonces, Secret},
    store::Store,
    usage::Usage,
    values::Meta,
};

/// The writer with what it has open.
pub(crate) struct Writer {
    pub(crate) store: Store,
    pub(crate) durability: Durability,
    pub(crate) limits: Limits,
    pub(crate) nonces: Nonces,
    pub(crate) chain: Chain,
    pub(crate) questions: Questions,
    /// What there is room for.
    pub(crate) room: Room,
    /// What is written with the next batch.
    batch: Batch,
    /// What is kept of all owners.
    pub(crate) all: Arc<AtomicU64>,
    /// Owners whose logs are open.
    owners: HashMap<Owner, Opening>,
    /// The number of the next opening. It goes on when the store is opened anew, so that no earlier opening fits.
    pub(crate) next_term: u64,
    /// Streams at work. What is here is ahead of the database until the batch is written.
    pub(crate) streams: HashMap<(Owner, Name), Live>,
    /// Those of them that the next batch writes.
    touched: Vec<(Owner, Name)>,
    /// How far streams were committed that have gone on since that was last noted beside the database.
    pub(crate) progress: HashMap<u32, (u64, u64)>,
    /// Slots that can be given away.
    pub(crate) free: Vec<u32>,
    /// The slot behind the last one.
    pub(crate) end: u32,
    /// Whether there are new keys that the device need not have yet.
    pub(crate) unsynced: bool,
    /// Keys that are destroyed once the batch is committed.
    pub(crate) doomed: Vec<(u32, u64)>,
    /// Messages that were accepted with this batch.
    pub(crate) recent: HashMap<(Owner, Name), Accepted>,
    /// Events of streams that are gone: serial, first, and behind the last.
    pub(crate) leftovers: VecDeque<(u64, u64, u64)>,
    #[cfg(test)]
    pub(crate) fault: Arc<crate::tests::Fault>,
}

/// An owner's log, as far as it is open.
pub(crate) struct Opening {
    term: u64,
    /// Streams that can be seen.
    pub(crate) threads: usize,
    /// Messages that are remembered, once they were counted.
    pub(crate) messages: Option<usize>,
    /// What is kept of the owner.
    pub(crate) usage: Usage,
}

/// A stream at work.
pub(crate) struct Live {
    pub(crate) meta: Meta,
    pub(crate) secret: Arc<Secret>,
    touched: bool,
}

/// What is written together.
struct Batch {
    changes: OwnedWriteBatch,
    /// Bytes of keys and values, about as they stand in the journal.
    bytes: u64,
    /// Whether something was written already that the device need not have yet.
    begun: bool,
}

/// What is told once the batch is committed, in the order in which it was handed over.
#[derive(Default)]
pub(crate) struct Group(Vec<Answer>);

enum Answer {
    Change(Committer, Result<(), AppendError>),
    Opening(oneshot::Sender<Result<Arc<dyn OwnerLog>, OpenError>>, Owner, u64, Usage),
    Sweep(oneshot::Sender<Result<usize, ReadError>>, Result<usize, ReadError>),
}

impl Group {
    pub(crate) fn tell(self, shared: &Arc<Shared>) {
        for answer in self.0 {
            match answer {
                Answer::Change(told, outcome) => told.tell(outcome),
                Answer::Opening(told, owner, term, usage) => {
                    let handle = Handle { shared: Arc::clone(shared), owner, term, usage };
                    let _ = told.send(Ok(Arc::new(handle)));
                }
                Answer::Sweep(told, outcome) => drop(told.send(outcome)),
            }
        }
    }

    pub(crate) fn refuse(self, status: &Status) {
        for answer in self.0 {
            match answer {
                // A change that was refused for what it is hears that.
                Answer::Change(told, outcome) => {
                    told.tell(outcome.and_then(|()| Err(status.refuses_change())));
                }
                Answer::Opening(told, ..) => drop(told.send(Err(status.refuses_opening()))),
                Answer::Sweep(told, _) => drop(told.send(Err(status.refuses_reading()))),
            }
        }
    }
}

/// What a writer begins with.
pub(crate) struct Begin {
    pub(crate) store: Store,
    pub(crate) durability: Durability,
    pub(crate) limits: Limits,
    pub(crate) chain: Chain,
    pub(crate) questions: Questions,
    pub(crate) room: Room,
    pub(crate) all: Arc<AtomicU64>,
    pub(crate) next_term: u64,
    pub(crate) free: Vec<u32>,
    pub(crate) end: u32,
    pub(crate) leftovers: VecDeque<(u64, u64, u64)>,
    #[cfg(test)]
    pub(crate) fault: Arc<crate::tests::Fault>,
}

impl Writer {
    pub(crate) fn new(begin: Begin) -> Self {
        let Begin {
            store,
            durability,
            limits,
            chain,
            questions,
            room,
            all,
            next_term,
            free,
            end,
            leftovers,
            ..
        } = begin;
        Self {
            batch: Batch { changes: store.database.batch(), bytes: 0, begun: false },
            store,
            durability,
            limits,
            nonces: Nonces::new(),
            chain,
            questions,
            room,
            all,
            owners: HashMap::new(),
            next_term,
            streams: HashMap::new(),
            touched: Vec::new(),
            progress: HashMap::new(),
            free,
            end,
            unsynced: false,
            doomed: Vec::new(),
            recent: HashMap::new(),
            leftovers,
            #[cfg(test)]
            fault: begin.fault,
        }
    }

    /// Does jobs, and commits them together.
    pub(crate) fn work(&mut self, jobs: Vec<Job>, group: &mut Group) -> Result<(), Failure> {
        for job in jobs {
            match job {
                Job::Append { owner, term, change, told } => {
                    // It is refused with the others where this goes no further.
                    group.0.push(Answer::Change(told, Ok(())));
                    if let Err(error) = self.append(owner, term, change)?
                        && let Some(Answer::Change(_, outcome)) = group.0.last_mut()
                    {
                        *outcome = Err(error);
                    }
                }
                Job::Open { owner, told } => {
                    if !self.owners.contains_key(&owner) {
                        match self.look_up(&owner) {
                            Ok(opening) => drop(self.owners.insert(owner, opening)),
                            Err(Failure::Damaged(detail)) => {
                                let _ = told.send(Err(OpenError::Damaged(detail.into())));
                                continue;
                            }
                            Err(failure) => {
                                let _ = told.send(Err(OpenError::Unavailable {
                                    cause: failure.cause(),
                                    after: Duration::from_secs(1),
                                }));
                                return Err(failure);
                            }
                        }
                    }
                    let term = self.next_term;
                    self.next_term += 1;
                    let opening = self.owners.get_mut(&owner).expect("it was just seen to");
                    opening.term = term;
                    group.0.push(Answer::Opening(told, owner, term, opening.usage.clone()));
                }
                Job::Close { owner, term } => {
                    if self.owners.get(&owner).is_some_and(|own| own.term == term) {
                        self.owners.remove(&owner);
                    }
                }
                Job::Sweep { streams, messages, before, told } => {
                    group.0.push(Answer::Sweep(told, Ok(0)));
                    let swept = match self.sweep(streams, messages, before) {
                        Ok(gone) => Ok(gone),
                        Err(Failure::Damaged(detail)) => Err(ReadError::Damaged(detail.into())),
                        Err(failure) => return Err(failure),
                    };
                    if let Some(Answer::Sweep(_, outcome)) = group.0.last_mut() {
                        *outcome = swept;
                    }
                }
                Job::Broken(cause) => return Err(Failure::Fault(cause.to_string())),
            }
        }
        self.clear_leftovers();
        self.commit()
    }

    fn append(
        &mut self,
        owner: Owner,
        term: u64,
        change: Change,
    ) -> Result<Result<(), AppendError>, Failure> {
        if self.owners.get(&owner).is_none_or(|own| own.term != term) {
            return Ok(Err(AppendError::Fenced));
        }
        match self.apply(&owner, change) {
            Ok(()) => Ok(Ok(())),
            Err(Refused::Change(error)) => {
                // Nothing is taken behind a refusal.
                self.owners.remove(&owner);
                Ok(Err(error))
            }
            Err(Refused::Store(failure)) => Err(failure),
        }
    }

    pub(crate) fn opening(&mut self, owner: &Owner) -> Option<&mut Opening> {
        self.owners.get_mut(owner)
    }

    /// Says that a stream at work has to be written.
    pub(crate) fn touch(&mut self, at: (Owner, Name)) {
        if let Some(live) = self.streams.get_mut(&at)
            && !mem::replace(&mut live.touched, true)
        {
            self.touched.push(at);
        }
    }

    pub(crate) fn insert(&mut self, key: impl Into<Slice>, value: impl Into<Slice>) {
        let (key, value) = (key.into(), value.into());
        self.batch.bytes += (key.len() + value.len()) as u64 + ITEM;
        self.batch.changes.insert(&self.store.table, key, value);
    }

    pub(crate) fn remove(&mut self, key: impl Into<Slice>) {
        let key = key.into();
        self.batch.bytes += key.len() as u64 + ITEM;
        self.batch.changes.remove(&self.store.table, key);
    }

    /// Writes what there is so far, for the database to have: what is done next looks into it.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.write(PersistMode::Buffer)?;
        self.batch.begun = true;
        Ok(())
    }

    /// Writes what there is so far where it is much. Nothing is at hand then.
    pub(crate) fn relieve(&mut self) -> Result<(), Failure> {
        if self.batch.bytes >= MUCH {
            self.flush()?;
            self.recent.clear();
            self.streams.clear();
        }
        Ok(())
    }

    /// Makes everything as durable as was asked for.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        let mode = match self.durability {
            Durability::Device => PersistMode::SyncData,
            Durability::Os => PersistMode::Buffer,
        };
        if self.batch.begun && self.touched.is_empty() && self.batch.changes.is_empty() {
            self.store.database.persist(mode)?;
        }
        self.write(mode)?;
        self.batch.begun = false;
        self.recent.clear();
        self.destroy_doomed()?;
        if self.streams.len() > MOST_STREAMS {
            self.streams.clear();
        }
        Ok(())
    }

    fn write(&mut self, mode: PersistMode) -> Result<(), Failure> {
        for at in mem::take(&mut self.touched) {
            let Some(live) = self.streams.get_mut(&at) else { continue };
            live.touched = false;
            let (slot, serial, tail) = (live.meta.slot, live.meta.serial, live.meta.tail);
            let value = live.meta.write();
            self.progress.insert(slot, (serial, tail));
            self.insert(crate::keys::stream(&at.0, &at.1), value);
        }
        if self.batch.changes.is_empty() {
            return Ok(());
        }
        #[cfg(test)]
        self.fault.strike()?;
        if mem::take(&mut self.unsynced) && self.durability == Durability::Device {
            // Nothing may be stored under a key that could still be lost.
            self.store.slots.sync()?;
        }
        let (link, gone) = self.chain.next(self.batch.bytes);
        for number in gone {
            self.remove(crate::keys::chain(number));
        }
        self.insert(crate::keys::chain(self.chain.number() + 1), link.write());
        let batch = mem::replace(&mut self.batch.changes, self.store.database.batch());
        self.batch.bytes = 0;
        batch.durability(Some(mode)).commit()?;
        self.chain.written(link);
        Ok(())
    }

    /// Destroys the keys of what was deleted: from here on nobody can read it.
    fn destroy_doomed(&mut self) -> Result<(), Failure> {
        if self.doomed.is_empty() {
            return Ok(());
        }
        for (slot, serial) in &self.doomed {
            self.store.slots.destroy(*slot, *serial)?;
            self.progress.remove(slot);
        }
        self.store.slots.sync()?;
        self.free.extend(self.doomed.drain(..).map(|(slot, _)| slot));
        Ok(())
    }

    /// The serials of the streams of an owner that have open runs.
    pub(crate) fn busy(&self, owner: &Owner) -> Result<HashSet<u64>, Failure> {
        let mut busy = HashSet::new();
        for entry in self.store.table.prefix(crate::keys::runs_of(owner)) {
            busy.extend(crate::values::RunHead::read(&entry.value()?).map(|head| head.serial));
        }
        Ok(busy)
    }
}

impl Opening {
    pub(crate) const fn new(threads: usize, usage: Usage) -> Self {
        Self { term: 0, threads, messages: None, usage }
    }
}

impl Live {
    pub(crate) const fn new(meta: Meta, secret: Arc<Secret>) -> Self {
        Self { meta, secret, touched: false }
    }
}

/// What an item costs in the journal beside its key and its value.
const ITEM: u64 = 21;
/// The bytes of a batch that are much.
const MUCH: u64 = 1 << 20;
/// Streams that are kept at hand. Each is some hundred bytes, and read again where it is not there.
const MOST_STREAMS: usize = 4_096;
