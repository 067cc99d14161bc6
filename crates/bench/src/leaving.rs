//! A program that is told to end leaves nothing behind: neither servers, which measure nothing any more and keep a core
//! busy, nor folders with keys.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, exit},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::signal::unix::{SignalKind, signal};

/// What would be left.
struct Open {
    servers: Vec<Pid>,
    folders: Vec<PathBuf>,
}

static OPEN: Mutex<Open> = Mutex::new(Open { servers: Vec::new(), folders: Vec::new() });

fn open() -> MutexGuard<'static, Open> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on SIGTERM, SIGINT and SIGHUP end the servers and remove the folders, and then the program.
pub(crate) fn watch() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let context = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    drop(context);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let received = runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => Signal::TERM,
                _ = interrupt.recv() => Signal::INT,
                _ = hang_up.recv() => Signal::HUP,
            }
        });
        // Held to the end, so that nothing is started any more.
        let open = open();
        for server in &open.servers {
            // It may have ended by itself.
            let _ = kill_process(*server, Signal::KILL);
            let _ = waitpid(Some(*server), WaitOptions::empty());
        }
        for folder in &open.folders {
            let _ = fs::remove_dir_all(folder);
        }
        exit(128 + received.as_raw());
    })?;
    Ok(())
}

/// Starts a server that must not outlive this program.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut open = open();
    let child = command.spawn()?;
    open.servers.push(Pid::from_child(&child));
    Ok(child)
}

/// A server has been told to end; its id may become another's once it was waited for.
pub(crate) fn ending(child: &Child) {
    open().servers.retain(|server| *server != Pid::from_child(child));
}

/// Does not return where the program was told to end: what failed then, failed since its servers are gone.
pub(crate) fn unless_told_to_end() {
    drop(open());
}

/// A folder must not outlive this program. It goes with its owner otherwise.
pub(crate) fn folder(path: &Path) {
    open().folders.push(path.to_owned());
}
