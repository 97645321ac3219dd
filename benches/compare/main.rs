//! `cargo run --release -p benches --bin compare` — this server, the limit and its peers side by side
//! over real sockets: starts each in turn, puts it under load, and writes the medians and ratios into
//! `docs/benchmarks.md`. It needs the programs of this crate, `chat-server`, and Node.

mod bench;
mod load;
mod results;
mod scenarios;
mod servers;
mod shapes;
mod tables;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};
use shared::figures::Document;
use shared::programs;
use shared::{Outcome, exit_code, none_failed};

use bench::Bench;
use results::Results;
use scenarios::Scenario;
use servers::{Place, Server};
use shapes::Shape;

/// Fewer rounds say too little to be written down.
const ENOUGH_ROUNDS: usize = 5;

/// Compares this server with a bare epoll loop and with its peers, over real sockets.
///
/// Every server runs on one core and the load tool on another, one server at a time, all of them in
/// every round. Figures are medians over the rounds, ratios medians of the rounds' ratios.
#[derive(Parser)]
#[command(name = "compare", after_help = AFTER)]
struct Flags {
    /// How often each server is measured in each shape and scenario.
    #[arg(long, default_value_t = ENOUGH_ROUNDS)]
    rounds: usize,
    /// How long a run in a shape measures, in seconds.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Only this server; may be given several times. Without the limit there are no ratios against it.
    #[arg(long, value_name = "SERVER", value_parser = one_of(servers::ALL.map(|server| server.name)))]
    only: Vec<String>,
    /// Only this shape, and the scenarios that are named; may be given several times.
    #[arg(long, value_name = "SHAPE", value_parser = one_of(shapes::ALL.map(|shape| shape.name)))]
    shape: Vec<String>,
    /// Only this scenario, and the shapes that are named; may be given several times.
    #[arg(long, value_name = "SCENARIO", value_parser = one_of(scenarios::ALL.map(|one| one.name)))]
    scenario: Vec<String>,
    /// Where servers run [default: the first core that this program may use].
    #[arg(long, value_name = "CORE")]
    server_core: Option<usize>,
    /// Where the load tool runs [default: the last core that this program may use].
    #[arg(long, value_name = "CORE")]
    load_core: Option<usize>,
    /// Shows what came of it and writes nothing down. Fewer than five rounds are for this alone.
    #[arg(long)]
    trial: bool,
    /// Measures nothing: writes the figures of the last run into the document once more.
    #[arg(long, conflicts_with = "trial")]
    write_only: bool,
}

const AFTER: &str = "\
Scenarios (this server alone):
  idle     memory of 10,000 connections that say nothing
  connect  how long 10,000 take to come in and join
  beside   small rooms beside one of 10,000 that gets a message every 100 ms
  stalled  50 members that do not read: what the others notice, and when they are gone
  churn    200 times 1,000 connections that come and go: what memory comes to

Figures are kept in Cargo's target folder, so that a part can be measured again with --shape, --scenario or
--only; what is measured again replaces what was there.";

fn one_of<const N: usize>(names: [&'static str; N]) -> PossibleValuesParser {
    PossibleValuesParser::new(names)
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number from 0.1 to 3600".into()),
    }
}

/// What of all there is has been asked for.
struct Chosen {
    servers: Vec<&'static Server>,
    shapes: Vec<&'static Shape>,
    scenarios: Vec<&'static Scenario>,
}

impl Chosen {
    fn by(flags: &Flags) -> Self {
        let everything = flags.shape.is_empty() && flags.scenario.is_empty();
        let named = |names: &[String], name: &str| names.iter().any(|known| known == name);
        let shape = |shape: &&Shape| everything || named(&flags.shape, shape.name);
        let scenario = |one: &&Scenario| everything || named(&flags.scenario, one.name);
        let server = |server: &&Server| flags.only.is_empty() || named(&flags.only, server.name);
        // A scenario is of this server, and not done for somebody who asks for others alone.
        let ours = servers::ALL.into_iter().filter(server).any(Server::is_ours);
        Self {
            servers: servers::ALL.into_iter().filter(server).collect(),
            shapes: shapes::ALL.iter().filter(shape).collect(),
            scenarios: scenarios::ALL.iter().filter(scenario).filter(|_| ours).collect(),
        }
    }

    fn runs(&self, rounds: usize) -> usize {
        let of_scenarios: usize = self.scenarios.iter().map(|one| (one.runs)(rounds)).sum();
        self.shapes.len() * self.servers.len() * rounds + of_scenarios
    }
}

fn place(flags: &Flags) -> Outcome<Place> {
    let may_use = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| may_use.is_set(*core));
    let first = cores.next().ok_or("there is no core to run on")?;
    let last = cores.next_back().unwrap_or(first);
    let server_core = flags.server_core.unwrap_or(first);
    let load_core = flags.load_core.unwrap_or(last);
    for core in [server_core, load_core] {
        if core >= CpuSet::MAX_CPU || !may_use.is_set(core) {
            return Err(format!("this program may not run on core {core}").into());
        }
    }
    let program = std::env::current_exe()?;
    Ok(Place {
        programs: program.parent().ok_or("this program is in no folder")?.to_owned(),
        peers: Path::new(env!("CARGO_MANIFEST_DIR")).join("peers"),
        scratch: programs::scratch("compare")?,
        server_core,
        load_core,
    })
}

/// Servers and load tool inherit it: each connection takes a descriptor in both.
fn raise_open_files() -> Outcome<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Fails at once if it can't begin. What failed later is told in the end.
fn measure(flags: &Flags, results: &mut Results) -> Outcome<Vec<String>> {
    if flags.rounds < ENOUGH_ROUNDS && !flags.trial {
        return Err(format!("fewer than {ENOUGH_ROUNDS} rounds need --trial").into());
    }
    let place = place(flags)?;
    let chosen = Chosen::by(flags);
    servers::ready(&chosen.servers, &place)?;
    raise_open_files()?;
    let mut bench = Bench::new(place, flags.rounds, flags.seconds, chosen.runs(flags.rounds))?;
    // Kept after each part, so that a run of the better part of an hour can be cut short.
    let keep = |results: &Results| if flags.trial { Ok(()) } else { results.write() };
    for shape in &chosen.shapes {
        bench.compare(shape, &chosen.servers, results);
        keep(results)?;
    }
    for scenario in &chosen.scenarios {
        (scenario.measure)(&mut bench, results);
        keep(results)?;
    }
    Ok(bench.finish())
}

fn show(results: &Results) -> Outcome<()> {
    let mut out = std::io::stdout();
    for shape in tables::known(results) {
        writeln!(out, "{}\n\n{}", shape.label, tables::table(results, shape))?;
    }
    Ok(writeln!(out, "{}", tables::musts(results, true))?)
}

fn write(results: &Results) -> Outcome<()> {
    results.write()?;
    let mut document = Document::read()?;
    document.fill("sockets musts", &tables::musts(results, false))?;
    document.fill("sockets", &tables::shapes(results))?;
    for shape in tables::known(results) {
        document.draw(&format!("sockets-{}", shape.name), &tables::plot(results, shape))?;
    }
    Ok(document.save()?)
}

fn run(flags: &Flags) -> Outcome<()> {
    let mut results = if flags.trial { Results::empty() } else { Results::read() };
    let mut failures = Vec::new();
    if !flags.write_only {
        failures = measure(flags, &mut results)?;
    }
    show(&results)?;
    // What did not fail is worth keeping even if something else did.
    if !flags.trial {
        write(&results)?;
    }
    none_failed(&failures)
}

fn main() -> ExitCode {
    exit_code("compare", run(&Flags::parse()))
}
