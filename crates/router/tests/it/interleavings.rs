//! Whatever several users do on several devices, in whatever order: no event crosses, none is lost, and each run ends once.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use portcullis_event::{Envelope, Mode, RunId};
use portcullis_reason::Reason;
use portcullis_router::Router;
use proptest::{prelude::*, sample::Index};

use crate::world::{Device, End, assert_order, roomy, router, settle};

const USERS: [&str; 3] = ["ann", "bob", "cem"];

const SCRIPTS: [&str; 9] = [
    "think",
    "think tool:5 delta delta",
    "wait:40 think",
    "tool:80 broken tool:3",
    "deaf:30 delta",
    "think panic",
    "panicking",
    "delta fail",
    "think wait:100000",
];

#[derive(Clone, Debug)]
enum Step {
    Connect {
        user: usize,
        mode: usize,
    },
    Disconnect(Index),
    /// Comes back where it left.
    Return(Index),
    Say {
        device: Index,
        thread: usize,
        script: usize,
        id: Option<u8>,
    },
    /// Anybody's device, anybody's run.
    Cancel {
        device: Index,
        run: Index,
    },
    Wait(u64),
    Read(Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..USERS.len(), 0..Mode::ALL.len()).prop_map(|(user, mode)| Step::Connect { user, mode }),
        1 => any::<Index>().prop_map(Step::Disconnect),
        2 => any::<Index>().prop_map(Step::Return),
        8 => (any::<Index>(), 0..3_usize, 0..SCRIPTS.len(), prop::option::of(0..6_u8))
            .prop_map(|(device, thread, script, id)| Step::Say { device, thread, script, id }),
        3 => (any::<Index>(), any::<Index>()).prop_map(|(device, run)| Step::Cancel { device, run }),
        4 => (0..60_u64).prop_map(Step::Wait),
        2 => any::<Index>().prop_map(Step::Read),
    ]
}

/// Everything that happened.
struct History {
    router: Router,
    devices: Vec<Device>,
    /// Whose run each accepted one is, with the place of the device whose world it is in if that is isolated.
    owners: HashMap<RunId, (String, Option<usize>)>,
    cancelled: HashSet<RunId>,
}

