//! What the system knows of a process: the CPU time of all its threads, and its memory. Linux alone tells.

use std::{fs, time::Duration};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// CPU time that all threads of a process have used so far, user and system, to the nanosecond.
///
/// Threads that ended are not in it.
///
/// # Errors
/// If there is no such process, or the system does not tell.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| untold(pid))? {
        let path = task?.path().join("schedstat");
        // A thread that ended in between.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let ran: u64 = text.split(' ').next().unwrap_or_default().parse().context("an odd schedstat")?;
        total += ran;
    }
    Ok(Duration::from_nanos(total))
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Resident, with what it shares with nobody else (the program's own pages).
    pub resident: u64,
    /// Written by the process and by nobody else: heap and stacks.
    pub dirty: u64,
}

/// Reads the memory of a process, which holds nothing of the kernel's: from `smaps_rollup`, or from `status` where the
/// system does not let us read that one, and then what is anonymous counts as dirty.
///
/// # Errors
/// If there is no such process, or the system does not tell.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
        return read_memory(&text, "Rss:", "Private_Dirty:");
    }
    let text = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| untold(pid))?;
    read_memory(&text, "VmRSS:", "RssAnon:")
}

fn read_memory(text: &str, resident: &str, dirty: &str) -> anyhow::Result<Memory> {
    let kibibytes = |name: &str| -> anyhow::Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.with_context(|| format!("the system does not tell {name}"))?;
        Ok(1024 * line.trim().trim_end_matches(" kB").parse::<u64>()?)
    };
    Ok(Memory { resident: kibibytes(resident)?, dirty: kibibytes(dirty)? })
}

/// Lets this process have as many sockets as the system allows, and tells how many that is.
///
/// # Errors
/// If the system does not let it.
pub fn raise_file_limit() -> anyhow::Result<u64> {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    Ok(most.unwrap_or(u64::MAX))
}

fn untold(pid: u32) -> String {
    if cfg!(target_os = "linux") {
        format!("process {pid} is gone, or belongs to another user")
    } else {
        "only Linux tells the memory and the CPU time of another process (/proc)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read() {
        let rollup =
            "5581-7ffd ---p 0 00:00 0 [rollup]\nRss:      5192 kB\nPss: 1 kB\nPrivate_Dirty:     420 kB\n";
        let status = "Name:\tx\nVmRSS:\t    5192 kB\nRssAnon:\t     420 kB\n";
        let expected = Memory { resident: 5192 << 10, dirty: 420 << 10 };
        assert_eq!(read_memory(rollup, "Rss:", "Private_Dirty:").unwrap(), expected);
        assert_eq!(read_memory(status, "VmRSS:", "RssAnon:").unwrap(), expected);
        assert!(read_memory(status, "Rss:", "RssAnon:").is_err());
    }

    #[test]
    fn this_process_is_known_and_one_that_is_not_there_is_not() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let me = std::process::id();
        assert!(memory(me).unwrap().resident > memory(me).unwrap().dirty / 2);
        assert!(cpu_time(me).is_ok());
        // Beyond the most that a pid can be.
        assert!(memory(1 << 23).unwrap_err().to_string().contains("is gone"));
    }
}
