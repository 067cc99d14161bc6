//! The record of one process, for as long as it lives.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{self, BoxFuture},
};
use portcullis_event::{Epoch, MessageId, ThreadId};

use crate::{
    Accepted, AppendError, Change, Commit, EVENT_COST, EventLog, Limits, OpenError, OpenRun, Owner, OwnerLog,
    Page, Place, Quota, ReadError, Record, Stream, Summary,
};

/// Ids of messages that are remembered of each user.
const MESSAGES: usize = 256;

/// A record that is kept in memory: what a user has there lives as long as somebody has it open.
pub struct Memory {
    limits: Limits,
    owners: Mutex<HashMap<Owner, Weak<Mutex<Tables>>>>,
    /// Bytes that are kept of all.
    bytes: Arc<AtomicU64>,
}

/// What is kept of one user.
struct Tables {
    limits: Limits,
    /// How often it was opened: an earlier handle is fenced.
    term: u64,
    streams: HashMap<ThreadId, Kept>,
    open: Vec<OpenRun>,
    messages: VecDeque<(MessageId, Accepted, u64)>,
    /// Bytes that are kept of this user, and of all.
    bytes: u64,
    all: Arc<AtomicU64>,
}

struct Kept {
    epoch: Epoch,
    tail: u64,
    at: u64,
    texts: VecDeque<Bytes>,
    bytes: usize,
    last: Bytes,
}

/// One opening of what is kept of one user.
struct Handle {
    term: u64,
    tables: Arc<Mutex<Tables>>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Memory {
    /// An empty record.
    pub fn new(limits: Limits) -> Self {
        Self { limits, owners: Mutex::default(), bytes: Arc::default() }
    }

    /// What is kept of somebody who is known to nobody else.
    pub fn apart(limits: Limits) -> Arc<dyn OwnerLog> {
        Tables::open(&Arc::new(Mutex::new(Tables::new(limits, Arc::default()))))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole before the next statement that could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventLog for Memory {
    fn open(&self, owner: Owner) -> BoxFuture<'static, Result<Arc<dyn OwnerLog>, OpenError>> {
        let mut owners = locked(&self.owners);
        let tables = owners.get(&owner).and_then(Weak::upgrade).unwrap_or_else(|| {
            let tables = Arc::new(Mutex::new(Tables::new(self.limits, Arc::clone(&self.bytes))));
            owners.insert(owner, Arc::downgrade(&tables));
            tables
        });
        future::ready(Ok(Tables::open(&tables))).boxed()
    }

    fn unfinished(&self) -> BoxFuture<'static, Result<Vec<Owner>, ReadError>> {
        let owners = locked(&self.owners);
        let unfinished = |tables: &Weak<Mutex<Tables>>| {
            tables.upgrade().is_some_and(|tables| !locked(&tables).open.is_empty())
        };
        let found = owners.iter().filter(|(_, tables)| unfinished(tables)).map(|(owner, _)| *owner);
        future::ready(Ok(found.collect())).boxed()
    }

    fn sweep(&self, before: u64) -> BoxFuture<'static, Result<usize, ReadError>> {
        let mut owners = locked(&self.owners);
        owners.retain(|_, tables| tables.strong_count() > 0);
        let live = owners.values().filter_map(Weak::upgrade);
        let gone = live.map(|tables| locked(&tables).sweep(before)).sum();
        future::ready(Ok(gone)).boxed()
    }

    fn ready(&self) -> Result<(), Arc<str>> {
        Ok(())
    }
}

impl OwnerLog for Handle {
    fn append(&self, change: Change) -> Commit {
        let mut tables = locked(&self.tables);
        if tables.term != self.term {
            return Commit::known(Err(AppendError::Fenced));
        }
        let outcome = tables.apply(change);
        if outcome.is_err() {
            // Nothing is taken behind a refusal.
            tables.term += 1;
        }
        Commit::known(outcome)
    }

    fn stream(&self, thread_id: &ThreadId) -> BoxFuture<'static, Result<Option<Stream>, ReadError>> {
        future::ready(Ok(locked(&self.tables).streams.get(thread_id).map(Kept::stream))).boxed()
    }

    fn read(
        &self,
        thread_id: &ThreadId,
        after: u64,
        most: usize,
    ) -> BoxFuture<'static, Result<Option<Page>, ReadError>> {
        let tables = locked(&self.tables);
        future::ready(Ok(tables.streams.get(thread_id).map(|kept| kept.read(after, most)))).boxed()
    }

    fn threads(
        &self,
        after: Option<Place>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<Summary>, ReadError>> {
        let tables = locked(&self.tables);
        let summaries = tables.streams.iter().map(|(id, kept)| Summary {
            place: Place { at: kept.at, thread_id: id.clone() },
            stream: kept.stream(),
            last: kept.last.clone(),
        });
        let behind = |it: &Summary| after.as_ref().is_none_or(|after| it.place < *after);
        let mut found: Vec<_> = summaries.filter(behind).collect();
        found.sort_unstable_by(|a, b| b.place.cmp(&a.place));
        found.truncate(most);
        future::ready(Ok(found)).boxed()
    }

    fn message(&self, id: &MessageId) -> BoxFuture<'static, Result<Option<Accepted>, ReadError>> {
        future::ready(Ok(locked(&self.tables).message(id).cloned())).boxed()
    }

    fn full(&self) -> Option<Quota> {
        let tables = locked(&self.tables);
        tables.limits.reached(tables.bytes, tables.all.load(Ordering::Relaxed))
    }

    fn open_runs(&self) -> BoxFuture<'static, Result<Vec<OpenRun>, ReadError>> {
        let mut runs = locked(&self.tables).open.clone();
        runs.sort_by_key(|run| run.accepted_at);
        future::ready(Ok(runs)).boxed()
    }
}

