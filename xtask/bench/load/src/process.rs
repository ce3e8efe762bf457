//! What the kernel says about the server's process: CPU used and memory resident.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};

/// A process under measurement.
#[derive(Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

/// CPU of a process at one instant.
pub(crate) struct CpuReading {
    /// Nanoseconds on a CPU by thread.
    threads: HashMap<String, u64>,
    /// User and system time of the whole process, ended threads included, in 10 ms ticks.
    ticks: u64,
}

impl Process {
    /// CPU used so far, user and system.
    pub(crate) fn cpu(self) -> Result<CpuReading> {
        let tasks = format!("/proc/{}/task", self.0);
        let mut threads = HashMap::new();
        for entry in fs::read_dir(&tasks).with_context(|| format!("{tasks}: is the server gone?"))? {
            let entry = entry?;
            // A thread may end between the listing and the reading.
            if let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) {
                let ns = text.split(' ').next().unwrap_or_default().trim().parse()?;
                threads.insert(entry.file_name().to_string_lossy().into_owned(), ns);
            }
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The command in parentheses may hold spaces: fields are counted from behind it.
        let fields = stat.rsplit_once(')').context("malformed /proc stat")?.1;
        let mut times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let (user, system) = (times.next().context("no utime")??, times.next().context("no stime")??);
        Ok(CpuReading { threads, ticks: user + system })
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most that was resident since the process began, in bytes.
    pub(crate) fn peak(self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    fn memory(self, what: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find(|line| line.starts_with(what)).context("no such line in /proc status")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no size in /proc status")?.parse()?;
        Ok(kib * 1024)
    }
}

impl CpuReading {
    /// Microseconds of CPU from `self` to `later`.
    pub(crate) fn micros_until(&self, later: &Self) -> f64 {
        let ended = self.threads.keys().any(|thread| !later.threads.contains_key(thread));
        if ended {
            // The precise figures of an ended thread are lost; the ticks still hold them.
            return (later.ticks - self.ticks) as f64 * 10_000.0;
        }
        let sum = |reading: &Self| reading.threads.values().sum::<u64>();
        (sum(later) - sum(self)) as f64 / 1000.0
    }
}
