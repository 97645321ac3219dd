//! What is written of the figures: two tables and a plot.

use std::fmt::Write;

use shared::figures::{bars, number};

use crate::results::{Results, measure, name};
use crate::server;

/// A figure as a cell of a table.
fn cell(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or("–".into(), show)
}

fn ms(us: f64) -> String {
    number(us / 1e3)
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

const BESIDE: [(&str, &str); 2] = [(name::QUIET, "nobody signs in"), (name::LOGINS, "logins")];

/// Chat with and without logins.
pub(crate) fn beside(results: &Results) -> String {
    let mut table = String::from(
        "| | | p50 ms | p99 ms | p50 against quiet | p99 against quiet | logins/s | server's cores \
         | rounds |\n\
         | --- | --- | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for database in server::ALL {
        for (contender, label) in BESIDE {
            let get = |measure| results.get(database.case(), contender, measure);
            let cells = [
                cell(get(measure::P50), ms),
                cell(get(measure::P99), ms),
                cell(get(measure::P50_AGAINST), ratio),
                cell(get(measure::P99_AGAINST), ratio),
                cell(get(measure::LOGINS), number),
                cell(get(measure::CPU), ratio),
                cell(get(measure::ROUNDS), number),
            ];
            // Writing to memory does not fail.
            _ = writeln!(table, "| {} | {label} | {} |", database.label(), cells.join(" | "));
        }
    }
    table
}

/// How long refusals took.
pub(crate) fn guessing(results: &Results) -> String {
    let mut table = String::from(
        "| | has an account, median ms | has none, median ms | ratio | of each |\n\
         | --- | --: | --: | --: | --: |\n",
    );
    for database in server::ALL {
        let get = |contender, measure| results.get(database.case(), contender, measure);
        let cells = [
            cell(get(name::KNOWN, measure::P50), ms),
            cell(get(name::UNKNOWN, measure::P50), ms),
            cell(get(name::UNKNOWN, measure::AGAINST_KNOWN), |ratio| format!("{ratio:.3}")),
            cell(get(name::UNKNOWN, measure::ATTEMPTS), number),
        ];
        _ = writeln!(table, "| {} | {} |", database.label(), cells.join(" | "));
    }
    table
}

/// p99 of chat.
pub(crate) fn plot(results: &Results) -> String {
    let mut rows = Vec::new();
    for database in server::ALL {
        for (contender, label) in BESIDE {
            let p99 = results.get(database.case(), contender, measure::P99);
            rows.extend(p99.map(|us| (format!("{}, {label}", database.label()), us / 1e3)));
        }
    }
    bars("Chat while people sign in: p99 of a delivery", "ms", &[], &rows)
}
