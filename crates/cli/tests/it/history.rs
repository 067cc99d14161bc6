//! `/api/v1/threads`: a user's own threads and their events, page by page, and what is left when they are deleted.

use portcullis_reason::Reason;
use portcullis_test::{Request, Response, Server};
use serde_json::{Value, json};

use crate::support::{assert_problem, events, question};

fn get(server: &Server, user: &str, target: &str) -> Response {
    server.ask(&Request::plain("GET", target).bearer(&server.token(user)))
}

fn delete(server: &Server, user: &str, target: &str) -> Response {
    server.ask(&Request::plain("DELETE", target).bearer(&server.token(user)))
}

/// Asks on each of these threads, and gives all events.
fn talk(server: &Server, user: &str, threads: &[&str]) -> Vec<Value> {
    let mut peer = server.live("/ws", user);
    let mut seen = Vec::new();
    for (number, thread) in threads.iter().enumerate() {
        peer.say(&question(&format!("m-{thread}-{number}"), thread, "What does close code 1006 mean?"));
        seen.extend(peer.until_ended(1));
    }
    events(&seen)
}

/// All pages of a list under `name`, with how many there were.
fn pages(server: &Server, user: &str, target: &str, name: &str) -> (Vec<Value>, usize) {
    let (mut all, mut cursor, mut count) = (Vec::new(), String::new(), 0);
    loop {
        let response = get(server, user, &format!("{target}{cursor}"));
        assert_eq!(response.status, 200, "{}", response.raw);
        assert_eq!(response.field("Cache-Control"), Some("no-store"));
        let page = response.json();
        all.extend(page[name].as_array().unwrap().iter().cloned());
        count += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", next.replace('%', "%25").replace(':', "%3A")),
            None => return (all, count),
        }
    }
}

#[test]
fn threads_and_events_come_page_by_page_and_are_there_after_a_crash() {
    let server = crate::server().start();
    let told = talk(&server, "ann", &["one", "two: ü/?&".replace(['ü', ' '], "x").as_str(), "three", "one"]);
    talk(&server, "bob", &["secret"]);
    let server = server.crash();
    let (threads, count) = pages(&server, "ann", "/api/v1/threads?limit=1", "threads");
    let names: Vec<_> = threads.iter().map(|thread| thread["thread_id"].as_str().unwrap()).collect();
    assert_eq!(
        (names.as_slice(), count),
        (["one", "three", "two:xx/?&"].as_slice(), 3),
        "the last that moved is first"
    );
    let one: Vec<&Value> = told.iter().filter(|event| event["thread_id"] == "one").collect();
    let last = one.last().unwrap();
    assert_eq!(
        (&threads[0]["epoch"], &threads[0]["last_seq"], &threads[0]["updated_at"], &threads[0]["last_event"]),
        (&last["epoch"], &last["seq"], &last["timestamp"], &json!("agent_completed"))
    );
    let preview = threads[0]["preview"].as_str().unwrap();
    assert!(preview.contains("1006") && preview.chars().count() <= 121, "{preview}");

    let (again, count) = pages(&server, "ann", "/api/v1/threads/one/events?limit=7", "events");
    assert_eq!(again.iter().collect::<Vec<_>>(), one, "the very same events");
    assert_eq!(count, one.len().div_ceil(7));
    let (escaped, _) = pages(&server, "ann", "/api/v1/threads/two%3Axx%2F%3F%26/events?limit=200", "events");
    assert!(!escaped.is_empty() && escaped.iter().all(|event| event["thread_id"] == "two:xx/?&"));
    let page = get(&server, "ann", "/api/v1/threads/one/events").json();
    assert_eq!(
        (&page["first_seq"], &page["last_seq"], &page["thread_id"]),
        (&json!(1), &last["seq"], &json!("one"))
    );
}

