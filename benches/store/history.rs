//! A page of history near the beginning, the middle and the end of rooms of several sizes, on both
//! databases.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_server::store::{MySqlOptions, MySqlStore, SqlStore, SqliteStore};
use shared::Outcome;
use shared::figures::Report;
use shared::figures::number;
use tempfile::TempDir;

use crate::bench::Bench;
use crate::closed_loop;
use crate::fill::{self, End, Filled};
use crate::results::{Results, measure, name};

/// As it is called on the command line.
pub(crate) const CASE: &str = "history";
/// How many messages a page has.
pub(crate) const PAGE: u64 = 50;
/// How far from its place a page may begin, in messages.
const NEAR: u64 = 1_000;
/// Where in a room a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Start,
    Middle,
    End,
}

pub(crate) const PLACES: [(&str, Place); 3] =
    [("start", Place::Start), ("middle", Place::Middle), ("end", Place::End)];

/// How large the rooms are, as their cases are called.
pub(crate) const SIZES: [&str; 3] = ["small", "large", "filled"];
pub(crate) const DATABASES: [&str; 2] = [name::DATABASE, name::FILE];

/// The case of a room.
pub(crate) fn case(size: &str) -> String {
    format!("history, {size}")
}

/// How much is written and read.
pub(crate) struct Extent {
    /// How many messages the small room has, and the large one.
    pub(crate) rows: [u64; 2],
    /// How long the third one is filled, in each database.
    pub(crate) fill: Duration,
    /// How many pages are read at each place.
    pub(crate) pages: usize,
}

/// A room of a database.
struct Room {
    database: &'static str,
    size: &'static str,
    store: Arc<dyn SqlStore>,
    filled: Filled,
}

/// Fills the rooms and reads pages.
pub(crate) async fn measure(bench: &Bench, extent: &Extent, results: &mut Results) -> Outcome<()> {
    const NAME: &str = "history";
    let folder = TempDir::new_in(&bench.scratch)?;
    let url = bench.mariadb.make(NAME).await?;
    let mariadb: Arc<dyn SqlStore> = Arc::new(MySqlStore::open(&MySqlOptions::new(url)).await?);
    let sqlite: Arc<dyn SqlStore> =
        Arc::new(SqliteStore::open(&folder.path().join("chat.db")).await?);
    let mut rooms = Vec::new();
    for (database, store) in DATABASES.into_iter().zip([&mariadb, &sqlite]) {
        let [small, large] = extent.rows;
        let ends = [End::Rows(small), End::Rows(large), End::Time(extent.fill)];
        for (size, end) in SIZES.into_iter().zip(ends) {
            let filled = fill::room(bench, store, end).await?;
            let (rows, rate) = (number(filled.rows as f64), number(filled.rate.round()));
            bench.say(&format!("{}, {database}: {rows} messages, {rate}/s", case(size)));
            rooms.push(Room { database, size, store: Arc::clone(store), filled });
        }
    }
    let mut times = vec![[const { Vec::new() }; PLACES.len()]; rooms.len()];
    let mut random = Random(1);
    for _ in 0..extent.pages {
        for (room, times) in rooms.iter().zip(&mut times) {
            for ((_, place), times) in PLACES.iter().zip(times) {
                times.push(room.page(*place, &mut random).await?);
            }
        }
    }
    for (room, times) in rooms.iter().zip(times) {
        let Filled { rows, rate, .. } = room.filled;
        let filled = Report::from([(measure::ROWS, rows as f64), (measure::RATE, rate)]);
        results.put(&case(room.size), room.database, &filled);
        for ((place, _), mut times) in PLACES.iter().zip(times) {
            let seconds = times.iter().sum::<u64>() as f64 / 1e9;
            let report = closed_loop::of_times(&mut times, seconds);
            let (p50, p99) = (number(report[measure::P50]), number(report[measure::P99]));
            let what = format!("{}, {}, {place}", case(room.size), room.database);
            bench.say(&format!("{what}: p50 {p50} µs, p99 {p99} µs"));
            results.put(&case(room.size), &format!("{} {place}", room.database), &report);
        }
    }
    for store in [mariadb, sqlite] {
        store.close().await;
    }
    bench.mariadb.drop(NAME).await
}

impl Room {
    /// How long a page near this place takes, in nanoseconds.
    async fn page(&self, place: Place, random: &mut Random) -> Outcome<u64> {
        let last = self.filled.rows - PAGE;
        let off = random.below(NEAR.min(last / 4) + 1);
        let after = match place {
            Place::Start => off,
            Place::Middle => last / 2 + off,
            Place::End => last - off,
        };
        let began = Instant::now();
        let page = self.store.messages(self.filled.key, after, after + PAGE).await?;
        let took = began.elapsed();
        let whole =
            page.len() as u64 == PAGE && page.iter().map(|it| it.seq).eq(after + 1..=after + PAGE);
        if whole { Ok(took.as_nanos() as u64) } else { Err("a page is not whole".into()) }
    }
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
