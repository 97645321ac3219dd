//! The figures: by database, what chat did with and without logins, and how long refusals took.

use shared::Outcome;
use shared::figures::{Cases, Report, Rounds};

/// What is measured, as it is called in the figures.
pub(crate) mod measure {
    pub(crate) const P50: &str = "p50 us";
    pub(crate) const P99: &str = "p99 us";
    pub(crate) const CPU: &str = "server cpu s per s";
    pub(crate) const LOGINS: &str = "logins per s";
    pub(crate) const P50_AGAINST: &str = "p50 against quiet";
    pub(crate) const P99_AGAINST: &str = "p99 against quiet";
    pub(crate) const AGAINST_KNOWN: &str = "p50 against known";
    pub(crate) const ATTEMPTS: &str = "attempts";
    pub(crate) use shared::figures::ROUNDS;
}

/// Who is compared, as it is called in the figures.
pub(crate) mod name {
    pub(crate) const QUIET: &str = "quiet";
    pub(crate) const LOGINS: &str = "logins";
    pub(crate) const KNOWN: &str = "known";
    pub(crate) const UNKNOWN: &str = "unknown";
}

const NAME: &str = "people";

/// Figures by database, contender and measure.
pub(crate) struct Results(Cases);

impl Results {
    /// Those of the runs so far, if there were any.
    pub(crate) fn read() -> Self {
        Self(Cases::read(NAME))
    }

    pub(crate) fn empty() -> Self {
        Self(Cases::empty(NAME))
    }

    pub(crate) fn write(&self) -> Outcome<()> {
        Ok(self.0.write()?)
    }

    pub(crate) fn get(&self, case: &str, contender: &str, measure: &str) -> Option<f64> {
        self.0.get(case, contender, measure)
    }

    pub(crate) fn put(&mut self, case: &str, contender: &str, report: &Report) {
        self.0.put(case, contender, report.iter().map(|(measure, value)| (*measure, Some(*value))));
    }

    pub(crate) fn put_rounds(&mut self, case: &str, rounds: &Rounds) {
        for contender in rounds.contenders() {
            let mut all = rounds.medians(contender);
            for (name, measure) in
                [(measure::P50_AGAINST, measure::P50), (measure::P99_AGAINST, measure::P99)]
            {
                let ratio = rounds.ratio(contender, name::QUIET, measure);
                all.extend(ratio.map(|ratio| (name, ratio)));
            }
            self.put(case, contender, &all);
        }
    }
}
