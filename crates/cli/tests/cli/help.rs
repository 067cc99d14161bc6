use crate::Place;

#[test]
fn help_of_every_command() {
    let place = Place::new();
    let mut pages = Vec::new();
    for command in [
        "",
        "serve",
        "check",
        "bench",
        "explain",
        "diagnose",
        "token",
        "token mint",
        "token inspect",
        "token verify",
        "config",
        "config check",
        "config show",
        "config schema",
        "users",
        "users add",
        "users list",
        "users passwd",
        "users disable",
        "users enable",
    ] {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let ran = place.run(&args).ended(0);
        pages.push(format!("$ portcullis {}\n{}", args.join(" "), ran.stdout));
    }
    insta::assert_snapshot!(pages.join("\n"));
}

#[test]
fn usage_errors_exit_with_2() {
    let place = Place::new();
    for args in [
        &[][..],
        &["no-such-command"],
        &["explain"],
        &["explain", "NO_TOKEN", "--list"],
        &["explain", "NO_TOKEN", "--format", "xml"],
        &["token", "mint"],
        &["token", "mint", "--sub", "a", "--ttl", "soon"],
        &["token", "mint", "--sub", "a", "--claim", "nothing"],
        &["users", "add"],
        &["users", "add", "ada", "--password-stdin", "--generate"],
        &["users", "add", "ada"],
        &["serve", "--listen", "here"],
        &["check"],
        &["check", "example.org"],
        &["check", "ws://chat.example/ws"],
        &["check", "ws://127.0.0.1:1/", "--only", "Z"],
        &["check", "ws://127.0.0.1:1/", "--form", "basic"],
        &["check", "ws://127.0.0.1:1/", "--profile", "portculis"],
        &["check", "ws://127.0.0.1:1/", "--secret", "a", "--key", "b"],
        &["config", "show", "--format", "sarif"],
    ] {
        let ran = place.run(args).ended(2);
        assert_eq!(ran.stdout, "", "{args:?}");
        assert!(!ran.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["token", "inspect"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It prints only when its input has ended: by then nobody reads.
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"x").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
