//! Opening the record: what is on the disk is proven to be what was committed, or what is missing is told.

use std::{collections::VecDeque, fs, io, mem, path::Path, sync::Arc, time::Duration};

use crate::{
    Error, Notice, Options,
    chain::{self, Chain},
    failure::{Failure, caught},
    folder::{Folder, Found},
    keys,
    questions::Questions,
    room::{self, Kept, Room},
    slots::{Held, Slots},
    state::StateFile,
    store::{Store, damaged},
    takeover,
    values::{self, Link},
    writer::{Begin, Writer},
};

/// What stays while the database is closed and opened.
pub(crate) struct Keeper {
    folder: Folder,
    state: StateFile,
    slots: Arc<Slots>,
    options: Options,
    next_term: u64,
    /// Why what was written may be lost though the system is the same.
    lossy: Option<Arc<str>>,
    /// Whether a write failed since it was opened last.
    suspect: bool,
    #[cfg(test)]
    pub(crate) fault: Arc<crate::tests::Fault>,
}

impl Keeper {
    /// Opens the record in a folder, or makes it. One of format 1 is taken over.
    pub(crate) fn start(path: &Path, options: Options) -> Result<(Self, Writer), Error> {
        let (folder, found) = Folder::claim(path)?;
        caught(|| Self::begin(folder, found, options)).map_err(|failure| match failure {
            Failure::System(source) => Error::Unusable { path: path.to_owned(), source },
            Failure::Poisoned => {
                Error::Unusable { path: path.to_owned(), source: io::Error::other("a write failed") }
            }
            Failure::Locked => Error::InUse { path: path.to_owned() },
            Failure::Damaged(detail) | Failure::Fault(detail) => {
                Error::Damaged { path: path.to_owned(), detail }
            }
        })
    }

    fn begin(folder: Folder, found: Found, options: Options) -> Result<(Self, Writer), Failure> {
        if found == Found::First {
            // A takeover that was cut off is begun again: the folder's mark is changed only once all of it is there.
            folder.clear()?;
        }
        let (mut state, there) = StateFile::open(folder.state().try_clone()?)?;
        if !there {
            if folder.has_keys() || folder.tables().symlink_metadata().is_ok() {
                return Err(Failure::Damaged("the file state is gone, or damaged".to_owned()));
            }
            let id = u64::from_be_bytes(portcullis_units::random::bytes());
            state.keep(|state| {
                (state.id, state.clean) = (id, true);
                // Format 1 did not say whether its end was whole.
                state.renewals = u32::from(found == Found::First);
            })?;
            folder.sync()?;
        }
        if state.state().batch > 0 && !folder.has_keys() {
            let detail = "the file keys is gone, and nothing can be read without it";
            return Err(Failure::Damaged(detail.to_owned()));
        }
        let slots = Slots::open(folder.keys()?, state.state().id)?.map_err(Failure::Damaged)?;
        let mut keeper = Self {
            folder,
            state,
            slots: Arc::new(slots),
            options,
            next_term: 1,
            lossy: None,
            suspect: false,
            #[cfg(test)]
            fault: Arc::default(),
        };
        let mut writer = keeper.open()?;
        if found == Found::First {
            keeper.take_over(&mut writer)?;
        }
        // A takeover that was cut off at its very end has left it.
        keeper.folder.clear_first()?;
        Ok((keeper, writer))
    }

    /// Takes over what is in the folder of format 1, and marks the folder once the device has all of it.
    fn take_over(&mut self, writer: &mut Writer) -> Result<(), Failure> {
        let tell = |events| self.tell(Notice::TakingOver { events });
        takeover::copy(&self.folder, writer, &tell)?;
        self.note(writer)?;
        writer.store.database.persist(fjall::PersistMode::SyncAll)?;
        self.slots.sync()?;
        self.folder.mark()?;
        writer.count_all()?;
        let cause = "it was taken over from format 1, which did not say whether its end was whole".into();
        self.tell(Notice::Renewed { cause });
        Ok(())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) const fn pauses(&self) -> (Duration, Duration) {
        self.options.pauses
    }

    const fn kept(&self) -> Kept {
        Kept { floor: self.options.floor, reserve: self.options.reserve }
    }

