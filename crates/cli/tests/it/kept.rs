//! What is written down of users' words is what the configuration says of the agent that they speak to.

use std::{fs, path::Path};

use portcullis_log::{Durability, EventLog as _, Limits, Repeat};
use portcullis_log_fjall::{Embedded, Options};
use serde_json::{Value, json};

use crate::{durable::whole, support::question};

const AGENTS: &str = r#"[
    { name = "all", kind = "doctor", keeps = "all" },
    { name = "redacted", kind = "doctor" },
    { name = "nothing", kind = "doctor", keeps = "nothing" },
]"#;

/// Words that the doctor says of nobody, and a credential.
const WORDS: &str = "Zanzibar";
const SECRET: &str = "Hunter2-Hunter2";

#[test]
fn each_agent_keeps_what_is_configured() {
    // The agents have begun and told nothing when the server is cut off.
    let server = crate::server().set("agents", &AGENTS.replace('\n', " ")).set("dev.pace", "\"1h\"").start();
    for keeps in ["all", "redacted", "nothing"] {
        let mut peer = server.live("/ws", keeps);
        for (id, content) in [
            ("plain", format!("What does 1006 mean in {WORDS}?")),
            ("secret", format!("my password is {SECRET}")),
        ] {
            let mut message = question(id, keeps, &content);
            message["payload"]["agent"] = json!(keeps);
            peer.say(&message);
            // What everybody may see is recorded.
            while peer.json()["type"] != "user_message" {}
        }
    }
    server.kill();
    assert_eq!(server.exit_code(), None, "it is gone, and its files are free");
    let folder = server.data_dir();
    let recorded = recorded(&folder.join("events"));
    for (keeps, words, secret) in [("all", true, true), ("redacted", true, false), ("nothing", false, false)]
    {
        let (_, text) = recorded.iter().find(|(thread, _)| thread == keeps).unwrap();
        assert_eq!((text.contains(WORDS), text.contains(SECRET)), (words, secret), "{keeps}: {text}");
    }
    // The record is sealed, and nothing else has any of it.
    for file in files(&folder) {
        let text = String::from_utf8_lossy(&file).into_owned();
        assert!(!text.contains(WORDS) && !text.contains(SECRET));
    }
    let server = server.restart();
    for (keeps, expected) in [("all", json!(format!("my password is {SECRET}"))), ("nothing", Value::Null)] {
        let said: Vec<_> = whole(&server, keeps, keeps)
            .1
            .into_iter()
            .filter(|event| event["type"] == "user_message")
            .collect();
        assert_eq!(said.last().unwrap()["payload"]["content"], expected, "{keeps}");
    }
}

/// What the record of a server that was cut off says of each thread: its events, and the questions of its runs.
fn recorded(folder: &Path) -> Vec<(String, String)> {
    let limits =
        Limits { events: 1_000, bytes: 1 << 20, threads: 256, owner_bytes: u64::MAX, all_bytes: u64::MAX };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let log = Embedded::open(folder, Options::new(Durability::Os, limits)).unwrap();
    runtime.block_on(async {
        let mut recorded = Vec::new();
        let owners = log.unfinished().await.unwrap();
        assert_eq!(owners.len(), 3, "each has runs that were cut off");
        for owner in owners {
            let record = log.open(owner).await.unwrap();
            for thread in record.threads(None, 10).await.unwrap() {
                let id = thread.place.thread_id;
                let page = record.read(&id, 0, usize::MAX).await.unwrap().unwrap();
                let mut text: String =
                    page.events.iter().map(|event| String::from_utf8_lossy(event).into_owned()).collect();
                for open in record.open_runs().await.unwrap() {
                    if let Repeat::Once(question) = open.repeat {
                        text.push_str(&question.content);
                    }
                }
                recorded.push((id.as_str().to_owned(), text));
            }
        }
        recorded
    })
}

/// Whatever lies in a folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![fs::read(path).unwrap()] })
        .collect()
}
