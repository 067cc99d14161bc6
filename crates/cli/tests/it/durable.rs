//! What was accepted ends, and what was seen is there again: through a stop, through `kill -9`, and not where the record
//! cannot be kept.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread,
};

use portcullis_reason::Reason;
use portcullis_test::{Peer, Request, Server};
use serde_json::{Value, json};

use crate::support::{assert_problem, events, question};

/// Everything that the server has of a thread, asked for from its beginning.
fn whole(server: &Server, user: &str, thread_id: &str) -> (Value, Vec<Value>) {
    let mut peer = server.live("/ws", user);
    peer.say(
        &json!({ "type": "resume", "payload": { "threads": [{ "thread_id": thread_id, "after_seq": 0 }] } }),
    );
    let mut messages = peer.drain();
    let answer = messages.remove(0);
    (answer, events(&messages))
}

fn ask(peer: &mut Peer, id: &str, thread_id: &str) -> Vec<Value> {
    peer.say(&question(id, thread_id, "What does 1006 mean?"));
    peer.until_ended(1)
}

#[test]
fn a_stop_and_a_crash_lose_nothing_and_a_client_goes_on_where_it_stood() {
    let mut server = crate::server().start();
    let mut peer = server.live("/ws", "ann");
    let told = events(&ask(&mut peer, "m1", "t"));
    let (epoch, seen) = (told[0]["epoch"].clone(), told.len());
    for crash in [false, true] {
        server = if crash { server.crash() } else { server.restart() };
        let (answer, again) = whole(&server, "ann", "t");
        assert_eq!(answer["type"], "resumed", "{answer}");
        assert_eq!(again[..seen], told[..], "the very same events");
        let from = again.len() as u64 - 1;
        let point = json!({ "thread_id": "t", "epoch": epoch, "after_seq": from });
        let mut peer = server.live("/ws", "ann");
        peer.say(&json!({ "type": "resume", "payload": { "threads": [point] } }));
        let answers = peer.drain();
        assert_eq!(answers.len(), 2, "the answer and the one event behind the place: {answers:?}");
        // The stream goes on with the next number, in the same life.
        let more = events(&ask(&mut peer, &format!("m-{crash}"), "t"));
        assert_eq!((&more[0]["epoch"], more[0]["seq"].as_u64()), (&epoch, Some(again.len() as u64 + 1)));
        // A message that was accepted before is known.
        peer.say(&question("m1", "t", "What does 1006 mean?"));
        let known = peer.drain();
        assert_eq!(known.len(), 1, "{known:?}");
        assert_eq!(known[0]["payload"]["duplicate"], true, "{}", known[0]);
        assert_eq!(known[0]["payload"]["run_id"], told[0]["run_id"]);
    }
    // Nobody else's.
    let (answer, again) = whole(&server, "bob", "t");
    assert_eq!((&answer["payload"]["reason"], again.len()), (&json!("unknown_thread"), 0), "{answer}");
}

/// What one client saw of its server until that died.
#[derive(Default)]
struct Witness {
    /// Runs by the message that asked.
    accepted: HashMap<String, String>,
    /// Texts of events by their number.
    seen: BTreeMap<u64, Value>,
}

impl Witness {
    /// Asks without a pause, and writes down what comes, until the connection breaks.
    fn watch(server: &Server, user: &str, round: u64, stop: &AtomicBool, heard: &Sender<()>) -> Self {
        let mut witness = Self::default();
        let mut peer = server.live("/ws", user);
        let mut asked = 0;
        while !stop.load(Ordering::Relaxed) {
            let text = question(&format!("{user}-{round}-{asked}"), user, "Why 1006? And what is NO_TOKEN?");
            asked += 1;
            if !peer.try_say(&text) {
                break;
            }
            while let Some(message) = peer.try_json() {
                let _ = heard.send(());
                witness.take(std::slice::from_ref(&message));
                if message["type"] == "agent_completed" {
                    break;
                }
            }
        }
        witness
    }

    /// Writes down what came.
    fn take(&mut self, messages: &[Value]) {
        for message in messages {
            if message["type"] == "message_accepted" {
                let text = |name: &str| message["payload"][name].as_str().unwrap().to_owned();
                self.accepted.insert(text("message_id"), text("run_id"));
            } else if let Some(seq) = message["seq"].as_u64() {
                assert!(self.seen.insert(seq, message.clone()).is_none(), "seen twice: {message}");
            }
        }
    }

    /// Holds what was seen against what the next server has; gives how many runs were cut off.
    fn check(&self, server: &Server, user: &str) -> usize {
        if self.accepted.is_empty() {
            return 0;
        }
        let mut cut_off = 0;
        let (answer, stream) = whole(server, user, user);
        assert_eq!(answer["type"], "resumed", "{user}: {answer}");
        for (index, event) in stream.iter().enumerate() {
            assert_eq!(event["seq"].as_u64(), Some(index as u64 + 1), "{user}: a gap before {event}");
        }
        for (seq, event) in &self.seen {
            let index = usize::try_from(*seq).unwrap() - 1;
            assert_eq!(stream.get(index), Some(event), "{user}: what was seen is what is there");
        }
        for (message, run) in &self.accepted {
            let own: Vec<_> = stream.iter().filter(|event| event["run_id"] == run.as_str()).collect();
            let kinds: Vec<_> = own.iter().map(|event| event["type"].as_str().unwrap()).collect();
            let ends =
                kinds.iter().filter(|kind| matches!(**kind, "agent_completed" | "agent_failed")).count();
            assert_eq!(ends, 1, "{user}: {message} has {kinds:?}");
            cut_off += usize::from(kinds.last() == Some(&"agent_failed"));
            assert_eq!(kinds.first(), Some(&"agent_started"), "{user}: {message}");
            assert!(matches!(kinds.last(), Some(&("agent_completed" | "agent_failed"))), "{user}: {kinds:?}");
            let mut open = HashSet::new();
            for event in &own {
                let id = event["payload"]["execution_id"].as_str();
                match event["type"].as_str() {
                    Some("tool_executing") => assert!(open.insert(id.unwrap()), "{user}: {event}"),
                    Some("tool_completed") => assert!(open.remove(id.unwrap()), "{user}: {event}"),
                    _ => {}
                }
            }
            assert!(open.is_empty(), "{user}: {message} left tools open: {open:?}");
        }
        cut_off
    }
}

