//! The one thread that writes: it takes all changes that wait, writes them together, syncs once, and acknowledges them in
//! their order.

use std::sync::mpsc::Receiver;

use fjall::{OwnedWriteBatch, PersistMode};

use super::{Durability, Remembered, Store, keys};
use portcullis_event::ThreadId;

use crate::{Change, Done, Error, OpenRun, Owner, Record};

/// Changes that are written together at most: more would let the first wait for long.
const MOST: usize = 512;

/// Works until nobody can hand over changes any more.
pub(super) fn run(store: &Store, queue: &Receiver<(Change, Done)>, durability: Durability) {
    let mut failure: Option<Error> = None;
    while let Ok(first) = queue.recv() {
        let waiting = std::iter::once(first).chain(std::iter::from_fn(|| queue.try_recv().ok()));
        let (changes, dones): (Vec<Change>, Vec<Done>) = waiting.take(MOST).unzip();
        if failure.is_none() {
            failure = write(store, changes, durability).err().map(|error| Error::Failed(said(&error)));
        }
        // Once failed, failed: a device that lost one write may say the next time that all is well.
        for done in dones {
            done(failure.as_ref().map_or(Ok(()), Err));
        }
    }
}

/// What the store says, in the system's words where those are behind it.
fn said(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error.to_string(),
        other => other.to_string(),
    }
}

fn write(store: &Store, changes: Vec<Change>, durability: Durability) -> Result<(), fjall::Error> {
    let mode = match durability {
        Durability::Device => PersistMode::SyncData,
        Durability::Os => PersistMode::Buffer,
    };
    let new_batch = || store.database.batch().durability(Some(mode));
    let mut batch = new_batch();
    for change in changes {
        match change {
            Change::Accept(run) => accept(store, &mut batch, &run),
            Change::Event { record, trim, ends } => {
                for seq in trim {
                    batch.remove(&store.events, keys::event(&record.owner, record.thread_id.as_str(), seq));
                }
                add(store, &mut batch, &record);
                if let Some(run_id) = ends {
                    batch.remove(&store.open, keys::named(&record.owner, run_id.as_str()));
                }
            }
            Change::Forget { owner, thread_id } => {
                // What it is to take away may be among the changes before it.
                std::mem::replace(&mut batch, new_batch()).commit()?;
                forget(store, &mut batch, &owner, &thread_id)?;
            }
        }
    }
    batch.commit()
}

fn forget(
    store: &Store,
    batch: &mut OwnedWriteBatch,
    owner: &Owner,
    thread_id: &ThreadId,
) -> Result<(), fjall::Error> {
    for entry in store.events.prefix(keys::stream(owner, thread_id.as_str())) {
        batch.remove(&store.events, entry.key()?);
    }
    for entry in store.messages.prefix(owner.bytes()) {
        let (key, value) = entry.into_inner()?;
        if serde_json::from_slice::<Remembered>(&value).is_ok_and(|it| it.thread_id == *thread_id) {
            batch.remove(&store.messages, key);
        }
    }
    for entry in store.open.prefix(owner.bytes()) {
        let (key, value) = entry.into_inner()?;
        if serde_json::from_slice::<OpenRun>(&value).is_ok_and(|run| run.thread_id == *thread_id) {
            batch.remove(&store.open, key);
        }
    }
    Ok(())
}

fn accept(store: &Store, batch: &mut OwnedWriteBatch, run: &OpenRun) {
    batch.insert(&store.open, keys::named(&run.owner, run.run_id.as_str()), json(run));
    let (run_id, thread_id) = (run.run_id.clone(), run.thread_id.clone());
    let leads_to = Remembered { run_id, thread_id, at: run.accepted_at };
    batch.insert(&store.messages, keys::named(&run.owner, run.message_id.as_str()), json(&leads_to));
}

fn add(store: &Store, batch: &mut OwnedWriteBatch, record: &Record) {
    let value = keys::Event { at: record.at, epoch: record.epoch.as_str(), text: &record.text };
    batch.insert(
        &store.events,
        keys::event(&record.owner, record.thread_id.as_str(), record.seq),
        value.write(),
    );
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data with string keys")
}
