//! Counting what is kept: of an owner when the log is opened, and with each change from then on.

use std::sync::{Arc, atomic::Ordering};

use portcullis_log::Owner;

use crate::{
    failure::Failure,
    keys,
    store::meta,
    usage::Usage,
    writer::{Opening, Writer},
};

impl Writer {
    /// Looks what there is of an owner whose log is opened.
    pub(crate) fn look_up(&mut self, owner: &Owner) -> Result<Opening, Failure> {
        // What is in the batch is not in the table yet.
        self.flush()?;
        let (mut threads, mut bytes) = (0, 0);
        for (_, meta) in self.store.view().metas(owner)? {
            threads += usize::from(meta.is_visible());
            bytes += meta.cost();
        }
        let usage = Usage { own: Arc::new(bytes.into()), all: Arc::clone(&self.all) };
        Ok(Opening::new(threads, usage))
    }

    /// A stream of an owner counts for something else than before.
    pub(crate) fn count(&mut self, owner: &Owner, before: u64, now: u64) {
        if let Some(own) = self.opening(owner) {
            own.usage.change(before, now);
        } else {
            Usage { all: Arc::clone(&self.all), ..Usage::default() }.change(before, now);
        }
    }

    /// Counts what is kept of all.
    pub(crate) fn count_all(&self) -> Result<(), Failure> {
        let mut bytes = 0;
        for entry in self.store.table.prefix(keys::STREAMS) {
            bytes += meta(&entry.value()?)?.cost();
        }
        self.all.store(bytes, Ordering::Relaxed);
        Ok(())
    }
}
