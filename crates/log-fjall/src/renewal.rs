//! Another key for the questions of runs that go on, so that those of runs that ended are gone.

use crate::{
    failure::Failure,
    keys,
    store::damaged,
    values::{self, RunHead},
    writer::Writer,
};

impl Writer {
    /// Gives the questions of open runs another key, and destroys the ones before.
    pub(crate) fn renew_questions(&mut self) -> Result<(), Failure> {
        let before = self.store.slots.generations()?;
        let mut open = Vec::new();
        for entry in self.store.table.prefix(keys::RUNS) {
            let (key, value) = entry.into_inner()?;
            let form = || damaged("an open run is not of the known form");
            if RunHead::read(&value).ok_or_else(form)?.generation > 0 {
                open.push((key, value));
            }
        }
        // A renewal that was cut off has left two.
        if before.len() < 2 {
            self.questions.begin_another();
        }
        for (key, value) in open {
            let names = RunHead::read(&value).zip(keys::owner(&key)).zip(keys::name_of(&key));
            let Some(((head, owner), name)) = names else { continue };
            let Ok(from) = self.store.slots.generation(head.generation) else { continue };
            let (generation, to, new) = self.questions.key(&self.store.slots)?;
            if generation == head.generation {
                continue;
            }
            self.unsynced |= new;
            let resealed =
                values::reseal_run(&value, &from, (generation, to), &mut self.nonces, &owner, &name);
            if let Some(resealed) = resealed {
                self.insert(key, resealed);
            }
        }
        if std::mem::take(&mut self.unsynced) {
            self.store.slots.sync()?;
        }
        self.flush()?;
        // However durable changes have to be: the keys of these are gone for good.
        self.store.database.persist(fjall::PersistMode::SyncAll)?;
        let current = self.questions.current();
        for generation in before.into_iter().filter(|generation| Some(*generation) != current) {
            self.store.slots.destroy_generation(generation)?;
        }
        self.store.slots.sync()?;
        self.questions.renewed();
        Ok(())
    }
}
