//! Where the benchmarks without Criterion leave what they have measured, where the report finds it, the
//! plots that are made of it, and the document that they are written into.

mod cases;
mod document;
mod plot;
mod rounds;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

pub use cases::{Cases, median};
pub use document::{Document, MUSTS, Musts, must};
pub use plot::{Plot, bars, number};
pub use rounds::{ROUNDS, Report, Rounds};

/// Figures by name.
pub type Figures = BTreeMap<String, f64>;

/// Cargo's target folder: the one above the profile's, in which Cargo has left its lock.
///
/// # Errors
/// If there is none.
pub fn target() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let profile = program.ancestors().find(|folder| folder.join(".cargo-lock").is_file());
    let target = profile.and_then(Path::parent).map(PathBuf::from);
    target.ok_or_else(|| io::Error::other("not in Cargo's target folder"))
}

/// Leaves the figures of a benchmark.
///
/// # Errors
/// If the file cannot be written.
pub fn write(bench: &str, figures: &Figures) -> io::Result<()> {
    let folder = target()?.join("figures");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("{bench}.json")), serde_json::to_string_pretty(figures)?)
}

/// The figures of a benchmark.
///
/// # Errors
/// If it has not left any.
pub fn read(bench: &str) -> io::Result<Figures> {
    let text = fs::read_to_string(target()?.join("figures").join(format!("{bench}.json")))?;
    Ok(serde_json::from_str(&text)?)
}
