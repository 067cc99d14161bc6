//! `check` without a server: what it lists, and how it says that there is nothing to test.

use crate::Place;

#[test]
fn the_list_can_be_narrowed() {
    let place = Place::new();
    let all = place.run(&["check", "--list", "--format", "json"]).ended(0).json();
    let ids = |list: &serde_json::Value| {
        let cases = list.as_array().unwrap().iter();
        cases.map(|case| case["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(ids(&all).len() > 80, "{}", ids(&all).len());
    assert!(!ids(&all).contains(&"rule/silence".to_owned()), "slow cases have to be asked for");
    let with =
        place.run(&["check", "--list", "--format", "json", "--silence", "1s", "--flood"]).ended(0).json();
    assert_eq!(ids(&with).len(), ids(&all).len() + 3);
    let origins = place.run(&["check", "--list", "--only", "O", "--skip", "rfc6455/"]).ended(0).stdout;
    assert!(
        origins.lines().count() > 2 && origins.lines().all(|line| line.starts_with("O rule/")),
        "{origins}"
    );
    let phase = place.run(&["check", "--list", "--phase", "performance"]).ended(0).stdout;
    assert!(phase.lines().all(|line| line.starts_with("P ")), "{phase}");
}

/// A server that is not there is no finding: the exit code tells them apart.
#[test]
fn a_server_that_is_not_there_exits_with_3() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let ran = Place::new().run(&["check", &format!("ws://{address}/ws")]).ended(3);
    assert!(ran.stderr.contains("the server could not be tested"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_host_that_is_not_this_machine_needs_a_yes() {
    let ran = Place::new().run(&["check", "wss://chat.example/ws"]).ended(2);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
}

#[test]
fn what_is_given_is_read_before_anything_is_sent() {
    let place = Place::new();
    place
        .write("profile.toml", "name = \"x\"\nqestion = \"y\"\n")
        .write("key.pem", "no key")
        .write("old.json", "{}");
    for (arguments, word) in [
        (&["--profile", "profile.toml"][..], "qestion"),
        (&["--profile", "portculis"], "portcullis"),
        (&["--key", "key.pem"], "PKCS#8"),
        (&["--baseline", "old.json"], "baseline"),
        (&["--token-file", "no-such-file"], "no-such-file"),
        (&["--token", "a b"], "white space"),
        (&["--token-command", "exit 3"], "token command"),
        (&["--claim", "nothing"], "--claim name=value"),
        (&["--alg", "RS256", "--secret", "x"], "HS256"),
        (&["--framework", "rails"], "fastapi"),
    ] {
        let mut all = vec!["check", "ws://127.0.0.1:1/ws"];
        all.extend(arguments);
        let ran = place.run(&all);
        assert!(ran.code == 2 || ran.code == 3, "{}", ran.report());
        assert!(ran.stderr.contains(word), "{arguments:?}: {}", ran.report());
        assert!(ran.stderr.matches(" at line ").count() <= 1, "said once: {}", ran.report());
    }
}
