//! Disks that fail under the real server: it says so, and never takes back what it acknowledged.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, ChildStderr, Command, Stdio},
};

use portcullis_reason::Reason;
use portcullis_test::{Builder, Peer, Request, Server, frame::Message, is_terminal};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    durable::{ask, whole},
    support::{assert_problem, events, eventually, question},
};

/// A disk of its own, in a file, that can be made to fail; none where that may not be had.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(disk.root()).unwrap();
        fs::File::create(disk.image()).unwrap().set_len(128 << 20).unwrap();
        let made = run(Command::new("mkfs.ext4").arg("-q").arg(disk.image())) && disk.mount();
        made.then_some(disk)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn mount(&self) -> bool {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.root()))
    }

    fn remount(&self, option: &str) {
        assert!(run(Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(self.root())));
    }

    /// Takes it out and puts it in again, which mends what `abort` broke. Nobody may use it then.
    fn replace(&self) {
        assert!(run(Command::new("umount").arg(self.root())) && self.mount());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(Command::new("umount").arg(self.root()));
    }
}

/// Whether a command can be had and did what it was told.
fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// System calls of a process that fail from now on: a debugger answers them in the kernel's place.
struct Failing {
    strace: Child,
    /// What it says, which it must be able to.
    _said: BufReader<ChildStderr>,
}

impl Failing {
    /// `scripts/setup.sh test` installs the debugger.
    fn inject(server: &Server, calls: &str, error: &str) -> Self {
        let pid = server.pid().to_string();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-p", &pid, "-o", "/dev/null", "-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={calls}:error={error}")]);
        let mut strace =
            strace.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("strace is installed");
        let mut said = BufReader::new(strace.stderr.take().expect("a pipe"));
        let mut line = String::new();
        // From here on every thread's calls are answered.
        while said.read_line(&mut line).is_ok_and(|read| read > 0) {
            if line.contains(" attached") {
                return Self { strace, _said: said };
            }
        }
        let _ = strace.wait();
        panic!("strace may not look into another process: {line}");
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        // Asked, it lets go of the process and ends.
        let _ = kill_process(Pid::from_child(&self.strace), Signal::TERM);
        let _ = self.strace.wait();
    }
}

/// A thread with an answer that is whole, and one that has begun: what a client has of it.
fn begin(server: &Server) -> (Peer, Vec<Value>) {
    let mut peer = server.live("/ws", "ann");
    let mut seen = ask(&mut peer, "whole", "t");
    peer.say(&question("cut-off", "t", "Why does my browser only say 1006? And what is NO_TOKEN?"));
    seen.extend(peer.until("tool_executing"));
    (peer, seen)
}

/// Asserts that the server has noticed: nothing is acknowledged any more, readiness is off, and whoever comes is told so.
fn assert_failed(server: &Server, peer: &mut Peer, seen: &mut Vec<Value>) {
    peer.try_say(&question("late", "t", "What does 1008 mean?"));
    let close = loop {
        match peer.message() {
            Message::Text(text) => seen.push(serde_json::from_str(&text).unwrap()),
            Message::Close(close) => break close.expect("it says why"),
            _ => {}
        }
    };
    assert!(close.reason.starts_with("NOT_READY"), "{close:?}");
    let late = |message: &&Value| message["payload"]["message_id"] == "late";
    assert_eq!(seen.iter().find(late), None, "it is not accepted");
    let terminal = seen.iter().filter(|message| is_terminal(message)).count();
    assert_eq!(terminal, 1, "the run goes to no end that is not recorded: {seen:#?}");
    assert_not_ready(server);
    server.log().line(&["events cannot be recorded"]);
    assert!(server.figure("portcullis_record_failures_total") > 0);
}

fn assert_not_ready(server: &Server) {
    let health = server.ask(&Request::plain("GET", "/ws/health"));
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("not ready")), "{}", health.raw);
    let refused = server.ask(&Request::upgrade("/ws").bearer(&server.token("ann")));
    assert_problem("a failed record", &refused, Reason::NotReady);
}

