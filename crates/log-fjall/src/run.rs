//! The writer's thread: at work, and back to work after a failure.

use std::{sync::Arc, time::Duration};

use crate::{
    Notice, Shared,
    clock::CLOCK,
    failure::{Failure, caught},
    queue::{Status, Taken},
    recover::Keeper,
    writer::{Group, Writer},
};

/// Works until the record is closed, or has failed for good.
pub(crate) fn run(shared: &Arc<Shared>, mut keeper: Keeper, mut writer: Writer) {
    let (mut since, mut pause_before) = (CLOCK.instant(), Duration::ZERO);
    shared.queue.set_full(writer.room.cause().cloned());
    loop {
        let Some((failure, group)) = work(shared, &mut keeper, &mut writer) else {
            shared.gate.close(crate::queue::CLOSED.into());
            keeper.close(writer);
            return;
        };
        let failure = failure.explained(keeper.folder());
        let cause = failure.cause();
        // What fails again soon is not tried again as soon.
        let (least, most) = keeper.pauses();
        let mut pause = if since.elapsed() < SOON { (pause_before * 2).clamp(least, most) } else { least };
        let status = Status::Down { cause: Arc::clone(&cause), after: pause };
        // From here on nothing waits for what will not come.
        let waiting = shared.queue.fail(status.clone());
        group.refuse(&status);
        for job in waiting {
            job.refuse(&status);
        }
        keeper.tell(Notice::Failed { cause: Arc::clone(&cause) });
        shared.gate.close(cause);
        keeper.abandon(writer, &failure);
        let mut in_vain = 0;
        writer = loop {
            if shared.queue.pause(pause) {
                return;
            }
            match caught(|| keeper.open()) {
                Ok(writer) => break writer,
                Err(failure) => {
                    in_vain = if failure.lasts() { in_vain + 1 } else { 0 };
                    pause = (pause * 2).min(most);
                    let cause = failure.cause();
                    if in_vain == IN_VAIN {
                        drop(shared.queue.fail(Status::Failed(cause)));
                        return;
                    }
                    drop(shared.queue.fail(Status::Down { cause, after: pause }));
                }
            }
        };
        (since, pause_before) = (CLOCK.instant(), pause);
        shared.gate.open(writer.store.clone());
        shared.queue.set_full(writer.room.cause().cloned());
        shared.queue.resume();
        keeper.tell(Notice::Recovered);
    }
}

/// Does what is handed over, until nothing will be any more, or something fails: then with what is still to be told.
fn work(shared: &Arc<Shared>, keeper: &mut Keeper, writer: &mut Writer) -> Option<(Failure, Group)> {
    let mut next = CLOCK.instant() + TICK;
    loop {
        match shared.queue.take(next) {
            Taken::Closed => return None,
            Taken::Nothing => {}
            Taken::Jobs(jobs) => {
                let mut group = Group::default();
                if let Err(failure) = caught(|| writer.work(jobs, &mut group)) {
                    return Some((failure, group));
                }
                // Whoever is woken may do so with code of their own.
                if let Err(failure) = caught(|| {
                    group.tell(shared);
                    Ok(())
                }) {
                    return Some((failure, Group::default()));
                }
            }
        }
        if CLOCK.instant() >= next {
            if let Err(failure) = caught(|| keeper.tick(writer)) {
                return Some((failure, Group::default()));
            }
            shared.queue.set_full(writer.room.cause().cloned());
            next = CLOCK.instant() + TICK;
        }
    }
}

/// How often it is noted beside the database how far the record has come, and looked whether there is room.
const TICK: Duration = Duration::from_secs(1);
/// How often the database is opened in vain where trying again is not expected to help.
const IN_VAIN: u32 = 3;
/// A failure that comes so soon after the one before is taken for the same.
const SOON: Duration = Duration::from_mins(1);
