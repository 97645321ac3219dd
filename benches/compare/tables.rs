//! What is written of the comparison: the table of what must hold, a table and a plot for each shape.

use std::fmt::Write;
use std::process::Command;

use shared::figures::{Musts, bars, number};

use crate::results::{Results, measure};
use crate::scenarios::{self, BOTH, STALLED_PEERS};
use crate::servers::{self, OURS, SOCKET_IO, Server};
use crate::shapes::{self, Bounds, Shape};

/// What must hold, and whether it does; if `measured`, only of what has been measured.
pub(crate) fn musts(results: &Results, measured: bool) -> String {
    let mut rows = Musts::new(measured);
    for shape in &shapes::ALL {
        let Bounds { must, hoped } = shape.at_most;
        rows.add(
            &format!("CPU per delivery against the limit: {}", shape.label),
            &format!("at most {must:.2}; hoped for: {hoped:.2}"),
            results.get(shape.name, OURS.name, measure::AGAINST_LIMIT),
            |ratio| format!("{ratio:.2}"),
            |ratio| ratio <= must,
        );
    }
    for shape in &shapes::ALL {
        let Some(Bounds { must, hoped }) = shape.socket_io else { continue };
        rows.add(
            &format!("what a delivery costs Socket.IO against this server: {}", shape.label),
            &format!("at least {must:.1} times; hoped for: {hoped:.1}"),
            results.get(shape.name, SOCKET_IO.name, measure::AGAINST_OURS),
            |ratio| format!("{ratio:.2} times"),
            |ratio| ratio >= must,
        );
    }
    of_scenarios(results, &mut rows);
    rows.table()
}

fn of_scenarios(results: &Results, rows: &mut Musts) {
    for server in BOTH {
        rows.add(
            &format!(
                "resident memory of an idle connection in a room, of 10,000: {}",
                server.label
            ),
            "at most 4,096 bytes; hoped for: 2,048",
            results.get(scenarios::IDLE, server.name, measure::MEMORY),
            |bytes| format!("{} bytes", number(bytes.round())),
            |bytes| bytes <= 4_096.0,
        );
    }
    for server in BOTH {
        rows.add(
            &format!("10,000 connections, authenticated and joined: {}", server.label),
            "at most 2 s",
            results.get(scenarios::CONNECT, server.name, measure::CONNECT),
            |seconds| format!("{seconds:.2} s"),
            |seconds| seconds <= 2.0,
        );
    }
    rows.add(
        "p99 in rooms of 10 while a room of 10,000 gets a message every 100 ms",
        "less than 15 ms",
        results.get(scenarios::BESIDE, OURS.name, measure::P99_BESIDE),
        |us| format!("{} ms", number(us / 1_000.0)),
        |us| us < 15_000.0,
    );
    let stalled = |measure| results.get(scenarios::STALLED, OURS.name, measure);
    let peers = format!("{STALLED_PEERS} members that do not read");
    rows.add(
        &format!("{peers}: p99 of the others against that without them"),
        "less than 1.20 times",
        stalled(measure::P99_RATIO),
        |ratio| format!("{ratio:.2} times"),
        |ratio| ratio < 1.2,
    );
    // What may wait for a slow reader, as the server is set unless told otherwise.
    let budget = STALLED_PEERS as f64;
    rows.add(
        &format!("{peers}: most resident memory beyond that without them"),
        &format!("at most 1 MiB each: {budget} MiB"),
        stalled(measure::GROWTH),
        |bytes| format!("{} MiB", number(mib(bytes))),
        |bytes| mib(bytes) <= budget,
    );
    rows.add(
        &format!("{peers}: gone after"),
        "30 s, and at most 15 s for their buffers to fill",
        stalled(measure::GONE),
        |seconds| format!("{seconds:.0} s"),
        |seconds| seconds <= 45.0,
    );
    rows.add(
        "resident memory after 200 rounds of 1,000 connections, against after the first",
        "within 10 %",
        results.get(scenarios::CHURN, OURS.name, measure::LAST_AGAINST_FIRST),
        |ratio| format!("{ratio:.2} times"),
        |ratio| ratio <= 1.1,
    );
}

