//! What contenders came to that ran side by side, round after round: medians, and ratios within rounds.

use std::collections::{BTreeMap, BTreeSet};

use super::median;

/// What one run of one contender came to, by measure.
pub type Report = BTreeMap<&'static str, f64>;

/// How many rounds were done, as it is called in the figures.
pub const ROUNDS: &str = "rounds";

/// The reports of all contenders; nothing of a round in which one failed.
#[derive(Default)]
pub struct Rounds(Vec<(&'static str, Vec<Option<Report>>)>);

impl Rounds {
    /// Of these contenders, who have not run yet.
    #[must_use]
    pub fn of(contenders: impl IntoIterator<Item = &'static str>) -> Self {
        Self(contenders.into_iter().map(|name| (name, Vec::new())).collect())
    }

    /// A contender's next round.
    pub fn add(&mut self, contender: &'static str, report: Option<Report>) {
        match self.0.iter_mut().find(|(name, _)| *name == contender) {
            Some((_, reports)) => reports.push(report),
            None => self.0.push((contender, vec![report])),
        }
    }

    /// Who runs.
    pub fn contenders(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// The medians of a contender's rounds, and how many rounds there are.
    #[must_use]
    pub fn medians(&self, contender: &str) -> Report {
        let reports = || self.reports(contender).iter().flatten();
        let measures: BTreeSet<_> = reports().flat_map(BTreeMap::keys).copied().collect();
        let mut all = Report::from([(ROUNDS, reports().count() as f64)]);
        for measure in measures {
            let values = reports().filter_map(|report| report.get(measure));
            all.extend(median(values.copied()).map(|median| (measure, median)));
        }
        all
    }

    /// How a contender does against another one: the median of the rounds' ratios.
    #[must_use]
    pub fn ratio(&self, contender: &str, other: &str, measure: &str) -> Option<f64> {
        let pairs = self.reports(contender).iter().zip(self.reports(other));
        median(pairs.filter_map(|(one, other)| {
            Some(one.as_ref()?.get(measure)? / other.as_ref()?.get(measure)?)
        }))
    }

    fn reports(&self, contender: &str) -> &[Option<Report>] {
        let found = self.0.iter().find(|(name, _)| *name == contender);
        found.map_or(&[], |(_, reports)| reports)
    }
}
