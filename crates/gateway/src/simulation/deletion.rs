//! What takes threads out of the record: a user who deletes one now and then, and sweeps of what is old.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use portcullis_event::ThreadId;
use portcullis_log::{EventLog as _, Owner};
use portcullis_test::{MemoryDisk, MemoryLog};
use rand::{RngExt as _, rngs::SmallRng, seq::IndexedRandom as _};
use tokio::time::sleep;

use super::{
    Server, USERS,
    device::{Device, THREADS},
    owner,
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
            let Ok(seat) = server.gate.door.seat(&token, &server.gate.figures.metrics).await else {
                continue;
            };
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

/// Sweeps in one life of the server.
pub(super) struct Sweeps {
    pub(super) log: MemoryLog,
    /// The epochs of threads that are gone.
    pub(super) deleted: Arc<Mutex<HashSet<String>>>,
    pub(super) devices: Vec<(&'static str, Arc<Mutex<Device>>)>,
    /// By how many milliseconds what is swept is younger than it is to be.
    pub(super) beyond: u64,
}

impl Sweeps {
    /// Sweeps for as long as the server lives, at any time and of what is not old at all.
    pub(super) async fn go_on(self, server: Server, mut random: SmallRng) {
        loop {
            sleep(Duration::from_millis(random.random_range(0..3_000))).await;
            server.gate.router.sweep();
            let before = server.gate.clock.unix_ms() - random.random_range(0..6_000);
            let devices = USERS.map(|user| -> Vec<_> {
                let own = self.devices.iter().filter(|(owner, _)| *owner == user);
                own.map(|(_, device)| Arc::clone(device)).collect()
            });
            // What is at work, or was told of since, is not to go: of that nothing is excused.
            let disk = self.log.disk();
            let silent = USERS.map(|user| disk.silent(owner(user), before));
            let (mut begun, mut epochs) = (Vec::new(), Vec::new());
            for ((user, own), threads) in USERS.iter().zip(&devices).zip(&silent) {
                for device in own {
                    device.lock().forget(before);
                }
                begun.extend(threads.iter().map(|id| Begun::new(own, id.as_str())));
                let known = |id| disk.epoch(owner(user), id).map(|epoch| (*user, id, epoch));
                epochs.extend(threads.iter().filter_map(known));
            }
            if self.log.sweep(before + self.beyond).await.is_err() {
                begun.into_iter().for_each(Begun::called_off);
                continue;
            }
            let gone = epochs
                .into_iter()
                .filter(|(user, id, epoch)| disk.epoch(owner(user), id).as_ref() != Some(epoch));
            self.deleted.lock().extend(gone.map(|(.., epoch)| epoch.as_str().to_owned()));
        }
    }
}
