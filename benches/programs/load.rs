//! A run of the load tool, and what is used of what it reports.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use super::{Program, SECRET};
use crate::Outcome;

/// So much longer than it measures a run may take, to start and to connect.
const PATIENCE: Duration = Duration::from_secs(120);
/// So often it is asked what there is to see while it runs.
const LOOK: Duration = Duration::from_millis(250);

/// A run against a server on this machine.
pub struct Load {
    command: Command,
    folder: TempDir,
}

/// What the load tool reports.
#[derive(Debug, Deserialize)]
pub struct Loaded {
    /// How many messages were sent.
    pub messages: f64,
    /// In how many seconds.
    pub seconds: f64,
    /// How many arrived, counted once for each member.
    pub deliveries_per_s: f64,
    /// From the sending to each delivery; not there if nothing was delivered.
    pub latency_us: Option<Latency>,
    /// The same in the rooms beside.
    pub beside: Option<Latency>,
    /// How long it took until all had joined.
    pub connect_s: f64,
    /// The server's process.
    pub server: Option<Process>,
    /// Its memory after each round of connections.
    #[serde(default)]
    pub churn_rss_bytes: Vec<f64>,
}

/// In microseconds.
#[derive(Debug, Deserialize)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50: f64,
    /// All but one in a hundred took no longer.
    pub p99: f64,
}

/// The server's process, as the system counts it.
#[derive(Debug, Deserialize)]
pub struct Process {
    /// How long it was on a CPU.
    pub cpu_s: f64,
    /// The same by deliveries, if there were any.
    pub cpu_us_per_delivery: Option<f64>,
    /// Resident memory when all had joined.
    pub rss_joined_bytes: f64,
    /// What that is more than before, by connections.
    pub rss_per_connection_bytes: f64,
}

impl Load {
    /// Over WebSocket, in the dialect of the server at this address.
    ///
    /// # Errors
    /// If there is no place for its report.
    pub fn ws(
        programs: &Path,
        scratch: &Path,
        (server, address): (&Program, &str),
        dialect: &str,
    ) -> Outcome<Self> {
        let folder = TempDir::new_in(scratch)?;
        let mut command = Command::new(programs.join("load"));
        command.arg("ws").args(["--url", &format!("ws://{address}/ws")]);
        command.args(["--dialect", dialect, "--secret", SECRET]);
        command.args(["--server-pid", &server.pid().to_string()]);
        command.arg("--json").arg(folder.path().join("report.json"));
        Ok(Self { command, folder })
    }

    /// With a flag that has no value.
    #[must_use]
    pub fn switch(mut self, name: &str) -> Self {
        self.command.arg(format!("--{name}"));
        self
    }

    /// With a flag.
    #[must_use]
    pub fn flag(self, name: &str, value: impl Display) -> Self {
        let mut with = self.switch(name);
        with.command.arg(value.to_string());
        with
    }

    /// Runs it, on one core if one is named, and meanwhile looks at something several times a second.
    /// `takes` is how long it measures.
    ///
    /// # Errors
    /// If it finds faults, or takes much longer.
    pub fn run(
        self,
        core: Option<usize>,
        takes: Duration,
        look: &mut dyn FnMut() -> Outcome<()>,
    ) -> Outcome<Loaded> {
        let mut load = Program::start("load", self.command, core)?;
        let mut left = PATIENCE + takes;
        let status = loop {
            if let Some(status) = load.ended(LOOK)? {
                break status;
            }
            look()?;
            left = left.saturating_sub(LOOK);
            if left.is_zero() {
                return Err(load.fault("takes too long").into());
            }
        };
        if !status.success() {
            return Err(load.fault(&format!("failed ({status})")).into());
        }
        let json = fs::read_to_string(self.folder.path().join("report.json"))?;
        Ok(serde_json::from_str(&json)?)
    }
}
