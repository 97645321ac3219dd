//! What is common to all parts: where they run, and what is said of each run as soon as it is over.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use shared::figures::{Report, number};
use shared::programs::MariaDb;
use shared::{Outcome, Runs};

use crate::results::{Results, measure};

/// The runs of one program.
pub(crate) struct Bench {
    pub(crate) mariadb: MariaDb,
    /// A folder on the disk that is measured, for what lasts no longer than a run.
    pub(crate) scratch: PathBuf,
    /// How long a run measures.
    pub(crate) measured: Duration,
    runs: Runs,
}

impl Bench {
    pub(crate) fn new(
        mariadb: MariaDb,
        scratch: PathBuf,
        rounds: usize,
        measured: Duration,
    ) -> Self {
        Self { mariadb, scratch, measured, runs: Runs::new(rounds) }
    }

    /// All contenders in turn, round after round.
    pub(crate) async fn compare<C: Copy>(
        &self,
        (case, label): (&str, &str),
        contenders: &[(&'static str, C)],
        measure: impl AsyncFn(&Self, C) -> Outcome<Report>,
        results: &mut Results,
    ) {
        let measure = async |contender| measure(self, contender).await;
        let rounds = self.runs.compare(label, contenders, measure, text).await;
        results.put_rounds(case, &rounds);
    }

    /// Says something, and when.
    pub(crate) fn say(&self, what: &str) {
        self.runs.say(what);
    }

    /// What failed.
    pub(crate) fn finish(self) -> Vec<String> {
        self.runs.finish()
    }
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
