//! What came of a suite: one verdict per case.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

/// What came of every case of a suite. Prints as a list, failures with what was expected and what
/// came.
#[derive(Clone, Debug, Default)]
#[must_use = "a report that nobody reads passes every test"]
pub struct Report {
    cases: Vec<(&'static str, Verdict)>,
}

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All was as it must be.
    Passed,
    /// The case does not apply, and why.
    Skipped(String),
    /// What was expected, and what came instead.
    Failed(String),
}

/// Why a case does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// It does not apply, and why.
    Skipped(String),
    /// What was expected, and what came instead.
    Failed(String),
}

/// What comes of a case that may take so long. A panic is its failure.
pub(super) async fn verdict(
    limit: Duration,
    case: impl Future<Output = Result<(), Stop>>,
) -> Verdict {
    match timeout(limit, AssertUnwindSafe(case).catch_unwind()).await {
        Ok(Ok(Ok(()))) => Verdict::Passed,
        Ok(Ok(Err(Stop::Skipped(why)))) => Verdict::Skipped(why),
        Ok(Ok(Err(Stop::Failed(why)))) => Verdict::Failed(why),
        Ok(Err(panic)) => Verdict::Failed(format!("panicked: {}", words(&*panic))),
        Err(_) => Verdict::Failed(format!("not done within {limit:?}")),
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

impl Report {
    /// Adds a case's verdict.
    pub(crate) fn add(&mut self, case: &'static str, verdict: Verdict) {
        self.cases.push((case, verdict));
    }

    /// Every case with its verdict, in the order in which they ran.
    pub fn cases(&self) -> impl Iterator<Item = (&'static str, &Verdict)> {
        self.cases.iter().map(|(case, verdict)| (*case, verdict))
    }

    /// The cases that failed, each with what was expected and what came.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.cases().filter_map(|(case, verdict)| match verdict {
            Verdict::Failed(why) => Some((case, why.as_str())),
            Verdict::Passed | Verdict::Skipped(_) => None,
        })
    }

    /// The cases that do not apply, each with the reason.
    pub fn skipped(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.cases().filter_map(|(case, verdict)| match verdict {
            Verdict::Skipped(why) => Some((case, why.as_str())),
            Verdict::Passed | Verdict::Failed(_) => None,
        })
    }

    /// For the end of a test.
    ///
    /// # Panics
    /// If a case failed, with the whole report.
    pub fn assert_passed(&self) {
        assert_eq!(self.failures().count(), 0, "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, skipped) = (self.failures().count(), self.skipped().count());
        let passed = self.cases.len() - failed - skipped;
        writeln!(f, "{passed} passed, {skipped} skipped, {failed} failed")?;
        for (case, verdict) in self.cases() {
            match verdict {
                Verdict::Passed => writeln!(f, "  passed   {case}")?,
                Verdict::Skipped(why) => writeln!(f, "  skipped  {case}: {why}")?,
                Verdict::Failed(why) => writeln!(f, "  FAILED   {case}: {why}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.add("good", Verdict::Passed);
        report.add("not asked", Verdict::Skipped("no need".to_owned()));
        report
    }

    #[test]
    fn lists_every_case_and_passes_without_failures() {
        let report = report();
        report.assert_passed();
        assert_eq!(report.skipped().collect::<Vec<_>>(), [("not asked", "no need")]);
        assert_eq!(
            report.to_string(),
            "1 passed, 1 skipped, 0 failed\n  passed   good\n  skipped  not asked: no need\n"
        );
    }

    #[test]
    #[should_panic(expected = "FAILED   bad: expected 1, heard 2")]
    fn a_failure_is_told_with_its_reason() {
        let mut report = report();
        report.add("bad", Verdict::Failed("expected 1, heard 2".to_owned()));
        assert_eq!(report.failures().collect::<Vec<_>>(), [("bad", "expected 1, heard 2")]);
        report.assert_passed();
    }
}
