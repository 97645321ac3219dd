//! The figures of the comparison: for each case (a shape or a scenario) and server the medians over its
//! rounds, and ratios of what ran side by side in one round.

use shared::Outcome;
use shared::figures::{Cases, median};
use shared::programs::{Loaded, Process};

use crate::servers::{LIMIT, OURS, Server};

/// What is measured, as it is called in the figures.
pub(crate) mod measure {
    pub(crate) const CPU: &str = "cpu us per delivery";
    pub(crate) const AGAINST_LIMIT: &str = "cpu against the limit";
    pub(crate) const AGAINST_OURS: &str = "cpu against this server";
    pub(crate) const DELIVERIES: &str = "deliveries per s";
    pub(crate) const P50: &str = "p50 us";
    pub(crate) const P99: &str = "p99 us";
    pub(crate) const CONNECT: &str = "connect s";
    pub(crate) const MEMORY: &str = "resident bytes per connection";
    pub(crate) const P99_BESIDE: &str = "p99 us in small rooms";
    pub(crate) const P99_RATIO: &str = "p99 with against without";
    pub(crate) const GROWTH: &str = "most resident bytes beyond without";
    pub(crate) const GONE: &str = "gone after s";
    pub(crate) const LAST_AGAINST_FIRST: &str = "resident last against first";
    pub(crate) const ROUNDS: &str = "rounds";
}

const NAME: &str = "compare";

/// Figures by case, server and measure.
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

    pub(crate) fn get(&self, case: &str, server: &str, measure: &str) -> Option<f64> {
        self.0.get(case, server, measure)
    }

    /// Puts figures in the place of all that were there for this case and server.
    pub(crate) fn put(&mut self, case: &str, server: &str, figures: &[(&str, Option<f64>)]) {
        self.0.put(case, server, figures.iter().copied());
    }

    /// Takes up what servers did in the rounds of one shape. A round in which one failed says nothing
    /// of it, and nothing of its ratios.
    pub(crate) fn put_rounds(&mut self, shape: &str, servers: &[(&str, Vec<Option<Loaded>>)]) {
        let rounds = |server: &Server| {
            servers.iter().find(|rounds| rounds.0 == server.name).map(|rounds| &rounds.1)
        };
        for (name, reports) in servers {
            let all = |pick: fn(&Loaded) -> Option<f64>| {
                median(reports.iter().flatten().filter_map(pick))
            };
            let against =
                |other: &Server| {
                    let pairs = reports.iter().zip(rounds(other)?);
                    median(pairs.filter_map(|(one, other)| {
                        Some(cpu(one.as_ref()?)? / cpu(other.as_ref()?)?)
                    }))
                };
            let process = |pick: fn(&Process) -> f64| {
                median(
                    reports.iter().flatten().filter_map(|report| report.server.as_ref().map(pick)),
                )
            };
            self.put(
                shape,
                name,
                &[
                    (measure::CPU, all(cpu)),
                    (measure::AGAINST_LIMIT, against(&LIMIT)),
                    (measure::AGAINST_OURS, against(&OURS)),
                    (measure::DELIVERIES, all(|report| Some(report.deliveries_per_s))),
                    (measure::P50, all(|report| Some(report.latency_us.as_ref()?.p50))),
                    (measure::P99, all(|report| Some(report.latency_us.as_ref()?.p99))),
                    (measure::CONNECT, all(|report| Some(report.connect_s))),
                    (measure::MEMORY, process(|process| process.rss_per_connection_bytes)),
                    (measure::ROUNDS, Some(reports.iter().flatten().count() as f64)),
                ],
            );
        }
    }
}

fn cpu(report: &Loaded) -> Option<f64> {
    report.server.as_ref()?.cpu_us_per_delivery
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(cpu: f64) -> Option<Loaded> {
        let latency = json!({ "p50": 1.0, "p99": 2.0, "p999": 3.0, "max": 4.0 });
        let process = json!({
            "cpu_s": 1.0, "cpu_us_per_delivery": cpu, "rss_joined_bytes": 3.0,
            "rss_per_connection_bytes": 5.0,
        });
        let report = json!({
            "messages": 1.0, "seconds": 1.0, "deliveries_per_s": 10.0, "latency_us": latency, "beside": null, "connect_s": 0.5,
            "server": process, "churn_rss_bytes": [],
        });
        Some(serde_json::from_value(report).expect("a report"))
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(median([]), None);
        assert_eq!(median([7.0]), Some(7.0));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios_and_not_that_of_two_medians() {
        let mut results = Results::empty();
        let ours = vec![report(2.0), report(30.0), report(3.0)];
        let limit = vec![report(1.0), report(10.0), report(3.0)];
        results.put_rounds("shape", &[(OURS.name, ours), (LIMIT.name, limit)]);
        assert_eq!(results.get("shape", OURS.name, measure::AGAINST_LIMIT), Some(2.0));
        assert_eq!(results.get("shape", OURS.name, measure::CPU), Some(3.0));
        assert_eq!(results.get("shape", LIMIT.name, measure::AGAINST_LIMIT), Some(1.0));
    }

    #[test]
    fn a_round_that_failed_counts_for_nothing() {
        let mut results = Results::empty();
        let ours = vec![report(2.0), None, report(4.0)];
        let limit = vec![None, report(5.0), report(1.0)];
        results.put_rounds("shape", &[(OURS.name, ours), (LIMIT.name, limit)]);
        assert_eq!(results.get("shape", OURS.name, measure::AGAINST_LIMIT), Some(4.0));
        assert_eq!(results.get("shape", OURS.name, measure::ROUNDS), Some(2.0));
    }

    #[test]
    fn figures_of_an_earlier_run_do_not_stay_beside_new_ones() {
        let mut results = Results::empty();
        let (ours, limit) = (vec![report(2.0)], vec![report(1.0)]);
        results.put_rounds("shape", &[(OURS.name, ours), (LIMIT.name, limit)]);
        results.put_rounds("shape", &[(OURS.name, vec![report(3.0)])]);
        assert_eq!(results.get("shape", OURS.name, measure::CPU), Some(3.0));
        assert_eq!(results.get("shape", OURS.name, measure::AGAINST_LIMIT), None);
        assert_eq!(results.get("shape", LIMIT.name, measure::CPU), Some(1.0));
    }
}
