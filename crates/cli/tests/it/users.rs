//! Two users, several devices each, runs in all modes at the same time: no event crosses, and each mode is what it says.

use std::{collections::HashSet, thread};

use portcullis_test::{Peer, Server};
use serde_json::{Value, json};

use crate::{
    live::assert_blameless,
    support::{assert_order, events, eventually, greet, question},
};

/// Questions of each device.
const QUESTIONS: usize = 6;

const PATHS: [&str; 7] =
    ["/ws", "/ws/main", "/api/v1/websocket", "/ws/factory", "/ws/legacy", "/ws/isolated", "/ws/isolated"];

/// What one device has seen.
struct Device {
    path: &'static str,
    number: usize,
    peer: Peer,
    seen: Vec<Value>,
}

impl Device {
    /// Whether it shares its user's world.
    fn shares(&self) -> bool {
        self.path != "/ws/isolated"
    }

    fn ask(&mut self, user: &str, number: usize) {
        // Threads of one's own, one that all of a user's devices share, and one that both users call the same.
        let thread = match number % 3 {
            0 => format!("{user}-{}", self.number),
            1 => format!("{user}-all"),
            _ => "both".to_owned(),
        };
        let id = format!("{user}-{}-{number}", self.number);
        let content = format!("What do {user} and close code 1008 have in common?");
        let message = if self.path == "/ws/legacy" {
            json!({ "type": "agent_request", "id": id, "message": content, "thread_id": thread })
        } else {
            question(&id, &thread, &content)
        };
        self.peer.say(&message);
    }
}

#[test]
fn no_event_crosses_between_two_users() {
    let server = crate::server().set("runs.per_user", "1000").set("limits.queue_bytes", "\"64 MiB\"").start();
    let devices: Vec<(&str, Vec<Device>)> =
        ["ann", "bob"].into_iter().map(|user| (user, devices(&server, user))).collect();
    // Both users talk at the same time, and each user's devices in turn.
    thread::scope(|scope| {
        for (user, devices) in devices {
            scope.spawn(move || live(user, devices));
        }
    });
    assert_eq!(server.figure("portcullis_runs_completed_total"), (2 * PATHS.len() * QUESTIONS) as u64);
    assert_blameless(&server);
}

fn devices(server: &Server, user: &str) -> Vec<Device> {
    let device =
        |(number, path)| Device { path, number, peer: greet(server, path, user).0, seen: Vec::new() };
    PATHS.into_iter().enumerate().map(device).collect()
}

fn live(user: &str, mut devices: Vec<Device>) {
    let shared = devices.iter().filter(|device| device.shares()).count() * QUESTIONS;
    for number in 0..QUESTIONS {
        for device in &mut devices {
            device.ask(user, number);
        }
    }
    for device in &mut devices {
        let runs = if device.shares() { shared } else { QUESTIONS };
        device.seen = device.peer.until_ended(runs);
    }
    for device in &mut devices {
        assert_eq!(device.peer.drain(), Vec::<Value>::new(), "{user} {}: more than there is", device.path);
        let other = if user == "ann" { "bob" } else { "ann" };
        for message in &device.seen {
            assert!(!message.to_string().contains(other), "{user} saw {message}");
        }
        let accepted = device.seen.iter().filter(|message| message["type"] == "message_accepted").count();
        assert_eq!(accepted, QUESTIONS, "{user} {}: what one said is accepted there alone", device.path);
    }

    let (legacy, modern): (Vec<_>, Vec<_>) = devices.iter().partition(|device| device.path == "/ws/legacy");
    let (sharing, alone): (Vec<_>, Vec<_>) = modern.into_iter().partition(|device| device.shares());
    let first = events(&sharing[0].seen);
    assert_eq!(assert_order(&first).len(), shared);
    for device in &sharing[1..] {
        assert_eq!(events(&device.seen), first, "{user} {}: every device sees every event", device.path);
    }
    let mut runs: HashSet<String> = assert_order(&first).into_keys().collect();
    for device in &alone {
        let own = assert_order(&events(&device.seen));
        assert_eq!(own.len(), QUESTIONS);
        for run in own.into_keys() {
            assert!(runs.insert(run), "{user}: a run in two worlds");
        }
    }
    // The older form: the same events, flat.
    let flat =
        |message: &Value| (message["type"].clone(), message["run_id"].clone(), message["thread_id"].clone());
    let of_runs = |message: &&Value| message["run_id"].is_string() && message["type"] != "message_accepted";
    let told: Vec<_> = legacy[0].seen.iter().filter(of_runs).collect();
    for message in &told {
        let members: Vec<&str> = message.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["data", "run_id", "thread_id", "timestamp", "type"], "{message}");
    }
    let told: Vec<_> = told.into_iter().map(flat).collect();
    let known = first.iter().filter(|message| message["type"] != "user_message");
    assert_eq!(told, known.map(flat).collect::<Vec<_>>());
}

