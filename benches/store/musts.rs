//! The table of what must hold.

use shared::figures::Musts;

use crate::contenders::OF_TWO;
use crate::history;
use crate::results::{Results, measure, name};
use crate::shape::{self, ROOMS, Shape};
use crate::whole;

/// What must be, and what is hoped for.
type Bounds = (f64, f64);

/// How many times as many messages as home-made.
const FASTER: [((usize, usize), Bounds); 3] =
    [((64, 100), (5.0, 8.0)), ((512, 100), (10.0, 20.0)), ((512, 1), (20.0, 40.0))];
/// p99 of 512 senders, in home-made's: one in so many.
const SOONER: Bounds = (6.0, 15.0);
/// One sender's p50, in a bare commit's.
const ALONE: Bounds = (1.5, 1.1);
const PER_COMMIT: [((usize, usize), Bounds); 2] =
    [((64, 100), (25.0, 36.0)), ((512, 100), (150.0, 275.0))];
const OF_TWO_PROCESSES: Bounds = (6.0, 12.0);
const OF_SERVER: Bounds = (3.0, 6.0);
/// The slowest of the three places in a room, in the quickest.
const PAGES: f64 = 2.0;

/// What must hold, and whether it does; if `measured`, only of what has been measured.
pub(crate) fn table(results: &Results, measured: bool) -> String {
    let mut musts = Musts::new(measured);
    of_one_process(results, &mut musts);
    of_the_rest(results, &mut musts);
    musts.table()
}

fn times(value: f64) -> String {
    format!("{value:.2} times")
}

fn at_least((must, hoped): Bounds) -> String {
    format!("at least {must} times; hoped for: {hoped}")
}

fn of_one_process(results: &Results, musts: &mut Musts) {
    let get = |(senders, rooms): (usize, usize), measure| {
        results.get(shape::of(senders, rooms)?.name, name::ENGINE, measure)
    };
    let label = |(senders, rooms)| shape::of(senders, rooms).map_or_else(String::new, Shape::label);
    for (shape, bounds) in FASTER {
        musts.add(
            &format!("messages/s against home-made: {}", label(shape)),
            &at_least(bounds),
            get(shape, measure::AGAINST),
            times,
            |ratio| ratio >= bounds.0,
        );
    }
    for rooms in ROOMS {
        musts.add(
            &format!("p99 against home-made: {}", label((512, rooms))),
            &format!("at most 1/{}; hoped for: 1/{}", SOONER.0, SOONER.1),
            get((512, rooms), measure::P99_AGAINST),
            |ratio| format!("1/{:.1}", 1.0 / ratio),
            |ratio| ratio <= 1.0 / SOONER.0,
        );
    }
    for rooms in ROOMS {
        musts.add(
            &format!("p50 against a bare commit: {}", label((1, rooms))),
            &format!("at most {} times; hoped for: {}", ALONE.0, ALONE.1),
            get((1, rooms), measure::P50_AGAINST_BARE),
            times,
            |ratio| ratio <= ALONE.0,
        );
    }
    for (shape, (must, hoped)) in PER_COMMIT {
        musts.add(
            &format!("messages per commit: {}", label(shape)),
            &format!("at least {must}; hoped for: {hoped}"),
            get(shape, measure::PER_COMMIT),
            |count| format!("{count:.1}"),
            |count| count >= must,
        );
    }
}

fn of_the_rest(results: &Results, musts: &mut Musts) {
    let of_two = shape::of(OF_TWO.0, OF_TWO.1);
    let get = |name, measure| results.get(of_two?.name, name, measure);
    musts.add(
        "two processes that write to the same 100 rooms, 512 senders: messages/s against home-made",
        &at_least(OF_TWO_PROCESSES),
        get(name::TWO, measure::AGAINST),
        times,
        |ratio| ratio >= OF_TWO_PROCESSES.0,
    );
    musts.add(
        "the whole server over WebSockets against a home-made one, 64 senders, 100 rooms of ten",
        &at_least(OF_SERVER),
        results.get(whole::CASE, name::SERVER, measure::AGAINST),
        times,
        |ratio| ratio >= OF_SERVER.0,
    );
    musts.add(
        "SQLite, 512 senders, 100 rooms: messages/s against the engine on MariaDB",
        "at least as many",
        get(name::SQLITE, measure::AGAINST_MARIADB),
        times,
        |ratio| ratio >= 1.0,
    );
    for (database, label) in history::DATABASES.into_iter().zip(["MariaDB", "SQLite"]) {
        for size in history::SIZES {
            let case = history::case(size);
            let rows = results.get(&case, database, measure::ROWS);
            let room = match rows {
                Some(rows) => format!("a room of {}", shared::figures::number(rows)),
                None => format!("the {size} room"),
            };
            musts.add(
                &format!(
                    "a page of {} at start, middle and end of {room}, {label}: the slowest against the \
                     quickest",
                    history::PAGE
                ),
                &format!("at most {PAGES} times"),
                spread(results, &case, database),
                times,
                |ratio| ratio <= PAGES,
            );
        }
    }
}

/// The slowest place in a room in the quickest, by their medians.
fn spread(results: &Results, case: &str, database: &str) -> Option<f64> {
    let median = |(place, _)| results.get(case, &format!("{database} {place}"), measure::P50);
    let medians = history::PLACES.into_iter().map(median).collect::<Option<Vec<f64>>>()?;
    let least = medians.iter().copied().fold(f64::MAX, f64::min);
    Some(medians.iter().copied().fold(0.0, f64::max) / least)
}
