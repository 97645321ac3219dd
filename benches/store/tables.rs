//! What is written of the figures: tables and plots.

use std::fmt::Write;
use std::process::Command;

use shared::figures::{Plot, bars, number};

use crate::contenders::{self, Contender};
use crate::results::{Results, measure, name};
use crate::shape::{self, ROOMS, SENDERS};
use crate::{history, whole};

/// How many rooms are in the plots.
const PLOTTED: usize = 100;

/// A figure as a cell of a table.
fn cell(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or("–".into(), show)
}

fn ms(us: f64) -> String {
    let ms = us / 1e3;
    if ms < 0.1 { format!("{ms:.3}") } else { number(ms) }
}

fn whole_number(value: f64) -> String {
    number(value.round())
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

fn row(table: &mut String, cells: &[String]) {
    // Writing to memory does not fail.
    _ = writeln!(table, "| {} |", cells.join(" | "));
}

/// The shapes of so many rooms, as far as they were measured; nothing if none was.
pub(crate) fn sending(results: &Results, rooms: usize) -> Option<String> {
    let mut table = String::from(
        "| senders | | messages/s | against home-made | p50 ms | p99 ms | p99 against home-made \
         | messages per commit | statements per commit | `SELECT`s per s | rounds |\n\
         | --: | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    let mut any = false;
    for shape in shape::ALL.iter().filter(|shape| shape.rooms == rooms) {
        for contender in contenders::ALL {
            let get = |measure| results.get(shape.name, contender.name(), measure);
            let Some(rate) = get(measure::RATE) else { continue };
            any = true;
            // The disk alone takes no messages.
            let is_chat = contender != Contender::Fdatasync;
            let of_chat = |value: Option<f64>| value.filter(|_| is_chat);
            let cells = [
                number(shape.senders as f64),
                contender.label().to_owned(),
                whole_number(rate),
                cell(of_chat(get(measure::AGAINST)), ratio),
                cell(get(measure::P50), ms),
                cell(get(measure::P99), ms),
                cell(of_chat(get(measure::P99_AGAINST)), ratio),
                cell(get(measure::PER_COMMIT), number),
                cell(get(measure::STATEMENTS), ratio),
                cell(get(measure::SELECTS), number),
                cell(get(measure::ROUNDS), number),
            ];
            row(&mut table, &cells);
        }
    }
    any.then_some(table)
}

/// All of that, as the document shows it, and what was checked behind two processes.
pub(crate) fn all_sending(results: &Results) -> String {
    let mut block = version();
    for rooms in ROOMS {
        let Some(table) = sending(results, rooms) else { continue };
        let plural = if rooms == 1 { "" } else { "s" };
        _ = write!(block, "\n### {} room{plural}\n\n", number(rooms as f64));
        if rooms == PLOTTED {
            block += "![Messages a second over senders](images/bench-store-rate.svg)\n\n\
                ![p99 of an acknowledgement over senders](images/bench-store-p99.svg)\n\n";
        }
        block += &table;
    }
    let of_two = |measure| {
        let shape = shape::of(contenders::OF_TWO.0, contenders::OF_TWO.1)?;
        results.get(shape.name, name::TWO, measure)
    };
    if let (Some(acked), Some(stored)) = (of_two(measure::ACKED), of_two(measure::STORED)) {
        _ = write!(
            block,
            "\nOf two processes, {} messages of a round were acknowledged and {} stored (medians): in \
             every round each acknowledged message was there once, under the number that its sender \
             was told, and every room was numbered without a gap.\n",
            number(acked),
            number(stored)
        );
    }
    block
}

/// What exactly was measured: the server that the template starts.
fn version() -> String {
    let programs = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let said = Command::new("mariadbd").arg("--version").env("PATH", programs).output();
    let said = said.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let version = said.as_deref().and_then(|said| said.split("Ver ").nth(1)?.split(' ').next());
    format!("MariaDB {}.\n", version.unwrap_or("unknown"))
}

/// The whole server and those beside it.
pub(crate) fn servers(results: &Results) -> Option<String> {
    let mut table = String::from(
        "| | messages/s | against home-made | p50 ms | p99 ms | server's CPU µs per message | rounds |\n\
         | --- | --: | --: | --: | --: | --: | --: |\n",
    );
    let mut any = false;
    for (name, server) in whole::ALL {
        let get = |measure| results.get(whole::CASE, name, measure);
        let Some(rate) = get(measure::RATE) else { continue };
        any = true;
        let cells = [
            server.label().to_owned(),
            whole_number(rate),
            cell(get(measure::AGAINST), ratio),
            cell(get(measure::P50), ms),
            cell(get(measure::P99), ms),
            cell(get(measure::CPU), number),
            cell(get(measure::ROUNDS), number),
        ];
        row(&mut table, &cells);
    }
    any.then_some(table)
}

/// Pages of history.
pub(crate) fn pages(results: &Results) -> Option<String> {
    let mut table = String::from(
        "| | messages in the room | start µs | middle µs | end µs | p99 µs: start | middle | end \
         | filled with, messages/s |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    let mut any = false;
    for (database, label) in history::DATABASES.into_iter().zip(["MariaDB", "SQLite"]) {
        for size in history::SIZES {
            let case = history::case(size);
            let Some(rows) = results.get(&case, database, measure::ROWS) else { continue };
            any = true;
            let at = |measure| {
                history::PLACES.map(|(place, _)| {
                    cell(results.get(&case, &format!("{database} {place}"), measure), number)
                })
            };
            let rate = results.get(&case, database, measure::RATE);
            let mut cells = vec![label.to_owned(), number(rows)];
            cells.extend(at(measure::P50));
            cells.extend(at(measure::P99));
            cells.push(cell(rate, whole_number));
            row(&mut table, &cells);
        }
    }
    any.then_some(table)
}

/// The plots that can be drawn, by name.
pub(crate) fn plots(results: &Results) -> Vec<(&'static str, String)> {
    let lines = |measure, unit: f64| -> Vec<(String, Vec<(f64, f64)>)> {
        let of = |contender: Contender| {
            let point = |senders: usize| {
                let shape = shape::of(senders, PLOTTED)?;
                let value = results.get(shape.name, contender.name(), measure)?;
                Some((senders as f64, value / unit))
            };
            let name = contender.plotted()?.to_owned();
            let points: Vec<_> = SENDERS.into_iter().filter_map(point).collect();
            (points.len() > 1).then_some((name, points))
        };
        contenders::ALL.into_iter().filter_map(of).collect()
    };
    let plot = |title, y, lines: Vec<_>| Plot {
        title,
        x: "senders",
        y,
        log: true,
        lines,
        marks: Vec::new(),
        limits: Vec::new(),
    };
    let mut plots = Vec::new();
    let rates = lines(measure::RATE, 1.0);
    let latencies = lines(measure::P99, 1e3);
    if !rates.is_empty() {
        let rate = plot("Messages on disk, 100 rooms", "messages a second", rates);
        let p99 =
            plot("From sending to acknowledgement, 100 rooms: p99", "milliseconds", latencies);
        plots.extend([("store-rate", rate.draw()), ("store-p99", p99.draw())]);
    }
    let mut servers = Vec::new();
    for (name, server) in whole::ALL {
        let rate = results.get(whole::CASE, name, measure::RATE);
        servers.extend(rate.map(|rate| (server.plotted().to_owned(), rate.round())));
    }
    if !servers.is_empty() {
        let title = "Messages of the whole server a second, 64 senders in 100 rooms of ten";
        plots.push(("store-server", bars(title, "/s", &[], &servers)));
    }
    plots
}
