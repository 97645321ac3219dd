//! The figures: for each case and contender the medians over the rounds, and ratios of what ran side by
//! side in one round.

use shared::Outcome;
use shared::figures::{Cases, Report, Rounds};

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
    pub(crate) use shared::figures::ROUNDS;
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
    pub(crate) fn put_rounds(&mut self, case: &str, rounds: &Rounds) {
        for contender in rounds.contenders() {
            let mut all = rounds.medians(contender);
            for (name, other, measure) in RATIOS {
                all.extend(rounds.ratio(contender, other, measure).map(|ratio| (name, ratio)));
            }
            self.put(case, contender, &all);
        }
    }
}

/// How a contender does against another one: what it is called, the other one, and what is compared.
/// The home-made counter is the way that gives what the engine gives.
const RATIOS: [(&str, &str, &str); 4] = [
    (measure::AGAINST, name::COUNTER, measure::RATE),
    (measure::P99_AGAINST, name::COUNTER, measure::P99),
    (measure::P50_AGAINST_BARE, name::BARE, measure::P50),
    (measure::AGAINST_MARIADB, name::ENGINE, measure::RATE),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rate: f64, p99: f64) -> Option<Report> {
        Some(Report::from([(measure::RATE, rate), (measure::P99, p99), (measure::P50, 1.0)]))
    }

    #[test]
    fn ratios_are_against_the_home_made_counter_of_the_same_round() {
        let all = [
            (name::ENGINE, vec![report(100.0, 1.0), report(80.0, 2.0), report(90.0, 3.0)]),
            (name::AUTO, vec![report(10.0, 10.0), report(2.0, 4.0), report(3.0, 12.0)]),
            (name::COUNTER, vec![report(5.0, 4.0), report(4.0, 4.0), None]),
        ];
        let mut rounds = Rounds::default();
        for (name, reports) in all {
            reports.into_iter().for_each(|report| rounds.add(name, report));
        }
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
