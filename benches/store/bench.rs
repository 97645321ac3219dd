//! What is common to all parts: where they run, the rounds, what is said of each run as soon as it is
//! over, and the list of those that failed.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use figures::number;
use rustix::fs::statfs;

use crate::Outcome;
use crate::mariadb::MariaDb;
use crate::results::{Report, Results, Rounds, measure};

/// What the system calls file systems in memory.
const TMPFS: u64 = 0x0102_1994;

/// The runs of one program.
pub(crate) struct Bench {
    pub(crate) mariadb: MariaDb,
    /// A folder on the disk that is measured, for what lasts no longer than a run.
    pub(crate) scratch: PathBuf,
    pub(crate) rounds: usize,
    /// How long a run measures.
    pub(crate) measured: Duration,
    began: Instant,
    failures: Vec<String>,
}

impl Bench {
    pub(crate) fn new(
        mariadb: MariaDb,
        scratch: PathBuf,
        rounds: usize,
        measured: Duration,
    ) -> Self {
        let (began, failures) = (Instant::now(), Vec::new());
        Self { mariadb, scratch, rounds, measured, began, failures }
    }

    /// All contenders in turn, round after round, each time another one first, so that what happens to
    /// the machine meanwhile happens to all.
    pub(crate) async fn compare<C: Copy>(
        &mut self,
        (case, label): (&str, &str),
        contenders: &[(&'static str, C)],
        measure: impl AsyncFn(&Self, C) -> Outcome<Report>,
        results: &mut Results,
    ) {
        let mut rounds: Vec<Rounds> =
            contenders.iter().map(|(name, _)| (*name, Vec::new())).collect();
        for round in 0..self.rounds {
            for turn in 0..contenders.len() {
                let turn = (round + turn) % contenders.len();
                let (name, contender) = contenders[turn];
                let what = format!("{label}, round {} of {}: {name}", round + 1, self.rounds);
                let report = measure(self, contender).await;
                rounds[turn].1.push(self.told(&what, report));
            }
        }
        results.put_rounds(case, &rounds);
    }

    /// Says what came of a run; nothing if it failed, which is told at the end too.
    fn told(&mut self, what: &str, report: Outcome<Report>) -> Option<Report> {
        match report {
            Ok(report) => {
                self.say(&format!("{what}: {}", text(&report)));
                Some(report)
            }
            Err(error) => {
                self.say(&format!("{what}: failed: {error}"));
                self.failures.push(format!("{what}: {error}"));
                None
            }
        }
    }

    /// Says something, and when.
    pub(crate) fn say(&self, what: &str) {
        let gone = self.began.elapsed().as_secs();
        eprintln!("[{:3}:{:02}] {what}", gone / 60, gone % 60);
    }

    /// What failed.
    pub(crate) fn finish(self) -> Vec<String> {
        self.failures
    }
}

/// A folder on the disk that is measured.
pub(crate) fn scratch() -> Outcome<PathBuf> {
    let scratch = figures::target()?.join("store");
    fs::create_dir_all(&scratch)?;
    if statfs(&scratch)?.f_type as u64 == TMPFS {
        return Err(format!("{} is in memory, not on a disk", scratch.display()).into());
    }
    Ok(scratch)
}

/// The figures of a run in one line.
fn text(report: &Report) -> String {
    let mut text = String::new();
    let figures = [
        (measure::RATE, "", "/s", 1.0),
        (measure::P50, ", p50 ", " ms", 1e3),
        (measure::P99, ", p99 ", " ms", 1e3),
        (measure::PER_COMMIT, ", ", " messages a commit", 1.0),
        (measure::CPU, ", ", " µs of the server's CPU each", 1.0),
        (measure::ACKED, ", ", " acknowledged in all", 1.0),
        (measure::STORED, ", ", " stored", 1.0),
    ];
    for (measure, before, behind, unit) in figures {
        if let Some(value) = report.get(measure) {
            _ = write!(text, "{before}{}{behind}", number(value / unit));
        }
    }
    if let Some(again) = report.get(measure::AGAIN).filter(|again| **again > 0.0) {
        _ = write!(text, ", {} times tried again", number(*again));
    }
    text
}
