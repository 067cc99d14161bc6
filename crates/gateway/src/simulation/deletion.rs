//! A user who deletes a thread now and then.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use portcullis_event::ThreadId;
use portcullis_log::Owner;
use portcullis_test::MemoryDisk;
use rand::{RngExt as _, rngs::SmallRng, seq::IndexedRandom as _};
use tokio::time::sleep;

use super::{
    Server,
    device::{Device, THREADS},
};

/// A user's deletions in one life of the server.
pub(super) struct Deletions {
    pub(super) disk: Arc<MemoryDisk>,
    /// The epochs of threads that are said to be gone.
    pub(super) deleted: Arc<Mutex<HashSet<String>>>,
    pub(super) devices: Vec<Arc<Mutex<Device>>>,
}

/// A deletion on its way. It may have happened also where the server dies before it says so.
struct Begun<'a> {
    devices: &'a [Arc<Mutex<Device>>],
    thread: &'a str,
}

impl<'a> Begun<'a> {
    fn new(devices: &'a [Arc<Mutex<Device>>], thread: &'a str) -> Self {
        for device in devices {
            device.lock().witness.may_be_deleted(thread);
        }
        Self { devices, thread }
    }
}

impl Begun<'_> {
    /// It was refused: nothing goes.
    fn called_off(mut self) {
        self.devices = &[];
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        for device in self.devices {
            device.lock().lost(self.thread);
        }
    }
}

impl Deletions {
    /// Deletes threads for as long as the server lives.
    pub(super) async fn go_on(self, server: Server, owner: Owner, mut random: SmallRng) {
        loop {
            sleep(Duration::from_millis(random.random_range(0..8_000))).await;
            let thread = *THREADS.choose(&mut random).unwrap();
            let id = ThreadId::new(thread).unwrap();
            let token = self.devices[0].lock().token().to_owned();
            let Ok(seat) = server.gate.door.seat(&token, &server.gate.figures.metrics) else { continue };
            let begun = Begun::new(&self.devices, thread);
            let epoch = self.disk.epoch(owner, &id);
            let Ok(gone) = seat.forget(id).await else {
                begun.called_off();
                continue;
            };
            let _begun = begun;
            if gone.await
                && let Some(epoch) = epoch
            {
                self.deleted.lock().insert(epoch.as_str().to_owned());
            }
        }
    }
}
