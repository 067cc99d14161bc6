//! The program itself, as a process.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use portcullis_units::Clock;
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `found` gives something.
fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Clock::system().instant();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not in time");
        thread::yield_now();
    }
}

/// The process of that id, if it runs: its parent's id, and its command line.
fn process(id: u32) -> Option<(u32, String)> {
    let folder = Path::new("/proc").join(id.to_string());
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // Behind the name, which may hold anything: the state, and the parent.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    let line = fs::read_to_string(folder.join("cmdline")).ok()?;
    (state != "Z").then_some((parent, line))
}

fn child_of(parent: u32) -> Option<u32> {
    let ids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.into_iter().find(|id| process(*id).is_some_and(|(of, line)| of == parent && line.contains("floor")))
}

/// Ends with the test, also where that panics.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "processes are looked up in /proc")]
fn a_program_that_is_told_to_end_leaves_neither_server_nor_folder_behind() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let temporary = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_portcullis-bench");
        // `env` pins to no core, and the floor is a server that is there without another program.
        let mut bench = Command::new(program)
            .args([
                "measure",
                "--bin",
                program,
                "--pin",
                "env",
                "--rounds",
                "1000000",
                "--only",
                "floor_echo_128",
            ])
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Running)
            .unwrap();
        let server = eventually("the server", || child_of(bench.0.id()));
        kill_process(Pid::from_child(&bench.0), signal).unwrap();
        let status = bench.0.wait().unwrap();
        let left = process(server).is_some();
        if left {
            let _ = kill_process(Pid::from_raw(server.cast_signed()).unwrap(), Signal::KILL);
        }
        assert!(!left, "{signal:?} left the server behind");
        assert_eq!(status.code(), Some(128 + signal.as_raw()), "{signal:?}");
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "{signal:?} left the folder behind");
    }
}
