//! `portcullis bench` against this very server: the real binary on both sides.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    process::{Command, Stdio},
};

use portcullis_test::Server;
use serde_json::Value;

/// What a run of the command gave.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

fn command(server: &Server, path: &str, args: &[&str]) -> Command {
    lasting(server, path, "500ms", args)
}

fn lasting(server: &Server, path: &str, duration: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["bench", &format!("ws://{}{path}", server.gateway())]);
    command.args(["--duration", duration, "--warm-up", "0s", "--concurrency", "4", "--connections", "50"]);
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn bench(server: &Server, path: &str, args: &[&str]) -> Ran {
    // Each makes tokens with the server's own secret.
    let secret = server.config().with_file_name("secret.key");
    let minting = ["--secret-file", secret.to_str().unwrap(), "--kid", "test"];
    let output = command(server, path, args).args(minting).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn kinds(measured: &Value) -> BTreeMap<String, u64> {
    let errors = measured["errors"].as_array().unwrap().iter();
    errors
        .map(|error| {
            (error["reason"].as_str().unwrap_or_default().to_owned(), error["count"].as_u64().unwrap())
        })
        .collect()
}

#[test]
fn every_scenario_runs_against_our_own_gateway() {
    let server = crate::server().start();
    let pid = server.pid().to_string();
    let ran = bench(&server, "/ws", &["--profile", "portcullis", "--pid", &pid, "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let report = ran.json();
    let measured = report["measured"].as_array().unwrap();
    let scenarios: Vec<&str> = measured.iter().map(|one| one["scenario"].as_str().unwrap()).collect();
    assert_eq!(scenarios, ["handshake", "refusal", "mixed", "messages", "hold"]);
    for one in measured {
        assert_eq!(one["failed"], 0, "{one}");
        assert!(one["succeeded"].as_u64().unwrap() > 0, "{one}");
        assert!(one["server_cpu"]["us_per_operation"].as_f64().unwrap() > 0.0, "{one}");
    }
    let steps = |index: usize| -> Vec<&str> {
        let steps = measured[index]["latencies"].as_array().unwrap().iter();
        steps.map(|step| step["step"].as_str().unwrap()).collect()
    };
    assert_eq!(steps(0), ["handshake", "connected", "greeting"]);
    assert_eq!(steps(1), ["refusal"]);
    assert_eq!(steps(3), ["completed", "accepted", "first event"]);
    assert_eq!(measured[4]["hold"]["kept"], 50);
    assert!(measured[4]["hold"]["memory"]["held_resident"].as_u64().unwrap() > 1 << 20);
    // What the client counted as refused, the server counted as refused.
    let refusal = measured[1]["succeeded"].as_u64().unwrap();
    assert!(server.figure("portcullis_handshakes_total{outcome=\"refused\"}") >= refusal);
    // No token and no secret stands in what is printed.
    let secret = fs::read_to_string(server.config().with_file_name("secret.key")).unwrap();
    assert!(!ran.stdout.contains(&secret) && !ran.stdout.contains("eyJ"));
}

#[test]
fn a_storm_finds_everybody_back_after_a_restart() {
    let server = crate::server().start();
    // The command tells this test, which stops the server and starts it again at the same address.
    let sign = server.config().with_file_name("restart");
    let gateway = server.gateway();
    let wait = format!("touch {0}.asked; while [ ! -e {0} ]; do sleep 0.05; done", sign.display());
    let secret = server.config().with_file_name("secret.key");
    let mut child =
        command(&server, "/ws", &["--scenario", "storm", "--restart-command", &wait, "--format", "json"])
            .args(["--secret-file", secret.to_str().unwrap(), "--kid", "test"])
            .spawn()
            .unwrap();
    let asked = sign.with_file_name("restart.asked");
    crate::support::eventually("the storm begins", || {
        std::thread::yield_now();
        asked.exists()
    });
    let server = server.restart_at(gateway);
    fs::write(&sign, "").unwrap();
    let status = child.wait().unwrap();
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(status.success(), "{printed}");
    let report: Value = serde_json::from_str(&printed).unwrap();
    let measured = &report["measured"][0];
    let storm = &measured["storm"];
    assert_eq!(
        (&storm["connections"], &storm["lost"], &storm["back"]),
        (&50.into(), &50.into(), &50.into()),
        "{measured}"
    );
    assert!(storm["all_back_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(measured["latencies"][0]["count"], 50);
    // The server drained, and told so by close frames; what it did not come to in time was lost with it.
    let losses = storm["losses"].as_array().unwrap();
    assert!(losses.iter().any(|loss| loss["kind"] == "closed"), "{storm}");
    assert_eq!(losses.iter().map(|loss| loss["count"].as_u64().unwrap()).sum::<u64>(), 50, "{storm}");
    assert!(server.figure("portcullis_handshakes_total{outcome=\"accepted\"}") >= 50);
}

#[test]
fn two_servers_are_compared_and_thresholds_kept() {
    let a = crate::server().set("dev.echo", "true").start();
    let b = crate::server().set("dev.echo", "true").start();
    let url = format!("ws://{}/ws/echo", b.gateway());
    let args =
        ["--scenario", "messages", "--vs", &url, "--slice", "100ms", "--max-p99", "1h", "--max-errors", "0"];
    let ran = bench(&a, "/ws/echo", &[&args[..], &["--format", "json"]].concat());
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let report = ran.json();
    let ratio = &report["comparison"][0];
    assert_eq!(&ratio["figure"], "p50");
    let of = |name: &str| ratio[name].as_f64().unwrap();
    assert!(of("low") <= of("ratio") && of("ratio") <= of("high"), "{ratio}");

    let ran = bench(&a, "/ws/echo", &["--scenario", "messages", "--max-p99", "0s"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("is over the limit of"), "{}", ran.stdout);

    let ran = bench(&a, "/ws/echo", &["--scenario", "messages", "--format", "html"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.starts_with("<!doctype html>") && ran.stdout.contains("<polyline"));
}

#[test]
fn limits_of_the_server_are_told_by_their_reason() {
    let server = crate::server().set("limits.connections_per_user", "3").start();
    let ran = bench(&server, "/ws", &["--scenario", "hold", "--users", "1", "--format", "json"]);
    let measured = &ran.json()["measured"][0];
    assert_eq!(measured["hold"]["opened"], 3, "{measured}");
    assert_eq!(kinds(measured), BTreeMap::from([("TOO_MANY_CONNECTIONS".to_owned(), 47)]));
    assert_eq!(measured["errors"][0]["status"], 429);
    let ran = bench(&server, "/ws", &["--scenario", "hold", "--users", "1"]);
    assert!(ran.stdout.contains("the server's limits were measured:"), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_measured_ends_with_its_own_code() {
    let server = crate::server().start();
    let ran = |args: &[&str]| {
        let output = command(&server, "/ws", args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = ran(&["--scenario", "handshake"]);
    assert_eq!(code, Some(3));
    assert!(message.contains("refused 401: NO_TOKEN") && message.contains("--secret"), "{message}");
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["bench", "ws://192.0.2.1/ws"])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--yes"));
    for args in [
        &["--scenario", "hold", "--vs", "ws://127.0.0.1:1/"][..],
        &["--format", "junit"],
        &["--header", "no colon"],
        &["--timeout", "0s"],
        &["--token", "a", "--secret", "b"],
        &["--max-errors", "200%"],
        &["--claim", "a=b"],
    ] {
        let (code, message) = ran(args);
        assert_eq!(code, Some(2), "{args:?}: {message}");
    }
}

#[test]
fn an_interrupt_prints_what_was_measured() {
    use rustix::process::{Pid, Signal, kill_process};
    let server = crate::server().set("dev.echo", "true").start();
    let secret = server.config().with_file_name("secret.key");
    let args = [
        "--scenario",
        "messages",
        "--format",
        "json",
        "--secret-file",
        secret.to_str().unwrap(),
        "--kid",
        "test",
    ];
    let child = lasting(&server, "/ws/echo", "1h", &args).spawn().unwrap();
    crate::support::eventually("connections of the bench", || {
        server.figure("portcullis_handshakes_total{outcome=\"accepted\"}") >= 5
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["interrupted"], true);
    assert_eq!(report["measured"][0]["scenario"], "messages");
}

#[test]
fn tokens_come_from_where_they_are_and_go_where_they_belong() {
    let server = crate::server().start();
    let file = server.config().with_file_name("tokens");
    fs::write(&file, format!("{}\n\n{}\n", server.token("ann"), server.token("bob"))).unwrap();
    let file = file.to_str().unwrap();
    let printing = format!("cat {file}");
    let token = server.token("ann");
    let json = |args: &[&str]| {
        let output =
            command(&server, "/ws", args).args(["--scenario", "hold", "--format", "json"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default(), stderr)
    };
    for (args, told) in [
        (&["--token-file", file][..], "2 tokens in turns"),
        (&["--token-file", file, "--form", "bearer"], "2 tokens in turns"),
        (&["--token-command", &printing], "2 tokens in turns"),
        (&["--token", &token, "--protocol", "portcullis.v1"], "one token for all"),
    ] {
        let (code, report, stderr) = json(args);
        assert_eq!(code, Some(0), "{args:?}: {stderr}");
        assert_eq!(report["servers"][0]["credentials"], told);
        assert!(!report.to_string().contains(&token));
        assert!(report["measured"][0]["hold"]["kept"].as_u64().unwrap() > 0, "{report}");
    }
    // The gateway recognises these and does not take them.
    for (form, reason) in
        [("two-element", "PROTOCOL_MISMATCH"), ("query", "NO_TOKEN"), ("cookie", "NO_TOKEN")]
    {
        let (code, _, stderr) = json(&["--token", &token, "--form", form]);
        assert_eq!(code, Some(3), "{form}: {stderr}");
        assert!(stderr.contains(reason) && !stderr.contains(&token), "{form}: {stderr}");
    }
    let (code, _, stderr) = json(&["--token-command", "exit 3"]);
    assert!(code == Some(3) && stderr.contains("--token-command failed"), "{stderr}");
    let (code, _, stderr) = json(&["--token-file", "/nowhere"]);
    assert!(code == Some(3) && stderr.contains("/nowhere"), "{stderr}");
}
