//! What was accepted ends, and what was seen is there again: through a stop, through `kill -9`, and not where the record
//! cannot be kept.

use std::{
    collections::{HashMap, HashSet},
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
use portcullis_test::{Found, Peer, Request, Server, Witness, is_terminal, setting};
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
    assert!(!is_written_down(&server, &asked[0].1), "what is kept is sealed");
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

/// Comes back to where a witness stood.
fn come_back(witness: &Witness, server: &Server, user: &str) -> Peer {
    let target = match witness.last(user) {
        Some(event) => format!("/ws?resume={user}:{}:{}", event["epoch"].as_str().unwrap(), event["seq"]),
        // What ran without its knowledge is there as well.
        None => format!("/ws?resume={user}::0"),
    };
    server.live(&target, user)
}

/// Asks without a pause, writing down what comes, until the connection breaks.
fn watch(
    mut witness: Witness,
    mut peer: Peer,
    user: &str,
    round: u64,
    stop: &AtomicBool,
    heard: &Sender<()>,
) -> Witness {
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        let text = question(&format!("{user}-{round}-{asked}"), user, "Why 1006? And what is NO_TOKEN?");
        asked += 1;
        if !peer.try_say(&text) {
            break;
        }
        while let Some(message) = peer.try_json() {
            let _ = heard.send(());
            witness.take(&message);
            if message["type"] == "agent_completed" {
                break;
            }
        }
    }
    witness
}

/// What a witness finds wrong with the server's record of the user's thread, and how many runs were begun anew.
fn faults_of(witness: &Witness, server: &Server, user: &str) -> (Vec<String>, usize) {
    let (mut answer, mut stream) = (json!(null), Vec::new());
    if !witness.is_empty() {
        // What was cut off is run again while others are served.
        eventually("every run ends", || {
            (answer, stream) = whole(server, user, user);
            let ended = |run: &String| stream.iter().any(|it| it["run_id"] == **run && is_terminal(it));
            witness.accepted().values().all(ended)
        });
        if answer["type"] != "resumed" {
            return (vec![format!("{user}'s thread is gone: {answer}")], 0);
        }
    }
    let Found { mut faults, begun_anew, failed } = witness.check(&[(user, &stream)], &HashSet::new());
    // What these clients ask may be asked again.
    faults.extend(failed.iter().map(|end| format!("not repeated: {end}")));
    (faults, begun_anew)
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
                let peer = come_back(&witness, &server, &name);
                thread::spawn(move || watch(witness, peer, &name, round, &stop, &heard))
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
            let (found, cut) = faults_of(witness, &server, &format!("user-{user}"));
            faults.extend(found);
            cut_off += cut;
        }
        println!(
            "crash {} of {rounds}, after {until} messages: {} messages accepted so far, {} events seen, {cut_off} runs cut off, {} faults",
            round + 1,
            witnesses.iter().map(|witness| witness.accepted().len()).sum::<usize>(),
            witnesses.iter().map(Witness::events).sum::<usize>(),
            faults.len(),
        );
        assert!(faults.is_empty(), "{faults:#?}");
    }
    assert!(witnesses.iter().all(|witness| !witness.accepted().is_empty()), "somebody was never heard");
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
    let cause = health.json()["cause"].as_str().unwrap_or_default().to_owned();
    assert!(cause.contains("no space left") && cause.contains("make room"), "{cause}");
    assert!(!cause.contains(&*disk.0.path().to_string_lossy()), "strangers read it: {cause}");
    let refused = server.ask(&Request::upgrade("/ws").bearer(&server.token("ann")));
    assert_problem("a failed record", &refused, Reason::NotReady);
    assert_eq!(refused.status, 503);
    assert!(refused.has("Retry-After"), "{}", refused.raw);
    server.log().line(&["events cannot be recorded"]);

    disk.free();
    let server = server.crash();
    assert!(witness.accepted().contains_key("before"));
    let (faults, _) = faults_of(&witness, &server, "ann");
    assert!(faults.is_empty(), "{faults:#?}");
    ask(&mut server.live("/ws", "ann"), "after", "ann");
}

/// What would make room goes on where there is none.
#[test]
#[expect(clippy::print_stdout, reason = "a test that could not be made says so")]
fn on_a_full_disk_threads_are_listed_and_deleted() {
    let Some(disk) = SmallDisk::mount() else {
        println!("not tested: a file system can be mounted by root alone");
        return;
    };
    let server = crate::server().data_in(&disk.0.path().join("data")).start();
    ask(&mut server.live("/ws", "ann"), "m", "t");
    disk.fill();
    eventually("it is noticed", || server.ask(&Request::plain("GET", "/ws/health")).status == 503);
    let token = server.token("ann");
    let posted = server.ask(&Request::plain("POST", "/messages").bearer(&token));
    assert_problem("a full disk", &posted, Reason::NotReady);
    let list = || server.ask(&Request::plain("GET", "/api/v1/threads").bearer(&token));
    assert_eq!(list().json()["threads"].as_array().map(Vec::len), Some(1), "{}", list().raw);
    let deleted = server.ask(&Request::plain("DELETE", "/api/v1/threads/t").bearer(&token));
    assert_eq!(deleted.status, 204, "{}", deleted.raw);
    assert_eq!(list().json()["threads"], json!([]));
    // And with room again messages are taken, without a restart.
    disk.free();
    eventually("there is room", || server.ask(&Request::plain("GET", "/ws/health")).status == 200);
    ask(&mut server.live("/ws", "ann"), "after", "t");
}

#[test]
fn a_record_that_is_gone_is_missed() {
    let server = crate::server().start();
    ask(&mut server.live("/ws", "ann"), "m", "t");
    server.terminate();
    server.exit_code();
    fs::remove_dir_all(server.data_dir().join("events")).unwrap();
    let server = server.restart();
    server.log().line(&["there is no record of events"]);
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
