//! What the system says about processes: CPU time from the scheduler's statistics, resident memory, and
//! how many files may be open.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::Unable;

/// Descriptors that are not connections.
const OTHER_FILES: u64 = 32;

/// The server's process.
pub(crate) struct Process {
    folder: PathBuf,
}

/// Nanoseconds on a CPU, by thread.
pub(crate) struct Cpu(HashMap<u64, u64>);

impl Process {
    /// # Errors
    /// If there is none with this id, or its statistics cannot be read.
    pub(crate) fn new(id: u32) -> Result<Self, Unable> {
        let process = Self { folder: format!("/proc/{id}").into() };
        process.resident()?;
        process.cpu()?;
        Ok(process)
    }

    /// Bytes of memory that it has.
    pub(crate) fn resident(&self) -> Result<u64, Unable> {
        let path = self.folder.join("status");
        let status = fs::read_to_string(&path).map_err(|error| self.unreadable(&error))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        Ok(kib.ok_or_else(|| self.unreadable(&"no VmRSS"))? * 1_024)
    }

    /// How long its threads have been on a CPU.
    pub(crate) fn cpu(&self) -> Result<Cpu, Unable> {
        let threads =
            fs::read_dir(self.folder.join("task")).map_err(|error| self.unreadable(&error))?;
        let mut times = HashMap::new();
        for thread in threads {
            let thread = thread.map_err(|error| self.unreadable(&error))?;
            let id = thread.file_name().to_str().and_then(|id| id.parse().ok());
            // A thread may end between being listed and being read.
            let Ok(statistics) = fs::read_to_string(thread.path().join("schedstat")) else {
                continue;
            };
            let time = statistics.split(' ').next().and_then(|time| time.parse().ok());
            if let (Some(id), Some(time)) = (id, time) {
                times.insert(id, time);
            }
        }
        if times.is_empty() {
            return Err(self.unreadable(&"no scheduler statistics (CONFIG_SCHED_INFO)"));
        }
        Ok(Cpu(times))
    }

    fn unreadable(&self, cause: &dyn std::fmt::Display) -> Unable {
        let folder = self.folder.display();
        Unable(format!(
            "can't read {folder}: {cause}. Is --server-pid the server's process, and is it running?"
        ))
    }
}

impl Cpu {
    /// Seconds since an earlier reading. What a thread did that has ended since then is not known.
    pub(crate) fn since(&self, earlier: &Self) -> f64 {
        let spent = |(id, time): (&u64, &u64)| {
            time.saturating_sub(earlier.0.get(id).copied().unwrap_or_default())
        };
        self.0.iter().map(spent).sum::<u64>() as f64 / 1e9
    }
}

/// Seconds that this process has been on a CPU.
pub(crate) fn own_cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Takes as many file descriptors as this process may have.
///
/// # Errors
/// If they are too few for so many connections.
pub(crate) fn allow_files(connections: usize) -> Result<(), Unable> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| Unable(format!("can't raise the number of open files: {error}")))?;
    match limit.maximum {
        Some(most) if most < connections as u64 + OTHER_FILES => Err(Unable(format!(
            "{connections} connections need {} file descriptors, but this process may have {most}: \
             raise the hard limit (`ulimit -Hn`, LimitNOFILE=, /etc/security/limits.conf), or take \
             fewer connections",
            connections as u64 + OTHER_FILES
        ))),
        _ => Ok(()),
    }
}