#[test]
fn an_isolated_connection_takes_its_runs_with_it() {
    let server = crate::server().set("runs.per_user", "1000").start();
    let mut main = server.live("/ws", "ann");
    let mut isolated = server.live("/ws/isolated", "ann");
    let long = "Why does jwt.abc give 1011, 1008 and NO_TOKEN? ".repeat(1_000);
    // What is said of each comes back with its words, and fits into the queue together.
    for number in 0..8 {
        isolated.say(&question(&format!("m-{number}"), "t", &long));
    }
    isolated.wait_for("agent_started");
    drop(isolated);
    eventually("the runs end", || server.figure("portcullis_runs_active") == 0);
    assert!(server.figure("portcullis_runs_failed_total{reason=\"RUN_CANCELLED\"}") > 0);
    assert_eq!(main.drain(), Vec::<Value>::new(), "none of it was anybody else's");
    // Nor is there anything to come back to.
    let mut again = server.live("/ws/isolated?resume=t::0", "ann");
    let gap = again.wait_for("resume_gap");
    assert_eq!(gap["payload"]["reason"], "not_resumable", "{gap}");
}

#[test]
fn a_run_goes_on_when_its_reader_leaves() {
    let server = crate::server().set("runs.per_user", "1000").start();
    let mut reader = server.live("/ws", "ann");
    for number in 0..20 {
        reader.say(&question(&format!("m-{number}"), "t", "What is 1006?"));
    }
    // Leaving with unread bytes resets the connection, and what the server has not read by then is lost.
    for _ in 0..20 {
        reader.wait_for("message_accepted");
    }
    drop(reader);
    eventually("the runs end", || server.figure("portcullis_runs_completed_total") == 20);
    let mut again = server.live("/ws?resume=t::0", "ann");
    let missed = events(&again.until_ended(20));
    assert_eq!(assert_order(&missed).len(), 20);
}

#[test]
fn only_factory_forgets_between_runs() {
    let server = crate::server().start();
    for (path, remembers) in [("/ws", true), ("/ws/isolated", true), ("/ws/factory", false)] {
        let mut peer = server.live(path, path);
        peer.say(&question("m-1", "t", "What does NO_TOKEN mean?"));
        peer.until_ended(1);
        peer.say(&question("m-2", "t", "And how do I fix it?"));
        let thoughts: Vec<_> = peer
            .until_ended(1)
            .into_iter()
            .filter_map(|message| message["payload"]["thinking_content"].as_str().map(str::to_owned))
            .collect();
        let refers = thoughts.iter().any(|thought| thought.contains("NO_TOKEN"));
        assert_eq!(refers, remembers, "{path}: {thoughts:?}");
    }
}

#[test]
fn the_same_message_runs_once() {
    let server = crate::server().start();
    let (mut ann, mut other) = (server.live("/ws", "ann"), server.live("/ws", "ann"));
    let mut bob = server.live("/ws", "bob");
    let message = question("m-1", "t", "What is 1006?");
    ann.say(&message);
    let first = ann.wait_for("message_accepted");
    assert_eq!(first["payload"]["duplicate"], false);
    let run = first["run_id"].clone();
    ann.until_ended(1);
    // Again, also from another device; another user's id of the same name is another message.
    for peer in [&mut ann, &mut other] {
        peer.say(&message);
        let again = peer.wait_for("message_accepted");
        assert_eq!((&again["payload"]["duplicate"], &again["run_id"]), (&json!(true), &run), "{again}");
    }
    bob.say(&message);
    let his = bob.wait_for("message_accepted");
    assert_eq!(his["payload"]["duplicate"], false);
    assert_ne!(his["run_id"], run);
    bob.until_ended(1);
    assert_eq!(server.figure("portcullis_runs_completed_total"), 2);
}
