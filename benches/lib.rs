//! What the benchmarks share.

pub mod figures;
pub mod programs;
mod runs;

pub use runs::Runs;

/// What comes of something that may fail in whatever way.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