fn mib(bytes: f64) -> f64 {
    bytes / 1_048_576.0
}

/// A table of one shape: a row for each server that was measured in it, the cheapest first.
pub(crate) fn table(results: &Results, shape: &Shape) -> String {
    let mut table = String::from(
        "| | CPU µs per delivery | against the limit | against this server | deliveries/s \
         | p50 ms | p99 ms | connected after s | KiB per connection | rounds |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for server in measured(results, shape) {
        let get = |measure| results.get(shape.name, server.name, measure);
        let cell = |measure, show: fn(f64) -> String| get(measure).map_or("–".into(), show);
        let name =
            if server.is_ours() { format!("**{}**", server.label) } else { server.label.into() };
        let cells = [
            name,
            cell(measure::CPU, |us| format!("{us:.2}")),
            cell(measure::AGAINST_LIMIT, |ratio| format!("{ratio:.2}")),
            cell(measure::AGAINST_OURS, |ratio| format!("{ratio:.2}")),
            cell(measure::DELIVERIES, |rate| number(rate.round())),
            cell(measure::P50, |us| format!("{:.2}", us / 1_000.0)),
            cell(measure::P99, |us| format!("{:.2}", us / 1_000.0)),
            cell(measure::CONNECT, |seconds| format!("{seconds:.2}")),
            cell(measure::MEMORY, |bytes| format!("{:.1}", bytes / 1_024.0)),
            cell(measure::ROUNDS, number),
        ];
        _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    table
}

/// What a delivery costs in each server, in the limit's.
pub(crate) fn plot(results: &Results, shape: &Shape) -> String {
    let ratio = |server: &Server| {
        let ratio = results.get(shape.name, server.name, measure::AGAINST_LIMIT)?;
        Some((server.label.to_owned(), ratio))
    };
    let ratios: Vec<_> = measured(results, shape).into_iter().filter_map(ratio).collect();
    let must = shape.at_most.must;
    let title = format!("CPU per delivery against the limit: {}", shape.label);
    bars(&title, "times", &[(&format!("must: {must:.2}"), must)], &ratios)
}

fn measured(results: &Results, shape: &Shape) -> Vec<&'static Server> {
    let cost = |server: &Server| results.get(shape.name, server.name, measure::CPU);
    let mut measured: Vec<_> =
        servers::ALL.iter().filter_map(|server| Some((cost(server)?, *server))).collect();
    measured.sort_by(|a, b| a.0.total_cmp(&b.0));
    measured.into_iter().map(|(_, server)| server).collect()
}

/// All shapes that were measured, each with its plot, as the document shows them.
pub(crate) fn shapes(results: &Results) -> String {
    let mut block = versions();
    for shape in known(results) {
        let Shape { name, label, .. } = shape;
        let image =
            format!("![CPU per delivery against the limit](images/bench-sockets-{name}.svg)");
        let table = table(results, shape);
        _ = write!(block, "\n### {label}\n\n{image}\n\n{table}");
    }
    block
}

/// The shapes of which there are figures.
pub(crate) fn known(results: &Results) -> impl Iterator<Item = &'static Shape> {
    shapes::ALL.iter().filter(|shape| !measured(results, shape).is_empty())
}

/// What exactly the others are: as the lock files say, which is what was built and installed.
fn versions() -> String {
    let crates = include_str!("../../Cargo.lock");
    let of_crate = |name: &str| {
        let found = crates.split_once(&format!("name = \"{name}\"\nversion = \""));
        found.and_then(|(_, rest)| rest.split('"').next()).unwrap_or("unknown")
    };
    let packages = include_str!("../peers/package.json");
    let of_package = |name: &str| {
        let found = packages.split_once(&format!("\"{name}\": \""));
        found.and_then(|(_, rest)| rest.split('"').next()).unwrap_or("unknown")
    };
    let node = Command::new("node").arg("--version").output();
    let node = node.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    format!(
        "Socket.IO {} and ws {} on Node {}, socketioxide {}, axum {}.\n",
        of_package("socket.io"),
        of_package("ws"),
        node.as_deref().unwrap_or("unknown").trim().trim_start_matches('v'),
        of_crate("socketioxide"),
        of_crate("axum"),
    )
}