    pub(crate) fn tell(&self, notice: Notice) {
        (self.options.notice)(notice);
    }

    /// Opens the database, and proves what is in it.
    pub(crate) fn open(&mut self) -> Result<Writer, Failure> {
        self.look()?;
        self.folder.close_off()?;
        if self.suspect {
            self.reread()?;
        }
        let mut store = Store::open(&self.folder.tables(), Arc::clone(&self.slots))?;
        let found = links(&store)?;
        let state = self.state.state().clone();
        if found.last.is_some_and(|(_, link)| link.id != state.id) {
            return Err(Failure::Damaged("the database is another record's".to_owned()));
        }
        let lost = found.lost(state.batch);
        let cause = self.unproven(lost);
        store.renewals = state.renewals + u32::from(cause.is_some());
        // Before anybody sees a new epoch: no other loss may lead to the same one.
        self.state.keep(|state| {
            state.renewals = store.renewals;
            state.boot_id.clone_from(&self.options.boot_id);
            state.clean = false;
        })?;
        let questions = Questions::new(&self.slots)?;
        let mut held = Vec::new();
        self.slots.each(|_, slot| held.push(slot))?;
        let leftovers = leftovers(&store)?;
        let mut writer = Writer::new(Begin {
            durability: self.options.durability,
            limits: self.options.limits,
            chain: Chain::new(state.id, found, state.batch),
            questions,
            room: Room::measure(&self.folder, self.kept())?,
            all: Arc::default(),
            next_term: self.next_term,
            free: Vec::new(),
            end: held.len() as u32,
            leftovers,
            #[cfg(test)]
            fault: Arc::clone(&self.fault),
            store,
        });
        writer.chain.reserve(held.iter().flatten().map(|held| held.serial + 1).max().unwrap_or(1));
        // What cannot be read may still be somebody's.
        let is_free = |(_, held): &(usize, &Option<Held>)| held.is_some_and(|held| !held.live);
        writer.free.extend(held.iter().enumerate().filter(is_free).map(|(slot, _)| slot as u32));
        if !state.clean || lost > 0 {
            let threads = writer.reconcile(&held, lost > 0)?;
            if lost > 0 || !threads.is_empty() {
                self.tell(Notice::Lost { batches: lost, threads });
            }
        }
        if let Some(cause) = cause {
            self.tell(Notice::Renewed { cause });
        }
        writer.count_all()?;
        (self.lossy, self.suspect) = (None, false);
        Ok(writer)
    }

