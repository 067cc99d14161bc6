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

use crate::support::{assert_problem, events, eventually, question};

/// Everything that the server has of a thread, asked for from its beginning.
pub(crate) fn whole(server: &Server, user: &str, thread_id: &str) -> (Value, Vec<Value>) {
    let mut peer = server.live("/ws", user);
    peer.say(
        &json!({ "type": "resume", "payload": { "threads": [{ "thread_id": thread_id, "after_seq": 0 }] } }),
    );
    let answer = peer.json();
    let messages = if answer["type"] == "resumed" { peer.replayed(&answer) } else { Vec::new() };
    (answer, events(&messages))
}

pub(crate) fn ask(peer: &mut Peer, id: &str, thread_id: &str) -> Vec<Value> {
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
        let answer = peer.json();
        let behind = peer.replayed(&answer);
        assert_eq!(behind, again[again.len() - 1..], "the one event behind the place: {answer}");
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

#[test]
fn a_question_that_refers_back_is_understood_after_a_crash() {
    let mut server = crate::server().start();
    let answer = |server: &Server, id: &str, content: &str| {
        let mut peer = server.live("/ws", "ann");
        peer.say(&question(id, "t", content));
        let end = peer.until_ended(1).pop().unwrap();
        end["payload"]["final_response"].as_str().unwrap().to_owned()
    };
    assert!(answer(&server, "m1", "What is NO_TOKEN?").contains("NO_TOKEN"));
    server = server.crash();
    let text = answer(&server, "m2", "And how do I fix it?");
    assert!(text.contains("NO_TOKEN"), "{text}");
}

/// Whether a file of the data directory has these bytes.
fn is_written_down(server: &Server, text: &str) -> bool {
    let mut grep = std::process::Command::new("grep");
    let found = grep.args(["-rqaF", "-e", text]).arg(server.data_dir()).status().unwrap().code();
    // One that cannot search would find nothing either.
    assert!(matches!(found, Some(0 | 1)), "{found:?}");
    found == Some(0)
}

#[test]
fn what_a_crash_cuts_off_is_asked_again_but_for_what_must_not_be_written_down() {
    let server = crate::server().set("dev.pace", "\"50ms\"").start();
    let token = server.token("ann");
    let asked = [
        ("plain", "Why does my marmalade browser only say 1006?".to_owned()),
        ("token", format!("Why is jwt.{token} refused, marmalade?")),
    ];
    let mut peer = server.live("/ws", "ann");
    for (thread_id, content) in &asked {
        peer.say(&question(thread_id, thread_id, content));
    }
    // In the middle of both answers.
    let mut cut = HashMap::new();
    while cut.len() < 2 {
        let event = peer.json();
        assert!(!is_terminal(&event), "{event}");
        if event["type"] == "tool_executing" {
            cut.insert(event["thread_id"].as_str().unwrap().to_owned(), event);
        }
    }
    let parts: Vec<&str> = token.split('.').collect();
    let nowhere = |server: &Server| parts.iter().all(|part| !is_written_down(server, part));
    server.kill();
    assert!(is_written_down(&server, &asked[0].1), "a question that holds nothing is kept");
    assert!(nowhere(&server));
    let server = server.crash();
    assert!(nowhere(&server));
    server.log().line(&["\"repeated\":1", "\"ended\":1"]);

    let ended = |thread_id: &str| {
        let mut stream = Vec::new();
        eventually("the run ends", || {
            stream = whole(&server, "ann", thread_id).1;
            stream.last().is_some_and(is_terminal)
        });
        stream
    };
    let plain = ended("plain");
    let attempts = |stream: &[Value]| {
        let begins = stream.iter().filter(|event| event["type"] == "agent_started");
        begins.map(|event| event["payload"]["attempt"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(
        (attempts(&plain), &plain.last().unwrap()["type"]),
        (vec![None, Some(2)], &json!("agent_completed"))
    );
    // The pieces of the second attempt are the answer, word by word.
    let second = plain.iter().rposition(|event| event["type"] == "agent_started").unwrap();
    let pieces = plain[second..].iter().filter_map(|event| event["payload"]["delta"].as_str());
    assert_eq!(pieces.collect::<String>(), plain.last().unwrap()["payload"]["final_response"]);
    let token = ended("token");
    let error = &token.last().unwrap()["payload"]["error"];
    assert_eq!((attempts(&token), &error["reason"]), (vec![None], &json!("INTERNAL")), "{error}");
    assert_eq!(error["retryable"], true);
    let metrics = server.metrics();
    assert!(metrics.contains("portcullis_runs_repeated_total 1"), "{metrics}");
    assert!(nowhere(&server));
}

/// What one client saw of its server, through all of that one's deaths.
#[derive(Default)]
struct Witness {
    /// Runs by the message that asked.
    accepted: HashMap<String, String>,
    /// Events by their number.
    seen: BTreeMap<u64, Value>,
    /// What no client may ever see.
    faults: Vec<String>,
}

impl Witness {
    /// Comes back to where it stood.
    fn come_back(&self, server: &Server, user: &str) -> Peer {
        let target = match self.seen.last_key_value() {
            Some((seq, event)) => format!("/ws?resume={user}:{}:{seq}", event["epoch"].as_str().unwrap()),
            // What ran without its knowledge is there as well.
            None => format!("/ws?resume={user}::0"),
        };
        server.live(&target, user)
    }

    /// Asks without a pause, writing down what comes, until the connection breaks.
    fn watch(
        mut self,
        mut peer: Peer,
        user: &str,
        round: u64,
        stop: &AtomicBool,
        heard: &Sender<()>,
    ) -> Self {
        let mut asked = 0;
        while !stop.load(Ordering::Relaxed) {
            let text = question(&format!("{user}-{round}-{asked}"), user, "Why 1006? And what is NO_TOKEN?");
            asked += 1;
            if !peer.try_say(&text) {
                break;
            }
            while let Some(message) = peer.try_json() {
                let _ = heard.send(());
                self.take(&message);
                if message["type"] == "agent_completed" {
                    break;
                }
            }
        }
        self
    }

    /// Writes down what came.
    fn take(&mut self, message: &Value) {
        if message["type"] == "message_accepted" {
            let text = |name: &str| message["payload"][name].as_str().unwrap().to_owned();
            self.accepted.insert(text("message_id"), text("run_id"));
        } else if message["type"] == "resume_gap" {
            let nothing = self.seen.is_empty() && self.accepted.is_empty();
            if nothing && message["payload"]["reason"] == "unknown_thread" {
                return;
            }
            self.faults.push(format!("a gap: {message}"));
        } else if let Some(seq) = message["seq"].as_u64() {
            let next = self.seen.last_key_value().map_or(1, |(last, _)| last + 1);
            if seq < next {
                self.faults.push(format!("a repeat: {message}"));
            } else if seq > next {
                self.faults.push(format!("a hole before {message}"));
            }
            self.seen.insert(seq, message.clone());
        }
    }

    /// Holds what was seen against what the server has now: the faults, and how many runs were cut off and begun anew.
    fn check(&self, stream: &[Value]) -> (Vec<String>, usize) {
        let mut faults = self.faults.clone();
        let mut cut_off = 0;
        for (index, event) in stream.iter().enumerate() {
            if event["seq"].as_u64() != Some(index as u64 + 1) {
                faults.push(format!("a hole in the record before {event}"));
            }
        }
        for (seq, event) in &self.seen {
            let index = usize::try_from(*seq).unwrap() - 1;
            if stream.get(index) != Some(event) {
                faults.push(format!("what was seen is not what is there: {event}"));
            }
        }
        for (message, run) in &self.accepted {
            let own: Vec<_> = stream.iter().filter(|event| event["run_id"] == run.as_str()).collect();
            let kinds: Vec<_> = own.iter().map(|event| event["type"].as_str().unwrap()).collect();
            match own.iter().filter(|event| is_terminal(event)).count() {
                1 if own.last().is_some_and(|event| is_terminal(event))
                    && kinds.first() == Some(&"agent_started") =>
                {
                    faults.extend(begins_wrongly(&own).map(|event| format!("begins wrongly: {event}")));
                }
                1 => faults.push(format!("out of order: {message} has {kinds:?}")),
                ends => faults.push(format!("{message} has {ends} ends: {kinds:?}")),
            }
            cut_off += usize::from(kinds.iter().filter(|kind| **kind == "agent_started").count() > 1);
            // What this client asks may be asked again.
            faults.extend(
                own.last()
                    .filter(|end| end["type"] == "agent_failed")
                    .map(|end| format!("not repeated: {end}")),
            );
            let mut open = HashSet::new();
            for event in &own {
                let id = event["payload"]["execution_id"].as_str().unwrap_or_default();
                let paired = match event["type"].as_str() {
                    Some("tool_executing") => open.insert(id),
                    Some("tool_completed") => open.remove(id),
                    _ => true,
                };
                if !paired {
                    faults.push(format!("a tool's end or start is not paired: {event}"));
                }
            }
            if !open.is_empty() {
                faults.push(format!("{message} left tools open: {open:?}"));
            }
        }
        (faults, cut_off)
    }

    /// The same, against the server's record of the user's thread.
    fn check_with(&self, server: &Server, user: &str) -> (Vec<String>, usize) {
        if self.accepted.is_empty() && self.seen.is_empty() {
            return self.check(&[]);
        }
        let mut found = whole(server, user, user);
        // What was cut off is run again while others are served.
        eventually("every run ends", || {
            let ended = |run: &String| found.1.iter().any(|it| it["run_id"] == **run && is_terminal(it));
            let all = self.accepted.values().all(ended);
            if !all {
                found = whole(server, user, user);
            }
            all
        });
        let (answer, stream) = found;
        if answer["type"] == "resumed" {
            self.check(&stream)
        } else {
            (vec![format!("{user}'s thread is gone: {answer}")], 0)
        }
    }
}

pub(crate) fn is_terminal(event: &Value) -> bool {
    event["type"] == "agent_completed" || event["type"] == "agent_failed"
}

/// The beginnings of a run that are not as they must be: the first without a number, then the second and no more.
fn begins_wrongly<'e>(run: &[&'e Value]) -> impl Iterator<Item = &'e Value> {
    let begins = run.iter().filter(|event| event["type"] == "agent_started");
    let wrong = begins.enumerate().filter(|(index, event)| {
        let attempt = event["payload"]["attempt"].as_u64();
        attempt != (*index > 0).then_some(2) || *index > 1
    });
    wrong.map(|(_, event)| *event).collect::<Vec<_>>().into_iter()
}

#[test]
fn each_fault_is_found() {
    let event = |seq: u64, kind: &str, tool: &str| json!({ "type": kind, "seq": seq, "epoch": "e", "run_id": "r", "payload": { "execution_id": tool } });
    let whole = || {
        vec![
            event(1, "agent_started", ""),
            event(2, "tool_executing", "x"),
            event(3, "tool_completed", "x"),
            event(4, "agent_completed", ""),
        ]
    };
    let told = || {
        let mut witness = Witness::default();
        let accepted = json!({ "type": "message_accepted", "payload": { "message_id": "m", "run_id": "r" } });
        witness.take(&accepted);
        for event in whole() {
            witness.take(&event);
        }
        witness
    };
    assert_eq!(told().check(&whole()), (vec![], 0));
    let found = |witness: Witness, stream: &[Value], fault: &str| {
        let (faults, _) = witness.check(stream);
        assert!(faults.iter().any(|it| it.contains(fault)), "{fault}: {faults:?}");
    };
    let without = |index: usize| {
        let mut stream = whole();
        stream.remove(index);
        stream
    };
    found(told(), &without(1), "a hole in the record");
    found(told(), &without(2), "left tools open");
    found(told(), &without(1), "not paired");
    found(told(), &without(3), "m has 0 ends");
    found(told(), &without(3), "what was seen is not what is there");
    found(told(), &without(0), "out of order");
    let begins = |attempt: Option<u64>| {
        let mut stream = [whole(), whole()].concat();
        stream.remove(3);
        for (index, event) in stream.iter_mut().enumerate() {
            event["seq"] = json!(index + 1);
        }
        stream[3]["payload"]["attempt"] = json!(attempt);
        stream
    };
    let accepted = || Witness { accepted: told().accepted, ..Witness::default() };
    assert_eq!(accepted().check(&begins(Some(2))), (vec![], 1));
    found(accepted(), &begins(None), "begins wrongly");
    found(accepted(), &begins(Some(3)), "begins wrongly");
    let mut failed = whole();
    failed[3]["type"] = json!("agent_failed");
    found(accepted(), &failed, "not repeated");
    found(told(), &[whole(), vec![event(5, "agent_failed", "")]].concat(), "m has 2 ends");
    found(told(), &[whole(), vec![event(5, "agent_thinking", "")]].concat(), "out of order");
    let mut repeated = told();
    repeated.take(&event(4, "agent_completed", ""));
    found(repeated, &whole(), "a repeat");
    let mut hole = told();
    hole.take(&event(6, "agent_thinking", ""));
    found(hole, &whole(), "a hole before");
    let mut gap = told();
    gap.take(&json!({ "type": "resume_gap" }));
    found(gap, &whole(), "a gap");
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
    // The same clients all along: each comes back to where it stood, and its older events are looked at after each crash.
    let mut witnesses: Vec<Witness> = (0..USERS).map(|_| Witness::default()).collect();
    let mut cut_off = 0;
    for round in 0..rounds {
        // At no particular moment: how far each client is differs from run to run, and the promise does not.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let until = 1 + usize::try_from(seed >> 33).unwrap() % 1_500;
        let stop = Arc::new(AtomicBool::new(false));
        let (heard, messages) = mpsc::channel();
        let clients: Vec<_> = witnesses
            .into_iter()
            .enumerate()
            .map(|(user, witness)| {
                let (stop, heard, name) = (Arc::clone(&stop), heard.clone(), format!("user-{user}"));
                // Before the server may be killed.
                let peer = witness.come_back(&server, &name);
                thread::spawn(move || witness.watch(peer, &name, round, &stop, &heard))
            })
            .collect();
        assert_eq!(messages.iter().take(until).count(), until);
        server.kill();
        stop.store(true, Ordering::Relaxed);
        witnesses = clients.into_iter().map(|client| client.join().unwrap()).collect();
        server = server.crash();
        cut_off = 0;
        let mut faults = Vec::new();
        for (user, witness) in witnesses.iter().enumerate() {
            let (found, cut) = witness.check_with(&server, &format!("user-{user}"));
            faults.extend(found);
            cut_off += cut;
        }
        println!(
            "crash {} of {rounds}, after {until} messages: {} messages accepted so far, {} events seen, {cut_off} runs cut off, {} faults",
            round + 1,
            witnesses.iter().map(|witness| witness.accepted.len()).sum::<usize>(),
            witnesses.iter().map(|witness| witness.seen.len()).sum::<usize>(),
            faults.len(),
        );
        assert!(faults.is_empty(), "{faults:#?}");
    }
    assert!(witnesses.iter().all(|witness| !witness.accepted.is_empty()), "somebody was never heard");
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
    for message in ask(&mut peer, "before", "ann") {
        witness.take(&message);
    }
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
        for message in &messages {
            witness.take(message);
        }
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
    let (faults, _) = witness.check_with(&server, "ann");
    assert!(faults.is_empty(), "{faults:#?}");
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
