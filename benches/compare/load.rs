//! One run of the load tool against one server, and the part of what it reports that is used here.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::Outcome;
use crate::program::Program;
use crate::servers::{Place, Running, SECRET, Server};

/// So much longer than it measures a run may take, to start and to connect.
const PATIENCE: Duration = Duration::from_secs(120);
/// So often it is asked what there is to see while it runs.
const LOOK: Duration = Duration::from_millis(250);

/// What the load tool reports.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) deliveries_per_s: f64,
    /// Not there if nothing was delivered.
    pub(crate) latency_us: Option<Latency>,
    pub(crate) beside: Option<Latency>,
    pub(crate) connect_s: f64,
    pub(crate) server: Option<Process>,
    #[serde(default)]
    pub(crate) churn_rss_bytes: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// The server's process, as the system counts it.
#[derive(Debug, Deserialize)]
pub(crate) struct Process {
    pub(crate) cpu_us_per_delivery: Option<f64>,
    pub(crate) rss_joined_bytes: f64,
    pub(crate) rss_per_connection_bytes: f64,
}

/// The flags of a run.
#[derive(Clone, Default)]
pub(crate) struct Flags {
    flags: BTreeMap<&'static str, String>,
    takes_s: f64,
}

impl Flags {
    pub(crate) fn new(connections: usize, rooms: usize) -> Self {
        Self::default().with("connections", &connections).with("rooms", &rooms)
    }

    pub(crate) fn with(mut self, name: &'static str, value: &dyn Display) -> Self {
        self.flags.insert(name, value.to_string());
        self
    }

    /// How long it measures.
    pub(crate) fn seconds(self, seconds: f64) -> Self {
        self.takes(seconds).with("seconds", &seconds)
    }

    /// How long it may take, in seconds, if that is not said by how long it measures.
    pub(crate) fn takes(mut self, seconds: f64) -> Self {
        self.takes_s = seconds;
        self
    }
}

/// Starts a server, puts it under load, and stops it. Several times a second the server is looked at.
pub(crate) fn run(
    server: &Server,
    flags: &Flags,
    place: &Place,
    look: &mut dyn FnMut(&Running) -> Outcome<()>,
) -> Outcome<Report> {
    let mut running = server.start(place)?;
    let folder = tempfile::tempdir_in(&place.scratch)?;
    let json = folder.path().join("report.json");
    let mut command = Command::new(place.programs.join("load"));
    command.arg("ws").args(["--url", &format!("ws://{}/ws", running.address)]);
    command.args(["--dialect", server.dialect, "--secret", SECRET]);
    // What it costs to wake a load tool that sleeps hangs on how fast both are, and is nothing that
    // a server whose clients are elsewhere would pay.
    command.arg("--busy-poll");
    command.args(["--server-pid", &running.program.pid().to_string()]);
    command.arg("--json").arg(&json);
    for (name, value) in &flags.flags {
        command.args([&format!("--{name}"), value]);
    }
    let mut load = Program::start("load", command, Some(place.load_core))?;
    let mut left = PATIENCE + Duration::from_secs_f64(flags.takes_s);
    let status = loop {
        if let Some(status) = load.ended(LOOK)? {
            break status;
        }
        look(&running)?;
        left = left.saturating_sub(LOOK);
        if left.is_zero() {
            return Err(load.fault("takes too long").into());
        }
    };
    running.program.still_runs()?;
    if !status.success() {
        return Err(load.fault(&format!("failed ({status})")).into());
    }
    Ok(serde_json::from_str(&fs::read_to_string(&json)?)?)
}