#[test]
fn a_thread_that_is_deleted_is_gone_from_every_place() {
    for store in ["disk", "memory"] {
        let mut server = crate::server().set("events.store", &format!("\"{store}\"")).start();
        talk(&server, "ann", &["gone", "stays"]);
        talk(&server, "bob", &["gone"]);
        assert_eq!(delete(&server, "ann", "/api/v1/threads/gone").status, 204);
        if store == "disk" {
            server = server.crash();
        }
        let (threads, _) = pages(&server, "ann", "/api/v1/threads?", "threads");
        assert_eq!(threads.len(), 1, "{threads:?}");
        assert_problem("its events", &get(&server, "ann", "/api/v1/threads/gone/events"), Reason::NotFound);
        assert_problem("a second time", &delete(&server, "ann", "/api/v1/threads/gone"), Reason::NotFound);
        let mut peer = server.live("/ws?resume=gone::0", "ann");
        assert_eq!(peer.wait_for("resume_gap")["payload"]["reason"], "unknown_thread");
        let (of_bob, _) = pages(&server, "bob", "/api/v1/threads?", "threads");
        assert_eq!(of_bob[0]["thread_id"], "gone", "another user's thread of that name is another thread");
        // The name can be used again, from the start.
        let anew = talk(&server, "ann", &["gone"]);
        assert_eq!(anew[0]["seq"], 1);
    }
}

#[test]
fn a_thread_in_which_something_goes_on_ends_first() {
    // The first run goes on until it is cancelled, and the others wait for it.
    let server = crate::server().set("dev.pace", "\"1h\"").start();
    let mut peer = server.live("/ws", "ann");
    for number in 0..6 {
        peer.say(&question(&format!("m-{number}"), "t", "What does 1006 mean?"));
        peer.wait_for("message_accepted");
    }
    assert_eq!(delete(&server, "ann", "/api/v1/threads/t").status, 204);
    // Whoever listens hears how the runs ended.
    let seen = peer.drain();
    assert!(seen.iter().any(|message| message["payload"]["error"]["reason"] == "RUN_CANCELLED"), "{seen:?}");
    let page = get(&server, "ann", "/api/v1/threads").json();
    assert_eq!(page["threads"], json!([]));
}

#[test]
fn who_asks_has_to_say_who_they_are_and_only_for_their_own() {
    let server = crate::server().set("gateway.allowed_origins", r#"["https://chat.example"]"#).start();
    talk(&server, "ann", &["t"]);
    for (method, target) in
        [("GET", "/api/v1/threads"), ("GET", "/api/v1/threads/t/events"), ("DELETE", "/api/v1/threads/t")]
    {
        let ask = |request: Request| server.ask(&request);
        let request = || Request::plain(method, target);
        let nobody = ask(request());
        assert_problem(target, &nobody, Reason::NoToken);
        assert_eq!(
            (nobody.status, nobody.field("WWW-Authenticate")),
            (401, Some("Bearer realm=\"portcullis\""))
        );
        assert_problem(target, &ask(request().bearer("a.b.c")), Reason::TokenMalformed);
        let token = server.token("ann");
        let foreign = ask(request().bearer(&token).field("Origin", "https://evil.example"));
        assert_problem(target, &foreign, Reason::OriginNotAllowed);
        assert!(!foreign.has("Access-Control-Allow-Origin"), "{}", foreign.raw);
        if target != "/api/v1/threads" {
            let other = ask(request().bearer(&server.token("bob")));
            assert_problem(target, &other, Reason::NotFound);
        }
    }
    let allowed = Request::plain("GET", "/api/v1/threads")
        .bearer(&server.token("ann"))
        .field("Origin", "https://chat.example");
    let response = server.ask(&allowed);
    assert_eq!(
        (response.status, response.field("Access-Control-Allow-Origin")),
        (200, Some("https://chat.example"))
    );
    let preflight =
        server.ask(&Request::plain("OPTIONS", "/api/v1/threads").field("Origin", "https://chat.example"));
    assert_eq!(
        (preflight.status, preflight.field("Access-Control-Allow-Origin")),
        (204, Some("https://chat.example"))
    );
    for target in [
        "/api/v1/threads?limit=0",
        "/api/v1/threads?limit=201",
        "/api/v1/threads?cursor=x",
        "/api/v1/threads/t/events?cursor=e",
    ] {
        assert_problem(target, &get(&server, "ann", target), Reason::BadRequest);
    }
    let other_life = get(&server, "ann", "/api/v1/threads/t/events?cursor=another:3");
    assert_problem("a cursor of another epoch", &other_life, Reason::BadRequest);
    assert_problem(
        "another method",
        &server.ask(&Request::plain("PUT", "/api/v1/threads")),
        Reason::MethodNotAllowed,
    );
}