    /// Has the system read from the device what it may have kept in memory though the device did not take it.
    fn reread(&self) -> io::Result<()> {
        let mut folders = vec![self.folder.tables()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else {
                    let file = fs::File::open(entry.path())?;
                    file.sync_all()?;
                    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
                }
            }
        }
        Ok(())
    }

    /// Looks whether the database is there before it is opened: opening makes what is missing.
    fn look(&self) -> Result<(), Failure> {
        let tables = self.folder.tables();
        if self.state.state().batch > 0 {
            if let Some(missing) = missing(&tables) {
                let (mut threads, mut events) = (0, 0);
                self.slots.each(|_, held| {
                    if let Some(held) = held.filter(|held| held.live) {
                        (threads, events) = (threads + 1, events + held.tail);
                    }
                })?;
                let held = format!("at least {events} events of {threads} threads");
                return Err(Failure::Damaged(format!(
                    "{missing} is gone, and there were {held} in the record"
                )));
            }
        } else if tables.symlink_metadata().is_ok() && tables.join("version").symlink_metadata().is_err() {
            // Making it was cut off, and nothing is in it.
            fs::remove_dir_all(&tables)?;
        }
        Ok(())
    }

    /// Why the end of the streams may have been lost, if it may.
    fn unproven(&self, lost: u64) -> Option<Arc<str>> {
        let state = self.state.state();
        if lost > 0 {
            return Some(format!("{lost} writes are missing").into());
        }
        if let Some(cause) = &self.lossy {
            return Some(Arc::clone(cause));
        }
        let same = state.boot_id.is_some() && state.boot_id == self.options.boot_id;
        (!state.clean && !same).then(|| "the system went down while the record was open".into())
    }

    /// Does what has to be done from time to time.
    pub(crate) fn tick(&mut self, writer: &mut Writer) -> Result<(), Failure> {
        // Says whether something failed in the database's own threads.
        writer.store.database.persist(fjall::PersistMode::Buffer)?;
        if !writer.leftovers.is_empty() {
            writer.clear_leftovers();
            writer.commit()?;
        }
        if writer.questions.are_due() {
            writer.renew_questions()?;
        }
        self.note(writer)?;
        let before = mem::replace(&mut writer.room, Room::measure(&self.folder, self.kept())?);
        match (before.cause(), writer.room.cause()) {
            (None, Some(cause)) => self.tell(Notice::Full { cause: Arc::clone(cause) }),
            (Some(_), None) => self.tell(Notice::Roomy),
            _ => {}
        }
        Ok(())
    }

    /// Notes beside the database how far the record has come.
    fn note(&mut self, writer: &mut Writer) -> io::Result<()> {
        for (slot, (serial, tail)) in writer.progress.drain() {
            self.slots.note(slot, serial, tail)?;
        }
        let number = writer.chain.number();
        self.state.note(|state| state.batch = number)
    }

    /// Closes the database after a failure, whatever state it is in.
    pub(crate) fn abandon(&mut self, mut writer: Writer, failure: &Failure) {
        self.next_term = writer.next_term;
        self.suspect = true;
        // What was told to be committed has to be there again.
        let _ = self.note(&mut writer);
        if failure.is_full() {
            room::give_up(&self.folder);
        }
        if failure.loses() {
            self.lossy = Some(failure.cause());
        }
        let _ = caught(|| {
            drop(writer);
            Ok(())
        });
    }

    /// Closes the record: everything is on the device then, and the next opening has nothing to prove.
    pub(crate) fn close(mut self, mut writer: Writer) {
        let closed: Result<(), Failure> = caught(|| {
            if writer.questions.are_left() {
                writer.renew_questions()?;
            }
            self.note(&mut writer)?;
            writer.store.database.persist(fjall::PersistMode::SyncAll)?;
            drop(writer);
            self.slots.sync()?;
            self.state.keep(|state| state.clean = true)?;
            Ok(())
        });
        if let Err(failure) = closed {
            self.tell(Notice::Failed { cause: failure.cause() });
        }
    }
}

/// Reads the records of batches.
fn links(store: &Store) -> Result<chain::Found, Failure> {
    let form = || Failure::from(damaged("the record of a batch is not of the known form"));
    let parse = |entry: fjall::Guard| {
        let (key, value) = entry.into_inner()?;
        keys::number(&key).zip(Link::read(&value)).ok_or_else(form)
    };
    let Some(last) = store.table.prefix(keys::CHAINS).next_back() else {
        return Ok(chain::Found::default());
    };
    let last = parse(last)?;
    let records = store.table.range(keys::chain(last.1.low)..=keys::chain(last.0));
    chain::Found::new(last, records.map(parse))
}

/// What is missing of a database's files, of those that it would make anew.
fn missing(tables: &Path) -> Option<String> {
    let keyspaces = tables.join("keyspaces");
    for (path, name) in [(tables, ""), (&tables.join("version"), "/version"), (&keyspaces, "/keyspaces")] {
        if path.symlink_metadata().is_err() {
            return Some(format!("tables{name}"));
        }
    }
    let entries = fs::read_dir(&keyspaces).ok()?.filter_map(Result::ok);
    let found: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let is_whole = |name: &String| keyspaces.join(name).join("current").symlink_metadata().is_ok();
    if let Some(name) = found.iter().find(|name| !is_whole(name)) {
        return Some(format!("tables/keyspaces/{name}/current"));
    }
    // The database's own, and the one of the record.
    (found.len() < 2).then(|| "tables/keyspaces/1".to_owned())
}

fn leftovers(store: &Store) -> Result<VecDeque<(u64, u64, u64)>, Failure> {
    let entries = store.table.prefix(keys::LEFTOVERS).map(|entry| {
        let (key, value) = entry.into_inner()?;
        let found = keys::number(&key).zip(values::read_leftover(&value));
        let (serial, (from, to)) = found.ok_or_else(|| damaged("a key is not of the known form"))?;
        Ok((serial, from, to))
    });
    entries.collect()
}
