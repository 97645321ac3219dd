//! How a program that measures ends.

use std::io::Write;
use std::process::ExitCode;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::Outcome;

/// Runs it to its end. What it started ends with it, and what it wrote is removed, also if it is
/// interrupted or told to end.
///
/// # Errors
/// Its own; that it was interrupted; and if there is no runtime to be had.
pub fn run_or_stop(run: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(async {
        let (mut interrupted, mut ended) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            outcome = run => outcome,
            _ = interrupted.recv() => Err("interrupted".into()),
            _ = ended.recv() => Err("ended".into()),
        }
    });
    // What still runs in the background ends with its program.
    runtime.shutdown_background();
    outcome
}

/// What comes of a program some of whose runs may have failed.
///
/// # Errors
/// All that failed, if anything did.
pub fn none_failed(failures: &[String]) -> Outcome<()> {
    match failures.len() {
        0 => Ok(()),
        n => Err(format!("runs that failed: {n}\n{}", failures.join("\n")).into()),
    }
}

/// Says what a program failed of, if it did.
#[must_use]
pub fn exit_code(program: &str, outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "{program}: {error}").ok();
            ExitCode::FAILURE
        }
    }
}
