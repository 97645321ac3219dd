//! The table of what must hold.

use shared::figures::Musts;

use crate::results::{Results, measure, name};
use crate::server;
use crate::storm;

/// p99 of chat while people sign in, in that without.
const BESIDE: f64 = 2.0;
/// How far a stranger's refusal may be from that of somebody known, either way.
const APART: f64 = 0.1;

/// What must hold, and whether it does; if `measured`, only of what has been measured.
pub(crate) fn table(results: &Results, measured: bool) -> String {
    let mut musts = Musts::new(measured);
    for database in server::ALL {
        musts.add(
            &format!(
                "{} logins at a time: chat's p99 against that without, {}",
                storm::AT_ONCE,
                database.label()
            ),
            &format!("less than {BESIDE} times"),
            results.get(database.case(), name::LOGINS, measure::P99_AGAINST),
            |ratio| format!("{ratio:.2} times"),
            |ratio| ratio < BESIDE,
        );
    }
    for database in server::ALL {
        musts.add(
            &format!(
                "a wrong password of nobody against one of somebody: median, {}",
                database.label()
            ),
            &format!("within {:.0} %", APART * 100.0),
            results.get(database.case(), name::UNKNOWN, measure::AGAINST_KNOWN),
            |ratio| format!("{ratio:.3} times"),
            |ratio| (ratio - 1.0).abs() < APART,
        );
    }
    musts.table()
}
