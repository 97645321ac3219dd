//! Chat with and without logins beside it, in turns: how long a message takes from the moment when it is
//! due to each member that it comes to.

use std::time::Duration;

use shared::figures::{Report, number};
use shared::programs::Load;
use shared::{Outcome, Runs};

use crate::results::{Results, measure, name};
use crate::server::{Database, Place, Running};
use crate::storm::Storm;

const ROOMS: usize = 100;
const MEMBERS: usize = 10;
/// Messages a second, over all rooms, by the clock.
const RATE: usize = 1_000;

/// Whether there are logins.
const CONTENDERS: [(&str, bool); 2] = [(name::QUIET, false), (name::LOGINS, true)];

pub(crate) async fn measure(
    runs: &Runs,
    place: &Place,
    database: Database,
    measured: Duration,
    results: &mut Results,
) {
    let run = async |logins: bool| -> Outcome<Report> {
        let server = Running::start(place, database).await?;
        let storm = logins.then(|| Storm::begin(&server.people));
        let mut report = chat(place, &server, measured).await?;
        if let Some(storm) = storm {
            report.insert(measure::LOGINS, storm.end()?);
        }
        Ok(report)
    };
    let rounds = runs.compare(database.label(), &CONTENDERS, run, text).await;
    results.put_rounds(database.case(), &rounds);
}

/// One run of the load tool.
async fn chat(place: &Place, server: &Running, measured: Duration) -> Outcome<Report> {
    let listening = (&server.program, server.address.as_str());
    let load = Load::ws(&place.programs, &place.scratch, listening, "chat")?
        .switch("keys")
        .flag("connections", ROOMS * MEMBERS)
        .flag("rooms", ROOMS)
        .flag("mode", "open")
        .flag("rate", RATE)
        .flag("seconds", measured.as_secs_f64());
    let loaded = tokio::task::spawn_blocking(move || load.run(None, measured, &mut || Ok(())));
    let loaded = loaded.await??;
    let (latency, process) = loaded.latency_us.zip(loaded.server).ok_or("nothing was delivered")?;
    Ok(Report::from([
        (measure::P50, latency.p50),
        (measure::P99, latency.p99),
        (measure::CPU, process.cpu_s / loaded.seconds),
    ]))
}

fn text(report: &Report) -> String {
    let ms = |measure| number(report.get(measure).map_or(f64::NAN, |us| us / 1e3));
    let mut text = format!("p50 {} ms, p99 {} ms", ms(measure::P50), ms(measure::P99));
    if let Some(logins) = report.get(measure::LOGINS) {
        text += &format!(", {} logins/s", number(*logins));
    }
    text
}
