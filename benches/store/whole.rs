//! The whole server over WebSockets against one that is home-made, both of them writing to the same
//! MariaDB, under the load tool. All of it shares the cores: server, database and clients.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use shared::Outcome;
use shared::figures::Report;
use shared::programs::{self, LISTENING, Load, Program, TO_START, chat_server};
use tempfile::TempDir;

use crate::bench::Bench;
use crate::results::{Results, measure, name};

/// As it is called on the command line and in the figures.
pub(crate) const CASE: &str = "server";
pub(crate) const SENDERS: usize = 64;
pub(crate) const ROOMS: usize = 100;
pub(crate) const MEMBERS: usize = 10;

/// What keeps a client from sending as fast as it gets its answers.
const SETTINGS: [&str; 2] = ["socket.commands_per_s=0", "socket.bytes_per_s=0"];
/// The database that all of them write to, each to its own.
const NAME: &str = "server";

/// The program of a server.
#[derive(Clone, Copy)]
pub(crate) enum Server {
    Chat,
    /// A way to number messages, as the peer takes it on its command line.
    HomeMade(&'static str),
}

/// In the order of tables, as they are called in the figures.
pub(crate) const ALL: [(&str, Server); 3] = [
    (name::SERVER, Server::Chat),
    (name::COUNTER, Server::HomeMade("counter")),
    (name::AUTO, Server::HomeMade("auto")),
];

impl Server {
    /// As it is called in tables.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Chat => "**this server, MariaDB**",
            Self::HomeMade("counter") => "home-made on axum, each room has a counter",
            Self::HomeMade(_) => "home-made on axum, `AUTO_INCREMENT`",
        }
    }

    /// As it is called in plots, where there is little space.
    pub(crate) fn plotted(self) -> &'static str {
        match self {
            Self::Chat => "this server, MariaDB",
            Self::HomeMade("counter") => "home-made on axum, counter",
            Self::HomeMade(_) => "home-made on axum, auto",
        }
    }

    fn dialect(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::HomeMade(_) => "plain",
        }
    }

    /// Starts it over a database that is empty; the address at which it listens.
    fn start(self, programs: &Path, url: &str, data: &Path) -> Outcome<(Program, String)> {
        let (command, words) = match self {
            Self::Chat => {
                let mut command = chat_server(programs, data, SETTINGS);
                command.env("CHAT__STORE__URL", url);
                (command, LISTENING)
            }
            Self::HomeMade(way) => {
                let mut command = Command::new(programs.join("peer-axum"));
                // Everybody on the machine can read a command line.
                command.args(["0", way]).env("DATABASE_URL", url).current_dir(data);
                (command, "listening on ")
            }
        };
        let program = Program::start("the server", command, None)?;
        let address = program.says(words, TO_START)?;
        Ok((program, address))
    }
}

/// Measures all of them.
pub(crate) async fn measure(bench: &Bench, results: &mut Results) -> Outcome<()> {
    let programs = programs()?;
    let run = async |bench: &Bench, server: Server| {
        let url = bench.mariadb.make(NAME).await?;
        let (programs, scratch) = (programs.clone(), bench.scratch.clone());
        let measured = bench.measured;
        let run = move || {
            under_load(server, &programs, &url, &scratch, measured).map_err(|it| it.to_string())
        };
        let report = tokio::task::spawn_blocking(run).await?;
        bench.mariadb.drop(NAME).await?;
        Ok(report?)
    };
    bench.compare((CASE, "whole server"), &ALL, run, results).await;
    Ok(())
}

fn under_load(
    server: Server,
    programs: &Path,
    url: &str,
    scratch: &Path,
    measured: Duration,
) -> Outcome<Report> {
    let folder = TempDir::new_in(scratch)?;
    let (mut program, address) = server.start(programs, url, folder.path())?;
    let load = Load::ws(programs, scratch, (&program, &address), server.dialect())?
        .switch("keys")
        .flag("connections", ROOMS * MEMBERS)
        .flag("rooms", ROOMS)
        .flag("senders", SENDERS)
        .flag("seconds", measured.as_secs_f64());
    let loaded = load.run(None, measured, &mut || Ok(()))?;
    program.still_runs()?;
    let (latency, process) = loaded.latency_us.zip(loaded.server).ok_or("nothing was delivered")?;
    Ok(Report::from([
        (measure::RATE, loaded.messages / loaded.seconds),
        (measure::P50, latency.p50),
        (measure::P99, latency.p99),
        (measure::CPU, process.cpu_s * 1e6 / loaded.messages),
    ]))
}

/// The folder of the programs that are needed, which are built with this one.
pub(crate) fn programs() -> Outcome<PathBuf> {
    let or = |error| format!("{error}, or leave `{CASE}` out");
    Ok(programs::built(&["chat-server", "peer-axum", "load"]).map_err(or)?)
}
