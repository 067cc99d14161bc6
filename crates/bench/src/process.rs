//! What the system knows of a process: the CPU time of all its threads, and its memory.

use std::{fs, time::Duration};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// CPU time that all threads of a process have used so far, user and system, to the nanosecond.
///
/// Threads that ended are not in it; the server's live as long as it does.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the server is gone")? {
        let path = task?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let ran: u64 = text.split(' ').next().unwrap_or_default().parse().context("an odd schedstat")?;
        total += ran;
    }
    Ok(Duration::from_nanos(total))
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident, with what it shares with nobody else (the program's own pages).
    pub(crate) resident: u64,
    /// Written by the process and by nobody else: heap and stacks.
    pub(crate) dirty: u64,
}

/// Reads the memory of a process (`smaps_rollup`), which holds nothing of the kernel's.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("the server is gone")?;
    let kibibytes = |name: &str| -> anyhow::Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).context("an odd smaps_rollup")?;
        Ok(1024 * line.trim().trim_end_matches(" kB").parse::<u64>()?)
    };
    Ok(Memory { resident: kibibytes("Rss:")?, dirty: kibibytes("Private_Dirty:")? })
}

/// Lets this process have as many sockets as the system allows.
pub(crate) fn raise_file_limit() -> anyhow::Result<u64> {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    Ok(most.unwrap_or(u64::MAX))
}