/// Asserts that the next start has everything that was seen, ends what was accepted, and goes on.
fn assert_whole(server: &Server, seen: &[Value]) {
    let seen = events(seen);
    let mut stream = Vec::new();
    eventually("what was cut off ends", || {
        stream = whole(server, "ann", "t").1;
        stream.iter().filter(|event| is_terminal(event)).count() >= 2
            && stream.last().is_some_and(is_terminal)
    });
    assert_eq!(stream[..seen.len()], seen[..], "what was seen is there");
    assert!(
        stream.iter().filter(|it| is_terminal(it)).all(|it| it["type"] == "agent_completed"),
        "{stream:#?}"
    );
    ask(&mut server.live("/ws", "ann"), "after", "t");
}

/// Slow enough to be in the middle of an answer.
fn server() -> Builder {
    crate::server().set("dev.pace", "\"40ms\"")
}

#[test]
fn a_sync_that_fails_is_told_and_takes_back_nothing() {
    assert_syncs_may_fail("EIO");
}

fn assert_syncs_may_fail(error: &str) {
    let server = server().start();
    let (mut peer, mut seen) = begin(&server);
    let failing = Failing::inject(&server, "fsync,fdatasync", error);
    assert_failed(&server, &mut peer, &mut seen);
    // A device that says afterwards that all is well is not believed.
    drop(failing);
    assert_not_ready(&server);
    let server = server.crash();
    assert_whole(&server, &seen);
}

#[test]
fn a_disk_that_becomes_read_only_is_told_and_takes_back_nothing() {
    let Some(disk) = Disk::new() else {
        // A disk can be made by root alone; for others its answer is.
        return assert_syncs_may_fail("EROFS");
    };
    let server = server().data_in(&disk.root().join("data")).start();
    let (mut peer, mut seen) = begin(&server);
    // As after an error of the device.
    disk.remount("abort");
    assert_failed(&server, &mut peer, &mut seen);
    server.kill();
    server.exit_code();
    disk.replace();
    assert_whole(&server.restart(), &seen);
}

/// Trying again does not help, and a supervisor is told so.
#[test]
fn a_record_that_is_damaged_for_good_ends_the_server_with_a_code_of_its_own() {
    let server = server().start();
    let (mut peer, mut seen) = begin(&server);
    let version = server.data_dir().join("events/tables/version");
    let aside = server.data_dir().join("aside");
    fs::rename(&version, &aside).unwrap();
    let failing = Failing::inject(&server, "fsync,fdatasync", "EIO");
    assert_failed(&server, &mut peer, &mut seen);
    drop(failing);
    server.log().line(&["opening it again did not help", "tables/version is gone"]);
    assert_eq!(server.exit_code(), Some(4));
    fs::rename(&aside, &version).unwrap();
    assert_whole(&server.restart(), &seen);
}

#[test]
fn a_read_only_data_directory_stops_the_start_and_says_what_to_do() {
    let disk = Disk::new();
    let folder = tempfile::tempdir().unwrap();
    let root = disk.as_ref().map_or_else(|| folder.path().to_owned(), Disk::root);
    let server = crate::server().data_in(&root.join("data")).start();
    let told = events(&ask(&mut server.live("/ws", "ann"), "m", "t"));
    server.terminate();
    server.exit_code();
    let set_read_only = |read_only: bool| {
        if let Some(disk) = &disk {
            return disk.remount(if read_only { "ro" } else { "rw" });
        }
        // Others than root are stopped by its mode.
        let mode = fs::Permissions::from_mode(if read_only { 0o500 } else { 0o700 });
        fs::set_permissions(root.join("data"), mode).unwrap();
    };
    set_read_only(true);
    let anywhere = "127.0.0.1:0";
    let start = ["serve", "--listen", anywhere, "--auth-listen", anywhere, "--admin-listen", anywhere];
    let (code, text) = server.command(&start, "");
    assert_eq!(code, 3, "{text}");
    let data = server.data_dir().display().to_string();
    for part in ["cannot write to the data directory", &data, "make it writable", "--data-dir"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    set_read_only(false);
    let server = server.restart();
    assert_eq!(whole(&server, "ann", "t").1, told);
}
