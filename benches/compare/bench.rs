//! What is common to all runs: where they run, the line that tells how far they are, and the list of
//! those that failed.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use shared::Outcome;
use shared::programs::Loaded;

use crate::load::{self, Flags};
use crate::results::Results;
use crate::servers::{Place, Running, Server};
use crate::shapes::Shape;

/// The runs of one comparison.
pub(crate) struct Bench {
    pub(crate) place: Place,
    pub(crate) rounds: usize,
    /// How long a run measures.
    pub(crate) seconds: f64,
    line: ProgressBar,
    failures: Vec<String>,
}

impl Bench {
    /// `runs` is how many there will be.
    pub(crate) fn new(place: Place, rounds: usize, seconds: f64, runs: usize) -> Outcome<Self> {
        let line = ProgressBar::new(runs as u64);
        line.set_style(ProgressStyle::with_template(
            "{bar:30} {pos}/{len} {msg}, {elapsed} gone, about {eta} left",
        )?);
        line.enable_steady_tick(Duration::from_secs(1));
        Ok(Self { place, rounds, seconds, line, failures: Vec::new() })
    }

    /// All servers in turn, round after round, each time another one first, so that what happens to the
    /// machine meanwhile happens to all.
    pub(crate) fn compare(&mut self, shape: &Shape, servers: &[&Server], results: &mut Results) {
        let mut reports: Vec<_> = servers.iter().map(|server| (server.name, Vec::new())).collect();
        for round in 0..self.rounds {
            for turn in 0..servers.len() {
                let turn = (round + turn) % servers.len();
                let what = format!("{}, round {} of {}", shape.label, round + 1, self.rounds);
                let report = self.run(&what, servers[turn], &shape.flags(self.seconds));
                reports[turn].1.push(report);
            }
        }
        results.put_rounds(shape.name, &reports);
    }

    /// A run and what came of it, or nothing if it failed, which is told at the end too.
    pub(crate) fn run(&mut self, what: &str, server: &Server, flags: &Flags) -> Option<Loaded> {
        self.watch(what, server, flags, &mut |_| Ok(()))
    }

    /// The same; several times a second the server is looked at.
    pub(crate) fn watch(
        &mut self,
        what: &str,
        server: &Server,
        flags: &Flags,
        look: &mut dyn FnMut(&Running) -> Outcome<()>,
    ) -> Option<Loaded> {
        self.line.set_message(format!("{what}: {}", server.name));
        let outcome = load::run(server, flags, &self.place, look);
        self.line.inc(1);
        match outcome {
            Ok(report) => Some(report),
            Err(error) => {
                let failure = format!("{what}, {}: {error}", server.name);
                self.line.suspend(|| eprintln!("failed: {failure}"));
                self.failures.push(failure);
                None
            }
        }
    }

    /// Ends the line, and hands over what failed.
    pub(crate) fn finish(self) -> Vec<String> {
        self.line.finish_and_clear();
        self.failures
    }
}
