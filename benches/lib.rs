//! What the benchmarks share.

mod ending;
pub mod figures;
pub mod programs;
mod runs;

pub use ending::{exit_code, none_failed, run_or_stop};
pub use runs::Runs;

/// What comes of something that may fail in whatever way.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
