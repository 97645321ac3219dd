//! `scripts/services run cargo run --release -p benches --bin people` — what signing in costs others:
//! chat while a hundred people sign in at a time, and what somebody who guesses can learn from how long
//! an answer takes; writes tables and a plot into `docs/benchmarks.md`.

mod beside;
mod client;
mod guessing;
mod musts;
mod results;
mod server;
mod storm;
mod tables;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use shared::figures::Document;
use shared::{Outcome, Runs, exit_code, none_failed, run_or_stop};

use results::Results;
use server::{Database, Place};

/// Fewer rounds say too little to be written down.
const ENOUGH_ROUNDS: usize = 5;

/// Measures what signing in costs others, and whether its duration tells who has an account.
///
/// Ratios are of what ran in turns against one server. Without `scripts/services run`, over SQLite alone.
#[derive(Parser)]
#[command(name = "people", after_help = AFTER)]
struct Flags {
    /// How often chat is measured with logins beside it, and how often without: 7 times, in a quick run
    /// once.
    #[arg(long)]
    rounds: Option<usize>,
    /// How long each of those measures, in seconds: 5, in a quick run 0.5.
    #[arg(long)]
    seconds: Option<f64>,
    /// Only this database; may be given several times.
    #[arg(long, value_name = "DATABASE", value_parser = PossibleValuesParser::new(server::ALL.map(Database::case)))]
    only: Vec<String>,
    /// To see that it works: little is measured, and what came of it is shown and not written down.
    #[arg(long)]
    quick: bool,
    /// Measures nothing: writes the figures of the last run into the document once more.
    #[arg(long, conflicts_with = "quick")]
    write_only: bool,
}

const AFTER: &str = "\
Everything is on the disk of Cargo's target folder. Figures are kept there too, so that one database can be
measured again with --only.";

/// How much is measured.
struct Extent {
    rounds: usize,
    measured: Duration,
    /// How many wrong passwords are tried of each.
    guesses: usize,
}

impl Extent {
    fn by(flags: &Flags) -> Self {
        let (rounds, seconds) = if flags.quick { (1, 0.5) } else { (7, 5.0) };
        Self {
            rounds: flags.rounds.unwrap_or(rounds),
            measured: Duration::from_secs_f64(flags.seconds.unwrap_or(seconds)),
            // Of more, the later ones would have to wait.
            guesses: if flags.quick { 1 } else { 5 },
        }
    }
}

/// What failed is told in the end.
async fn measure(flags: &Flags, results: &mut Results) -> Outcome<Vec<String>> {
    let extent = Extent::by(flags);
    if extent.rounds < ENOUGH_ROUNDS && !flags.quick {
        return Err(format!("fewer than {ENOUGH_ROUNDS} rounds need --quick").into());
    }
    let place = Place::find().await?;
    let runs = Runs::new(extent.rounds);
    let chosen = |name: &str| flags.only.is_empty() || flags.only.iter().any(|it| it == name);
    for database in server::ALL.into_iter().filter(|it| chosen(it.case())) {
        if !place.has(database) {
            runs.say("MariaDB is left out: `scripts/services run` brings it");
            continue;
        }
        beside::measure(&runs, &place, database, extent.measured, results).await;
        guessing::measure(&runs, &place, database, extent.guesses, results).await?;
        if !flags.quick {
            results.write()?;
        }
    }
    Ok(runs.finish())
}

fn show(results: &Results) -> Outcome<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{}\n{}", tables::beside(results), tables::guessing(results))?;
    Ok(writeln!(out, "{}", musts::table(results, true))?)
}

fn write(results: &Results) -> Outcome<()> {
    let mut document = Document::read()?;
    document.fill("people musts", &musts::table(results, false))?;
    document.fill("people beside", &tables::beside(results))?;
    document.fill("people guessing", &tables::guessing(results))?;
    document.draw("people-beside", &tables::plot(results))?;
    Ok(document.save()?)
}

async fn run(flags: &Flags) -> Outcome<()> {
    let mut results = if flags.quick { Results::empty() } else { Results::read() };
    let mut failures = Vec::new();
    if !flags.write_only {
        failures = measure(flags, &mut results).await?;
    }
    show(&results)?;
    // What did not fail is worth keeping even if something else did.
    if !flags.quick {
        write(&results)?;
    }
    none_failed(&failures)
}

fn main() -> ExitCode {
    exit_code("people", run_or_stop(run(&Flags::parse())))
}
