//! The figures: for each case and contender the medians over the rounds, and ratios of what ran side by
//! side in one round.

use std::collections::{BTreeMap, BTreeSet};

use figures::{Cases, median};

use crate::Outcome;

/// What is measured, as it is called in the figures.
pub(crate) mod measure {
    pub(crate) const RATE: &str = "messages per s";
    pub(crate) const P50: &str = "p50 us";
    pub(crate) const P99: &str = "p99 us";
    pub(crate) const AGAINST: &str = "messages against home-made";
    pub(crate) const P99_AGAINST: &str = "p99 against home-made";
    pub(crate) const P50_AGAINST_BARE: &str = "p50 against a bare commit";
    pub(crate) const AGAINST_MARIADB: &str = "messages against MariaDB";
    pub(crate) const PER_COMMIT: &str = "messages per commit";
    pub(crate) const STATEMENTS: &str = "statements per commit";
    pub(crate) const SELECTS: &str = "SELECTs per s";
    pub(crate) const ACKED: &str = "acknowledged";
    pub(crate) const STORED: &str = "stored";
    pub(crate) const AGAIN: &str = "tried again";
    pub(crate) const CPU: &str = "server cpu us per message";
    pub(crate) const ROWS: &str = "rows";
    pub(crate) const ROUNDS: &str = "rounds";
}

/// Contenders that others are compared with, as they are called in the figures.
pub(crate) mod name {
    pub(crate) const ENGINE: &str = "engine-mariadb";
    pub(crate) const SQLITE: &str = "engine-sqlite";
    pub(crate) const TWO: &str = "two-processes";
    pub(crate) const COUNTER: &str = "home-made-counter";
    pub(crate) const AUTO: &str = "home-made-auto";
    pub(crate) const BARE: &str = "bare-insert";
    pub(crate) const FSYNC: &str = "fdatasync";
    pub(crate) const SERVER: &str = "chat-server";
    pub(crate) const DATABASE: &str = "mariadb";
    pub(crate) const FILE: &str = "sqlite";
}

/// What one run of one contender came to, by measure.
pub(crate) type Report = BTreeMap<&'static str, f64>;

/// A contender's reports; nothing of a round in which it failed.
pub(crate) type Rounds = (&'static str, Vec<Option<Report>>);

const NAME: &str = "store";

/// Figures by case, contender and measure.
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

    /// Puts the figures of a contender in the place of those that were there.
    pub(crate) fn put(&mut self, case: &str, contender: &str, report: &Report) {
        self.0.put(case, contender, report.iter().map(|(measure, value)| (*measure, Some(*value))));
    }

    /// Takes up what contenders did in the rounds of one case.
    pub(crate) fn put_rounds(&mut self, case: &str, contenders: &[Rounds]) {
        for (contender, reports) in contenders {
            let mut all = Report::new();
            let measures = reports.iter().flatten().flat_map(BTreeMap::keys);
            for measure in measures.collect::<BTreeSet<_>>() {
                let values = reports.iter().flatten().filter_map(|report| report.get(measure));
                all.extend(median(values.copied()).map(|median| (*measure, median)));
            }
            all.insert(measure::ROUNDS, reports.iter().flatten().count() as f64);
            all.extend(ratios(contenders, reports));
            self.put(case, contender, &all);
        }
    }
}

/// How a contender does against others: the medians of its rounds' ratios.
fn ratios(contenders: &[Rounds], reports: &[Option<Report>]) -> Vec<(&'static str, f64)> {
    let of = |name: &str, round: usize| {
        let found = contenders.iter().find(|(contender, _)| *contender == name)?;
        found.1.get(round)?.as_ref()
    };
    // The way that gives what the engine gives.
    let home_made = |round| of(name::COUNTER, round);
    let bare = |round| of(name::BARE, round);
    let mariadb = |round| of(name::ENGINE, round);
    let all = [
        (measure::AGAINST, ratio(reports, measure::RATE, home_made)),
        (measure::P99_AGAINST, ratio(reports, measure::P99, home_made)),
        (measure::P50_AGAINST_BARE, ratio(reports, measure::P50, bare)),
        (measure::AGAINST_MARIADB, ratio(reports, measure::RATE, mariadb)),
    ];
    all.into_iter().filter_map(|(name, ratio)| Some((name, ratio?))).collect()
}

fn ratio<'a>(
    reports: &[Option<Report>],
    measure: &str,
    other: impl Fn(usize) -> Option<&'a Report>,
) -> Option<f64> {
    median(reports.iter().enumerate().filter_map(|(round, report)| {
        Some(report.as_ref()?.get(measure)? / other(round)?.get(measure)?)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rate: f64, p99: f64) -> Option<Report> {
        Some(Report::from([(measure::RATE, rate), (measure::P99, p99), (measure::P50, 1.0)]))
    }

    #[test]
    fn ratios_are_against_the_home_made_counter_of_the_same_round() {
        let rounds = [
            (name::ENGINE, vec![report(100.0, 1.0), report(80.0, 2.0), report(90.0, 3.0)]),
            (name::AUTO, vec![report(10.0, 10.0), report(2.0, 4.0), report(3.0, 12.0)]),
            (name::COUNTER, vec![report(5.0, 4.0), report(4.0, 4.0), None]),
        ];
        let mut results = Results::empty();
        results.put_rounds("case", &rounds);
        let get = |measure| results.get("case", name::ENGINE, measure);
        assert_eq!(get(measure::RATE), Some(90.0));
        // 100 / 5 and 80 / 4; nothing of the third round.
        assert_eq!(get(measure::AGAINST), Some(20.0));
        // 1 / 4 and 2 / 4.
        assert_eq!(get(measure::P99_AGAINST), Some(0.375));
        assert_eq!(get(measure::P50_AGAINST_BARE), None);
        assert_eq!(results.get("case", name::COUNTER, measure::ROUNDS), Some(2.0));
    }
}
