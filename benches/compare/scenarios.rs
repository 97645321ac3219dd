//! What this server must do apart from fan-out: many connections that are idle, that come at once, that
//! come and go, that do not read, and small rooms beside a large one.

use std::fs;
use std::time::Instant;

use shared::Outcome;
use shared::figures::median;
use shared::programs::Loaded;

use crate::bench::Bench;
use crate::load::Flags;
use crate::results::{Results, measure};
use crate::servers::{OURS, Running, STORED, Server};

/// One of them.
pub(crate) struct Scenario {
    /// As it is called on the command line and in the figures.
    pub(crate) name: &'static str,
    /// How many runs it takes, with so many rounds.
    pub(crate) runs: fn(usize) -> usize,
    pub(crate) measure: fn(&mut Bench, &mut Results),
}

pub(crate) const ALL: [Scenario; 5] = [
    Scenario { name: IDLE, runs: |rounds| rounds * BOTH.len(), measure: idle },
    Scenario { name: CONNECT, runs: |rounds| rounds * BOTH.len(), measure: connect },
    Scenario { name: BESIDE, runs: |rounds| rounds, measure: beside },
    Scenario { name: STALLED, runs: |rounds| rounds * 2, measure: stalled },
    Scenario { name: CHURN, runs: |_| 1, measure: churn },
];

pub(crate) const IDLE: &str = "idle";
pub(crate) const CONNECT: &str = "connect";
pub(crate) const BESIDE: &str = "beside";
pub(crate) const STALLED: &str = "stalled";
pub(crate) const CHURN: &str = "churn";

/// Connections that do not read, in `stalled`.
pub(crate) const STALLED_PEERS: usize = 50;

const MANY: usize = 10_000;
/// With which stores connections are counted and timed: joining writes.
pub(crate) static BOTH: [&Server; 2] = [&OURS, &STORED];

fn idle(bench: &mut Bench, results: &mut Results) {
    let flags = Flags::new(MANY, 1).with("mode", &"idle").seconds(3.0);
    of_both(bench, results, IDLE, &flags, measure::MEMORY, |report| {
        report.server.as_ref().map(|process| process.rss_per_connection_bytes)
    });
}

fn connect(bench: &mut Bench, results: &mut Results) {
    let flags = Flags::new(MANY, 1).with("mode", &"idle").seconds(0.1);
    of_both(bench, results, CONNECT, &flags, measure::CONNECT, |report| Some(report.connect_s));
}

fn of_both(
    bench: &mut Bench,
    results: &mut Results,
    case: &str,
    flags: &Flags,
    measure: &str,
    pick: fn(&Loaded) -> Option<f64>,
) {
    let mut values = [const { Vec::new() }; 2];
    for round in 0..bench.rounds {
        let what = format!("{case}, round {} of {}", round + 1, bench.rounds);
        for (server, values) in BOTH.iter().zip(&mut values) {
            values.extend(bench.run(&what, server, flags).as_ref().and_then(pick));
        }
    }
    for (server, values) in BOTH.iter().zip(values) {
        results.put(case, server.name, &[(measure, median(values))]);
    }
}

/// A message for ten thousand every 100 ms, and a hundred rooms of ten that talk meanwhile.
fn beside(bench: &mut Bench, results: &mut Results) {
    let flags = Flags::new(MANY, 1)
        .with("mode", &"open")
        .with("rate", &10)
        .with("beside-rooms", &100)
        .with("beside-size", &10)
        .with("beside-rate", &200)
        .seconds(bench.seconds.max(10.0));
    let mut values = Vec::new();
    for round in 0..bench.rounds {
        let what = format!("{BESIDE}, round {} of {}", round + 1, bench.rounds);
        let report = bench.run(&what, &OURS, &flags);
        values.extend(report.and_then(|report| report.beside).map(|beside| beside.p99));
    }
    results.put(BESIDE, OURS.name, &[(measure::P99_BESIDE, median(values))]);
}

/// The same members with and without others in their room that do not read. Texts are long, so that
/// those are soon full; the run is long enough to see them go.
fn stalled(bench: &mut Bench, results: &mut Results) {
    const READERS: usize = 150;
    let without = Flags::new(READERS, 1)
        .with("mode", &"open")
        .with("rate", &200)
        .with("text-bytes", &4_000)
        .seconds(60.0);
    let with = without
        .clone()
        .with("connections", &(READERS + STALLED_PEERS))
        .with("stall", &STALLED_PEERS);
    let (mut slower, mut growth, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let what = format!("{STALLED}, round {} of {}", round + 1, bench.rounds);
        let mut quiet = Watch::default();
        let alone = bench.watch(&what, &OURS, &without, &mut |running| quiet.look(running));
        let mut watch = Watch::default();
        let beside = bench.watch(&what, &OURS, &with, &mut |running| watch.look(running));
        let (Some(alone), Some(beside)) = (alone, beside) else { continue };
        slower.extend(p99(&beside).zip(p99(&alone)).map(|(with, without)| with / without));
        let grown = watch.grown(&beside).zip(quiet.grown(&alone));
        growth.extend(grown.map(|(with, without)| with - without));
        // Whoever is there to the end has not gone, which is longer than any time.
        gone.push(watch.gone_s.unwrap_or(f64::INFINITY));
    }
    results.put(
        STALLED,
        OURS.name,
        &[
            (measure::P99_RATIO, median(slower)),
            (measure::GROWTH, median(growth)),
            (measure::GONE, median(gone).filter(|gone| gone.is_finite())),
        ],
    );
}

fn p99(report: &Loaded) -> Option<f64> {
    report.latency_us.as_ref().map(|latency| latency.p99)
}

/// Looks at a server's descriptors and memory, to see when the stalled peers' are closed and what they
/// cost until then.
#[derive(Default)]
struct Watch {
    most: usize,
    since: Option<Instant>,
    gone_s: Option<f64>,
    /// The most memory that it has had, in bytes.
    peak: Option<f64>,
}

impl Watch {
    fn look(&mut self, running: &Running) -> Outcome<()> {
        let process = format!("/proc/{}", running.program.pid());
        let status = fs::read_to_string(format!("{process}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        self.peak = kib.map(|kib| kib * 1_024.0);
        let open = fs::read_dir(format!("{process}/fd"))?.count();
        if open > self.most {
            (self.most, self.since, self.gone_s) = (open, Some(Instant::now()), None);
        }
        if open + STALLED_PEERS <= self.most && self.gone_s.is_none() {
            self.gone_s = self.since.map(|since| since.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// What was added at most to the memory that it had when all were there.
    fn grown(&self, report: &Loaded) -> Option<f64> {
        Some(self.peak? - report.server.as_ref()?.rss_joined_bytes)
    }
}

/// Two hundred times a thousand connections that come and go.
fn churn(bench: &mut Bench, results: &mut Results) {
    let flags = Flags::new(1_000, 100).with("churn", &200).takes(1_200.0);
    let report = bench.run(CHURN, &OURS, &flags);
    let ratio = report.and_then(|report| {
        let after = report.churn_rss_bytes;
        Some(after.last()? / after.first()?)
    });
    results.put(CHURN, OURS.name, &[(measure::LAST_AGAINST_FIRST, ratio)]);
}
