//! `cargo run --release -p benches --bin load -- ws --help` — puts a chat server under load and says
//! what it did: how many deliveries a second, how late each was, what it took of CPU and memory. It
//! checks order, gaps and doubles on every connection. The same tool asks the HTTP API.

mod api;
mod args;
mod dialect;
mod frame;
mod http;
mod order;
mod outcome;
mod poller;
mod process;
mod progress;
mod report;
mod swarm;
mod traffic;
mod ws;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use args::{Arguments, What};

/// Why a run could not be done, and how to put it right: one line for whoever started it.
#[derive(Debug)]
pub(crate) struct Unable(pub(crate) String);

impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Ws(args) => ws::run(&args),
        What::Http(args) => http::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            writeln!(io::stderr(), "load: there were faults; the figures name them").ok();
            ExitCode::FAILURE
        }
        Err(error) => {
            writeln!(io::stderr(), "load: {error}").ok();
            ExitCode::from(2)
        }
    }
}

/// What runs requests: on this thread, because there is to be one.
pub(crate) fn runtime() -> Result<Runtime, Unable> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Unable(format!("no runtime: {error}")))
}
