//! What somebody can learn from how long a refusal takes: a wrong password of somebody who has an account,
//! and the same of somebody who has none, in pairs, one login at a time, from new addresses each, so that
//! nobody has to wait.

use std::net::Ipv4Addr;
use std::time::Duration;

use reqwest::StatusCode;
use shared::figures::{Report, median, number};
use shared::{Outcome, Runs};
use uuid::Uuid;

use crate::client::{Api, expect};
use crate::results::{Results, measure, name};
use crate::server::{Database, Place, Running};

/// The addresses from which nobody has signed in yet; 198.18.0.0/15 is for benchmarks (RFC 2544).
const ADDRESSES: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 0);

pub(crate) async fn measure(
    runs: &Runs,
    place: &Place,
    database: Database,
    guesses: usize,
    results: &mut Results,
) -> Outcome<()> {
    let server = Running::start(place, database).await?;
    let api = Api::new(&server.address)?;
    let mut addresses = (ADDRESSES.to_bits()..).map(Ipv4Addr::from_bits);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for guess in 0..guesses {
        for person in &server.people {
            // As long as the other one's, and nobody's.
            let stranger = person.username.replace("person", "nobody");
            let password = format!("guess number {guess} of one and the other");
            let mut pair = [(&person.username, &mut known), (&stranger, &mut unknown)];
            // Who is first may find the caches cold.
            if Uuid::new_v4().as_bytes()[0] & 1 == 1 {
                pair.reverse();
            }
            for (username, times) in pair {
                let address = addresses.next().ok_or("out of addresses")?;
                let (status, took) = api.sign_in(username, &password, address).await?;
                expect(status, StatusCode::UNAUTHORIZED)?;
                times.push(took);
            }
        }
    }
    let [known, unknown] = [known, unknown].map(|times| report(&times));
    let against = unknown[measure::P50] / known[measure::P50];
    for (name, report) in [(name::KNOWN, &known), (name::UNKNOWN, &unknown)] {
        let p50 = number(report[measure::P50] / 1e3);
        runs.say(&format!("{}, wrong password, {name}: p50 {p50} ms", database.label()));
    }
    let unknown = unknown.into_iter().chain([(measure::AGAINST_KNOWN, against)]).collect();
    results.put(database.case(), name::KNOWN, &known);
    results.put(database.case(), name::UNKNOWN, &unknown);
    Ok(())
}

fn report(times: &[Duration]) -> Report {
    let micros = times.iter().map(|time| time.as_secs_f64() * 1e6);
    let mut report = Report::from([(measure::ATTEMPTS, times.len() as f64)]);
    report.extend(median(micros).map(|median| (measure::P50, median)));
    report
}