impl Tables {
    fn new(limits: Limits, all: Arc<AtomicU64>) -> Self {
        Self {
            limits,
            term: 0,
            streams: HashMap::new(),
            open: Vec::new(),
            messages: VecDeque::new(),
            bytes: 0,
            all,
        }
    }

    /// Counts what is kept anew where a stream has changed.
    fn count(&mut self, before: u64, now: u64) {
        self.bytes = self.bytes + now - before;
        self.all.fetch_add(now, Ordering::Relaxed);
        self.all.fetch_sub(before, Ordering::Relaxed);
    }

    fn open(tables: &Arc<Mutex<Self>>) -> Arc<dyn OwnerLog> {
        let mut own = locked(tables);
        own.term += 1;
        Arc::new(Handle { term: own.term, tables: Arc::clone(tables) })
    }

    fn apply(&mut self, change: Change) -> Result<(), AppendError> {
        match change {
            Change::Accept { run, told } => {
                let before = self.message(&run.message_id);
                if let Some(accepted) = before.filter(|it| it.thread_id == run.thread_id) {
                    return Err(AppendError::AlreadyAccepted(accepted.clone()));
                }
                told.map_or(Ok(()), |told| self.keep(told))?;
                self.messages.retain(|(id, ..)| *id != run.message_id);
                if self.messages.len() == MESSAGES {
                    self.messages.pop_front();
                }
                let accepted = Accepted { run_id: run.run_id.clone(), thread_id: run.thread_id.clone() };
                self.messages.push_back((run.message_id.clone(), accepted, run.accepted_at));
                self.open.push(run);
            }
            Change::Reopen(run) => {
                self.open.retain(|other| other.run_id != run.run_id);
                self.open.push(run);
            }
            Change::Event { record, ends } => {
                self.keep(record)?;
                self.open.retain(|run| Some(&run.run_id) != ends.as_ref());
            }
            Change::Forget(thread_id) => self.forget(&thread_id),
        }
        Ok(())
    }

    fn keep(&mut self, record: Record) -> Result<(), AppendError> {
        let Record { thread_id, epoch, seq, at, text } = record;
        let fits = match self.streams.get(&thread_id) {
            Some(kept) => kept.epoch == epoch && kept.tail + 1 == seq,
            None => seq == 1,
        };
        if !fits {
            return Err(AppendError::Fenced);
        }
        if !self.streams.contains_key(&thread_id) {
            self.make_room();
        }
        let kept = self.streams.entry(thread_id).or_insert_with(|| Kept {
            epoch,
            tail: 0,
            at,
            texts: VecDeque::new(),
            bytes: 0,
            last: Bytes::new(),
        });
        let before = kept.cost();
        kept.push(at, text, self.limits);
        let now = kept.cost();
        self.count(before, now);
        Ok(())
    }

    /// Lets go of the threads that were silent for longest where there are as many as may be: of more than one where open
    /// runs have kept some before.
    fn make_room(&mut self) {
        while self.streams.len() >= self.limits.threads {
            let busy = |id: &ThreadId| self.open.iter().any(|run| run.thread_id == *id);
            let idle = self.streams.iter().filter(|(id, _)| !busy(id));
            let oldest = idle.min_by_key(|(id, kept)| (kept.at, (*id).clone())).map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { return };
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, thread_id: &ThreadId) {
        self.open.retain(|run| run.thread_id != *thread_id);
        self.messages.retain(|(_, accepted, _)| accepted.thread_id != *thread_id);
        if let Some(kept) = self.streams.remove(thread_id) {
            self.count(kept.cost(), 0);
        }
    }

    fn sweep(&mut self, before: u64) -> usize {
        let was = self.streams.len();
        let (open, mut gone) = (&self.open, 0);
        self.streams.retain(|id, kept| {
            let stays = kept.at >= before || open.iter().any(|run| run.thread_id == *id);
            gone += if stays { 0 } else { kept.cost() };
            stays
        });
        self.count(gone, 0);
        self.messages.retain(|(_, _, at)| *at >= before);
        was - self.streams.len()
    }

    fn message(&self, id: &MessageId) -> Option<&Accepted> {
        self.messages.iter().find(|(other, ..)| other == id).map(|(_, accepted, _)| accepted)
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        self.count(self.bytes, 0);
    }
}

impl Kept {
    /// What it counts.
    fn cost(&self) -> u64 {
        self.bytes as u64 + self.texts.len() as u64 * EVENT_COST
    }

    fn stream(&self) -> Stream {
        Stream { epoch: self.epoch.clone(), first: self.first(), tail: self.tail }
    }

    fn first(&self) -> u64 {
        self.tail + 1 - self.texts.len() as u64
    }

    fn push(&mut self, at: u64, text: Bytes, limits: Limits) {
        self.tail += 1;
        self.at = at;
        self.bytes += text.len();
        self.last = text.clone();
        self.texts.push_back(text);
        while self.texts.len() > limits.events || self.bytes > limits.bytes {
            let Some(oldest) = self.texts.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    fn read(&self, after: u64, most: usize) -> Page {
        let from = self.first().max(after.saturating_add(1)).min(self.tail + 1);
        let skip = usize::try_from(from - self.first()).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let fits = |text: &&Bytes| {
            let first = bytes == 0;
            bytes += text.len().max(1);
            first || bytes <= most
        };
        let events = self.texts.iter().skip(skip).take_while(fits).cloned().collect();
        Page { stream: self.stream(), from, events }
    }
}
