//! `scripts/services run cargo run --release -p benches --bin store` — what it costs to have messages on
//! disk before they are acknowledged: the engine over MariaDB and SQLite against what people write
//! without one, side by side; writes tables and plots into `docs/benchmarks.md`.

mod bare;
mod bench;
mod check;
mod closed_loop;
mod contenders;
mod counts;
mod engine;
mod fill;
mod history;
mod home_made;
mod musts;
mod results;
mod shape;
mod tables;
mod two;
mod whole;
mod writer;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use shared::figures::Document;
use shared::programs::{self, MariaDb};
use shared::{Outcome, exit_code, none_failed, run_or_stop};

use bench::Bench;
use contenders::Contender;
use history::Extent;
use results::Results;
use shape::{ROOMS, Shape};

/// The server's, for all who are compared.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Fewer rounds say too little to be written down.
const ENOUGH_ROUNDS: usize = 3;
/// The argument that makes this program one of two that write.
const WRITER: &str = "--writer";

/// Measures how many messages a second are on disk and acknowledged, and how long each takes.
///
/// Everybody who writes has a turn in every round. Figures are medians over the rounds, ratios medians
/// of the rounds' ratios.
#[derive(Parser)]
#[command(name = "store", after_help = AFTER)]
struct Flags {
    /// How often each contender is measured in each shape: 5 times, in a quick run once.
    #[arg(long)]
    rounds: Option<usize>,
    /// How long a run measures, in seconds: 5, in a quick run 0.5.
    #[arg(long, value_parser = seconds)]
    seconds: Option<f64>,
    /// Only this part; may be given several times.
    #[arg(long, value_name = "PART", value_parser = PossibleValuesParser::new(parts()))]
    only: Vec<String>,
    /// How long the largest room of `history` is filled in each database, in minutes. Ten take some 30 GB
    /// of the disk.
    #[arg(long, value_name = "MINUTES", default_value_t = 1.0, value_parser = minutes)]
    fill_minutes: f64,
    /// To see that it works: little is measured, the rooms of `history` are small, and what came of it is
    /// shown and not written down.
    #[arg(long)]
    quick: bool,
    /// Measures nothing: writes the figures of the last run into the document once more.
    #[arg(long, conflicts_with = "quick")]
    write_only: bool,
    #[arg(long, hide = true)]
    writer: bool,
}

const AFTER: &str = "\
Parts:
  1x1 … 512x1000  so many senders, so many rooms; two processes write too in 512x100
  server          the whole server over WebSockets, 64 senders in 100 rooms of ten members
  history         pages of 50 messages in rooms of 1,000 and 1,000,000 and in one that is filled by time

It is started by `scripts/services run`, which says what MariaDB to start. Everything is on the disk of Cargo's
target folder. Figures are kept there too, so that a part can be measured again with --only; what is
measured again replaces what was there.";

fn parts() -> Vec<&'static str> {
    shape::ALL.iter().map(|shape| shape.name).chain([whole::CASE, history::CASE]).collect()
}

fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.1..=600.0)
}

fn minutes(text: &str) -> Result<f64, String> {
    within(text, 0.0..=600.0)
}

fn within(text: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("must be a number from {} to {}", range.start(), range.end())),
    }
}

/// What of all there is has been asked for, and how long it is to take.
struct Chosen {
    shapes: Vec<&'static Shape>,
    server: bool,
    history: Option<Extent>,
    rounds: usize,
    measured: Duration,
}

impl Chosen {
    fn by(flags: &Flags) -> Self {
        let chosen = |name: &str| flags.only.is_empty() || flags.only.iter().any(|it| it == name);
        let extent = if flags.quick {
            Extent { rows: [1_000, 20_000], fill: Duration::from_secs(1), pages: 100 }
        } else {
            let fill = Duration::from_secs_f64(flags.fill_minutes * 60.0);
            Extent { rows: [1_000, 1_000_000], fill, pages: 1_000 }
        };
        let (rounds, seconds) = if flags.quick { (1, 0.5) } else { (5, 5.0) };
        Self {
            shapes: shape::ALL.iter().filter(|shape| chosen(shape.name)).collect(),
            server: chosen(whole::CASE),
            history: chosen(history::CASE).then_some(extent),
            rounds: flags.rounds.unwrap_or(rounds),
            measured: Duration::from_secs_f64(flags.seconds.unwrap_or(seconds)),
        }
    }
}

/// Fails at once if it can't begin. What failed later is told in the end.
async fn measure(flags: &Flags, results: &mut Results) -> Outcome<Vec<String>> {
    let Chosen { shapes, server, history, rounds, measured } = Chosen::by(flags);
    if rounds < ENOUGH_ROUNDS && !flags.quick {
        return Err(format!("fewer than {ENOUGH_ROUNDS} rounds need --quick").into());
    }
    if server {
        whole::programs()?;
    }
    let scratch = programs::scratch("store")?;
    let mariadb = MariaDb::start(&scratch).await?;
    let bench = Bench::new(mariadb, scratch, rounds, measured);
    // Kept after each part, so that a long run can be cut short.
    let keep = |results: &Results| if flags.quick { Ok(()) } else { results.write() };
    for shape in shapes {
        let contenders = Contender::of(shape).into_iter().map(|it| (it.name(), it));
        let contenders: Vec<_> = contenders.collect();
        let run = async |bench: &Bench, contender: Contender| contender.measure(bench, shape).await;
        bench.compare((shape.name, &shape.label()), &contenders, run, results).await;
        keep(results)?;
    }
    if server {
        whole::measure(&bench, results).await?;
        keep(results)?;
    }
    if let Some(extent) = history {
        history::measure(&bench, &extent, results).await?;
        keep(results)?;
    }
    Ok(bench.finish())
}

fn show(results: &Results) -> Outcome<()> {
    let mut out = std::io::stdout();
    for rooms in ROOMS {
        if let Some(table) = tables::sending(results, rooms) {
            writeln!(out, "rooms: {rooms}\n\n{table}")?;
        }
    }
    for table in [tables::servers(results), tables::pages(results)].into_iter().flatten() {
        writeln!(out, "{table}")?;
    }
    Ok(writeln!(out, "{}", musts::table(results, true))?)
}

fn write(results: &Results) -> Outcome<()> {
    let mut document = Document::read()?;
    document.fill("store musts", &musts::table(results, false))?;
    document.fill("store", &tables::all_sending(results))?;
    let not_measured = || "Not measured.\n".to_owned();
    document.fill("store server", &tables::servers(results).unwrap_or_else(not_measured))?;
    document.fill("store history", &tables::pages(results).unwrap_or_else(not_measured))?;
    for (name, plot) in tables::plots(results) {
        document.draw(name, &plot)?;
    }
    Ok(document.save()?)
}

async fn run(flags: &Flags) -> Outcome<()> {
    if flags.writer {
        return writer::run().await;
    }
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
    exit_code("store", run_or_stop(run(&Flags::parse())))
}
