//! The programs that benchmarks start: the chat server, the load tool, a database.

mod chat_server;
mod load;
mod mariadb;
mod program;

use std::fs;
use std::path::PathBuf;

use rustix::fs::statfs;

use crate::{Outcome, figures};

pub use chat_server::{LISTENING, SECRET, TO_START, chat_server};
pub use load::{Latency, Load, Loaded, Process};
pub use mariadb::MariaDb;
pub use program::Program;

/// What the system calls file systems in memory.
const TMPFS: u64 = 0x0102_1994;

/// The folder of this program, in which those are that are built with it.
///
/// # Errors
/// Names those that are needed and not there, and says what to do.
pub fn built(needed: &[&str]) -> Outcome<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().ok_or("this program is in no folder")?;
    let missing: Vec<_> =
        needed.iter().copied().filter(|name| !folder.join(name).is_file()).collect();
    if missing.is_empty() {
        return Ok(folder.to_owned());
    }
    let release = if folder.ends_with("release") { "--release " } else { "" };
    let build = format!("cargo build {release}-p chat-server -p benches --bins");
    Err(format!("not built yet: {}; do `{build}`", missing.join(", ")).into())
}

/// A folder on a disk for what a benchmark writes.
///
/// # Errors
/// If it is not on a disk.
pub fn scratch(bench: &str) -> Outcome<PathBuf> {
    let scratch = figures::target()?.join(bench);
    fs::create_dir_all(&scratch)?;
    if statfs(&scratch)?.f_type as u64 == TMPFS {
        return Err(format!("{} is in memory, not on a disk", scratch.display()).into());
    }
    Ok(scratch)
}
