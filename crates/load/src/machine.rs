//! The machine that a figure comes from.

use std::{fmt, fs};

use serde::Serialize;

/// What a reader of a figure needs to know of the machine. Unknown parts say so.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many cores there are.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Tasks that ran or wanted to, on average over the minute before: a quiet machine has nearly none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_average: Option<f64>,
}

impl Machine {
    /// Asks the system.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        // Not those alone that this process may use.
        let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
        let or_unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
        Self {
            cpu: or_unknown(model.map_or("", |(_, name)| name)),
            cores: if cores > 0 {
                cores
            } else {
                std::thread::available_parallelism().map_or(1, usize::from)
            },
            kernel: or_unknown(read("/proc/sys/kernel/osrelease").trim()),
            load_average: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, kernel, load_average } = self;
        write!(f, "{cpu}, {cores} cores, kernel {kernel}")?;
        load_average.map_or(Ok(()), |load| write!(f, ", load {load:.1} before"))
    }
}
