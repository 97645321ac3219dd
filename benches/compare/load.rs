//! One run of the load tool against one server.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use shared::Outcome;
use shared::programs::{Load, Loaded};

use crate::servers::{Place, Running, Server};

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
) -> Outcome<Loaded> {
    let mut running = server.start(place)?;
    let listening = (&running.program, running.address.as_str());
    // What it costs to wake a load tool that sleeps hangs on how fast both are, and is nothing that
    // a server whose clients are elsewhere would pay.
    let mut load =
        Load::ws(&place.programs, &place.scratch, listening, server.dialect)?.switch("busy-poll");
    for (name, value) in &flags.flags {
        load = load.flag(name, value);
    }
    let takes = Duration::from_secs_f64(flags.takes_s);
    let loaded = load.run(Some(place.load_core), takes, &mut || look(&running))?;
    running.program.still_runs()?;
    Ok(loaded)
}
