//! The whole server over WebSockets against one that is home-made, both of them writing to the same
//! MariaDB, under the load tool. All of it shares the cores: server, database and clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use crate::Outcome;
use crate::bench::Bench;
use crate::program::Program;
use crate::results::{Report, Results, measure, name};

/// As it is called on the command line and in the figures.
pub(crate) const CASE: &str = "server";
pub(crate) const SENDERS: usize = 64;
pub(crate) const ROOMS: usize = 100;
pub(crate) const MEMBERS: usize = 10;

/// What the server's tokens are signed with, here and by the load tool.
const SECRET: &str = "a secret of the benchmark alone, 32 bytes and more";
/// What keeps a client from sending as fast as it gets its answers.
const SETTINGS: [&str; 2] = ["socket.commands_per_s=0", "socket.bytes_per_s=0"];
const TO_START: Duration = Duration::from_secs(20);
/// So much longer than it measures a run may take, to start and to connect.
const PATIENCE: Duration = Duration::from_secs(120);
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
        let (mut command, words) = match self {
            Self::Chat => {
                let mut command = Command::new(programs.join("chat-server"));
                command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data);
                for setting in SETTINGS {
                    command.args(["--set", setting]);
                }
                command.env("CHAT__AUTH__SECRET", SECRET).env("CHAT__STORE__URL", url);
                (command, "listening; open http://")
            }
            Self::HomeMade(way) => {
                let mut command = Command::new(programs.join("peer-axum"));
                // Everybody on the machine can read a command line.
                command.args(["0", way]).env("DATABASE_URL", url);
                (command, "listening on ")
            }
        };
        command.current_dir(data);
        let program = Program::start("the server", command, None)?;
        let address = program.says(words, TO_START)?;
        Ok((program, address))
    }
}

/// What is used of what the load tool reports.
#[derive(Deserialize)]
struct Loaded {
    messages: f64,
    seconds: f64,
    latency_us: Latency,
    server: Process,
}

#[derive(Deserialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

#[derive(Deserialize)]
struct Process {
    cpu_s: f64,
}

/// Measures all of them.
pub(crate) async fn measure(bench: &mut Bench, results: &mut Results) -> Outcome<()> {
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
    let json = folder.path().join("report.json");
    let mut command = Command::new(programs.join("load"));
    command.arg("ws").args(["--url", &format!("ws://{address}/ws")]);
    command.args(["--dialect", server.dialect(), "--secret", SECRET, "--keys"]);
    command.args(["--connections", &(ROOMS * MEMBERS).to_string()]);
    command.args(["--rooms", &ROOMS.to_string(), "--senders", &SENDERS.to_string()]);
    command.args(["--seconds", &measured.as_secs_f64().to_string()]);
    command.args(["--server-pid", &program.pid().to_string()]).arg("--json").arg(&json);
    let mut load = Program::start("load", command, None)?;
    let status = load.ended(PATIENCE + measured)?.ok_or_else(|| load.fault("takes too long"))?;
    program.still_runs()?;
    if !status.success() {
        return Err(load.fault(&format!("failed ({status})")).into());
    }
    let Loaded { messages, seconds, latency_us, server } =
        serde_json::from_str(&fs::read_to_string(&json)?)?;
    Ok(Report::from([
        (measure::RATE, messages / seconds),
        (measure::P50, latency_us.p50),
        (measure::P99, latency_us.p99),
        (measure::CPU, server.cpu_s * 1e6 / messages),
    ]))
}

/// The folder of the programs that are needed, which are built with this one.
pub(crate) fn programs() -> Outcome<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().ok_or("this program is in no folder")?;
    let needed = ["chat-server", "peer-axum", "load"];
    let missing: Vec<_> = needed.iter().filter(|name| !folder.join(name).is_file()).collect();
    if missing.is_empty() {
        return Ok(folder.to_owned());
    }
    let release = if folder.ends_with("release") { "--release " } else { "" };
    let build = format!("cargo build {release}-p chat-server -p benches --bins");
    Err(format!("not built yet: {missing:?}; do `{build}`, or leave `{CASE}` out").into())
}