impl History {
    async fn new() -> Self {
        let router = router(roomy());
        // One device of each user sees everything there is to see.
        let devices: Vec<_> = Device::each(&router, USERS).await.into();
        Self { router, devices, owners: HashMap::new(), cancelled: HashSet::new() }
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Connect { user, mode } => {
                let device = Device::connect(&self.router, USERS[*user], Mode::ALL[*mode]).await;
                self.devices.push(device);
            }
            Step::Disconnect(device) => {
                // The first of each user stays.
                let others = &mut self.devices[USERS.len()..];
                if !others.is_empty() {
                    device.get_mut(others).disconnect().await;
                }
            }
            Step::Return(device) => self.come_back(*device).await,
            Step::Say { device, thread, script, id } => {
                let device = device.get(&self.devices);
                let id = id.map(|id| format!("m-{id}"));
                device.say(id.as_deref(), &format!("t-{thread}"), SCRIPTS[*script]).await;
            }
            Step::Cancel { device, run } => self.cancel(*device, *run).await,
            Step::Wait(time) => tokio::time::sleep(Duration::from_millis(*time)).await,
            Step::Read(device) => device.get_mut(&mut self.devices).read().await,
        }
        tokio::task::yield_now().await;
    }

    /// A device that left returns, with all that it has seen.
    async fn come_back(&mut self, device: Index) {
        let others = &mut self.devices[USERS.len()..];
        if others.is_empty() {
            return;
        }
        let old = device.get_mut(others);
        if old.mode == Mode::Isolated || old.mode == Mode::Legacy {
            return;
        }
        old.disconnect().await;
        // It may have come back before; what it has seen since it first came is what counts.
        let mut new = Device::resume(&self.router, &old.user, old.mode, &old.places()).await;
        new.seen = std::mem::take(&mut old.seen);
        *old = new;
    }

    async fn cancel(&mut self, device: Index, run: Index) {
        self.look().await;
        let mut runs: Vec<_> = self.owners.keys().cloned().collect();
        if runs.is_empty() {
            return;
        }
        runs.sort();
        let run = run.get(&runs);
        let place = device.index(self.devices.len());
        let device = &self.devices[place];
        let (owner, isolated) = &self.owners[run];
        let reaches = match isolated {
            Some(own) => *own == place,
            None => *owner == device.user && device.mode != Mode::Isolated,
        };
        if reaches && device.is_connected() {
            self.cancelled.insert(run.clone());
        }
        device.cancel(run);
    }

    /// Notes the runs that were accepted since.
    async fn look(&mut self) {
        for (place, device) in self.devices.iter_mut().enumerate() {
            device.read().await;
            let isolated = (device.mode == Mode::Isolated).then_some(place);
            for (_, run, _) in device.accepted() {
                self.owners.entry(run.clone()).or_insert_with(|| (device.user.clone(), isolated));
            }
            // The older form names its runs as well.
            for message in device.flat.iter().filter(|message| message["type"] == "message_accepted") {
                let run = RunId::new(message["run_id"].as_str().unwrap()).unwrap();
                self.owners.entry(run).or_insert_with(|| (device.user.clone(), isolated));
            }
        }
    }

    fn check(&self) {
        let all: HashMap<&str, HashMap<RunId, End>> = USERS
            .iter()
            .zip(&self.devices)
            .map(|(user, device)| (*user, assert_order(device.events())))
            .collect();
        for (place, device) in self.devices.iter().enumerate() {
            self.check_privacy(place, device);
            match device.mode {
                Mode::Isolated if device.is_connected() => {
                    let ended = assert_order(device.events());
                    assert_eq!(ended.len(), device.accepted().filter(|(.., twice)| !twice).count());
                    for (run, end) in &ended {
                        self.check_end(run, end);
                    }
                }
                // It left in the middle.
                Mode::Isolated => {}
                Mode::Main | Mode::Factory => {
                    let watcher = USERS.iter().position(|user| *user == device.user).unwrap();
                    assert_same_stream(&self.devices[watcher], device);
                }
                Mode::Legacy => {
                    for run in device.flat.iter().filter_map(|message| message["run_id"].as_str()) {
                        assert!(all[device.user.as_str()].contains_key(run));
                    }
                }
            }
        }
        // What was accepted has ended, once, where its owner sees it.
        for (run, (owner, isolated)) in &self.owners {
            for (user, ended) in &all {
                assert_eq!(ended.contains_key(run), user == owner && isolated.is_none(), "{run} of {owner}");
            }
        }
        for ended in all.values() {
            assert!(ended.keys().all(|run| self.owners.contains_key(run)));
            for (run, end) in ended {
                self.check_end(run, end);
            }
        }
    }

    /// Nobody else's name, run or answer reached this device.
    fn check_privacy(&self, place: usize, device: &Device) {
        for message in
            device.seen.iter().map(|it| format!("{it:?}")).chain(device.flat.iter().map(ToString::to_string))
        {
            for other in USERS.iter().filter(|user| **user != device.user) {
                assert!(!message.contains(other), "{} saw {message}", device.user);
            }
        }
        for run in device.events().filter_map(|event| event.run_id.as_ref()) {
            let (owner, isolated) = &self.owners[run];
            assert_eq!(*owner, device.user);
            let expected = (device.mode == Mode::Isolated).then_some(place);
            assert_eq!(*isolated, expected, "an event of another world");
        }
        let errors = [Reason::UnknownRun];
        assert!(device.errors().iter().all(|error| errors.contains(error)), "{:?}", device.errors());
    }

    fn check_end(&self, run: &RunId, end: &End) {
        match end {
            End::Failure(Reason::RunCancelled) => {
                assert!(self.cancelled.contains(run), "nobody cancelled {run}");
            }
            End::Failure(reason) => {
                let known = [Reason::Internal, Reason::AgentError, Reason::RunLimit];
                assert!(known.contains(reason), "{reason}");
            }
            End::Answer(answer) => assert!(answer.starts_with(self.owners[run].0.as_str()), "{answer}"),
        }
    }
}

/// What a device saw of each thread is one piece of what the first device of its user saw, up to its own end, also
/// where it left and came back.
fn assert_same_stream(watcher: &Device, device: &Device) {
    let mut threads: HashMap<_, (Vec<&Envelope>, Vec<&Envelope>)> = HashMap::new();
    for event in watcher.events() {
        threads.entry(&event.thread_id).or_default().0.push(event);
    }
    for event in device.events() {
        threads.entry(&event.thread_id).or_default().1.push(event);
    }
    for (all, seen) in threads.into_values() {
        let Some(first) = seen.first() else { continue };
        let start = all.iter().position(|event| event.id == first.id).expect("an event that nobody else saw");
        assert!(all[start..].starts_with(&seen), "missed, repeated or out of order");
        if device.is_connected() {
            assert_eq!(start + seen.len(), all.len(), "the end is missing");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_event_crosses_and_every_run_ends(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut history = History::new().await;
            for step in &steps {
                history.take(step).await;
            }
            assert_eq!(settle(&history.router).await, 0, "a run without an end");
            history.look().await;
            history.check();
            // Whoever comes anew and asks for all of it gets all of it.
            for (user, watcher) in USERS.iter().zip(&history.devices) {
                let mut resume = watcher.places();
                for point in &mut resume.threads { point.after_seq = 0; }
                let mut anew = Device::resume(&history.router, user, Mode::Main, &resume).await;
                anew.read().await;
                let told: HashSet<_> = anew.events().map(|event| event.id.as_str()).collect();
                let all: HashSet<_> = watcher.events().map(|event| event.id.as_str()).collect();
                assert_eq!(told, all);
            }
        });
    }
}