/// A number from the environment, for `scripts/crash.sh`.
fn setting(name: &str, otherwise: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how long to test is the tester's to say")]
    let given = std::env::var(name);
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
#[expect(clippy::print_stdout, reason = "progress, for who runs it for long")]
fn whatever_was_accepted_ends_through_kill_9() {
    const USERS: usize = 6;
    let (rounds, mut seed) = (setting("CRASH_ROUNDS", 10), setting("CRASH_SEED", 1));
    let mut server = crate::server()
        .set("runs.retained_events", "1000000")
        .set("runs.retained_bytes", "\"64 MiB\"")
        .start();
    let (mut accepted, mut told, mut cut_off) = (0, 0, 0);
    for round in 0..rounds {
        // At no particular moment: how far each client is differs from run to run, and the promise does not.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let until = 1 + usize::try_from(seed >> 33).unwrap() % 1_500;
        let stop = Arc::new(AtomicBool::new(false));
        let running = Arc::new(server);
        let (heard, messages) = mpsc::channel();
        let clients: Vec<_> = (0..USERS)
            .map(|user| {
                let (server, stop, heard) = (Arc::clone(&running), Arc::clone(&stop), heard.clone());
                let name = format!("user-{round}-{user}");
                thread::spawn(move || Witness::watch(&server, &name, round, &stop, &heard))
            })
            .collect();
        assert_eq!(messages.iter().take(until).count(), until);
        running.kill();
        stop.store(true, Ordering::Relaxed);
        let witnesses: Vec<Witness> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        server = Arc::into_inner(running).unwrap().crash();
        for (user, witness) in witnesses.iter().enumerate() {
            cut_off += witness.check(&server, &format!("user-{round}-{user}"));
            accepted += witness.accepted.len();
            told += witness.seen.len();
        }
        println!(
            "crash {} of {rounds}, after {until} messages: {accepted} messages accepted, {told} events seen, {cut_off} runs cut off; \
             lost 0, gaps 0, repeats 0, unpaired tools 0",
            round + 1
        );
    }
    assert!(accepted > 0, "nothing was accepted in time");
    assert!(rounds < 5 || cut_off > 0, "no crash came at a bad moment");
}

/// A file system of its own, as small as a test needs it; none where that may not be made.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.0.path().join("ballast")).unwrap();
        let piece = vec![1; 4096];
        while ballast.write_all(&piece).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).output();
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that could not be made says so")]
fn a_full_disk_is_told_and_takes_back_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        println!("not tested: a file system can be mounted by root alone");
        return;
    };
    let server = crate::server().data_in(&disk.0.path().join("data")).start();
    let mut witness = Witness::default();
    let mut peer = server.live("/ws", "ann");
    witness.take(&ask(&mut peer, "before", "ann"));
    disk.fill();
    // What is written already has room of its own, so that it takes some until it shows.
    for number in 0..100_000 {
        if !peer.try_say(&question(&format!("full-{number}"), "ann", "What does 1006 mean?")) {
            break;
        }
        let mut messages = Vec::new();
        while let Some(message) = peer.try_json() {
            let last = matches!(message["type"].as_str(), Some("agent_completed" | "agent_failed"));
            messages.push(message);
            if last {
                break;
            }
        }
        witness.take(&messages);
        if !matches!(messages.last(), Some(last) if last["type"] == "agent_completed") {
            break;
        }
    }
    // Readiness is off, and who comes is told why and when to come back.
    let health = server.ask(&Request::plain("GET", "/ws/health"));
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("not ready")), "{}", health.raw);
    let refused = server.ask(&Request::upgrade("/ws").bearer(&server.token("ann")));
    assert_problem("a failed record", &refused, Reason::NotReady);
    assert_eq!(refused.status, 503);
    assert!(refused.has("Retry-After"), "{}", refused.raw);
    server.log().line(&["events cannot be recorded"]);

    disk.free();
    let server = server.crash();
    assert!(witness.accepted.contains_key("before"));
    witness.check(&server, "ann");
    ask(&mut server.live("/ws", "ann"), "after", "ann");
}

#[test]
fn a_record_in_use_stops_a_second_start_and_says_what_to_do() {
    let server = crate::server().start();
    let anywhere = "127.0.0.1:0";
    let start = ["serve", "--listen", anywhere, "--auth-listen", anywhere, "--admin-listen", anywhere];
    let (code, text) = server.command(&start, "");
    assert!(code == 3 && text.contains("in use by another process"), "{code}: {text}");
}

#[test]
fn in_memory_a_restart_begins_anew_and_says_so() {
    let server = crate::server().set("events.store", "\"memory\"").start();
    let mut peer = server.live("/ws", "ann");
    ask(&mut peer, "m1", "t");
    assert!(!server.data_dir().join("events").exists());
    let server = server.restart();
    let (answer, again) = whole(&server, "ann", "t");
    assert_eq!((&answer["payload"]["reason"], again.len()), (&json!("unknown_thread"), 0), "{answer}");
    assert_eq!(server.ask(&Request::plain("GET", "/ws/health")).status, 200);
}
