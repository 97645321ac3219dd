//! Rounds in which all contenders have their turns, what is said of each run as soon as it is over, and
//! the list of those that failed.

use std::cell::RefCell;
use std::time::Instant;

use crate::Outcome;
use crate::figures::{Report, Rounds};

/// The runs of one program.
pub struct Runs {
    rounds: usize,
    began: Instant,
    failures: RefCell<Vec<String>>,
}

impl Runs {
    /// So many rounds for whatever is compared.
    #[must_use]
    pub fn new(rounds: usize) -> Self {
        Self { rounds, began: Instant::now(), failures: RefCell::default() }
    }

    /// All contenders in turn, round after round, each time another one first, so that what happens to
    /// the machine meanwhile happens to all. `text` is how a report is said.
    pub async fn compare<C: Copy>(
        &self,
        label: &str,
        contenders: &[(&'static str, C)],
        measure: impl AsyncFn(C) -> Outcome<Report>,
        text: impl Fn(&Report) -> String,
    ) -> Rounds {
        let mut rounds = Rounds::of(contenders.iter().map(|(name, _)| *name));
        for round in 0..self.rounds {
            for turn in 0..contenders.len() {
                let (name, contender) = contenders[(round + turn) % contenders.len()];
                let what = format!("{label}, round {} of {}: {name}", round + 1, self.rounds);
                let report = self.told(&what, measure(contender).await, &text);
                rounds.add(name, report);
            }
        }
        rounds
    }

    /// Says what came of a run; nothing if it failed, which is told at the end too.
    fn told(
        &self,
        what: &str,
        report: Outcome<Report>,
        text: impl Fn(&Report) -> String,
    ) -> Option<Report> {
        match report {
            Ok(report) => {
                self.say(&format!("{what}: {}", text(&report)));
                Some(report)
            }
            Err(error) => {
                self.say(&format!("{what}: failed: {error}"));
                self.failures.borrow_mut().push(format!("{what}: {error}"));
                None
            }
        }
    }

    /// Says something, and when.
    pub fn say(&self, what: &str) {
        let gone = self.began.elapsed().as_secs();
        eprintln!("[{:3}:{:02}] {what}", gone / 60, gone % 60);
    }

    /// What failed.
    #[must_use]
    pub fn finish(self) -> Vec<String> {
        self.failures.into_inner()
    }
}
