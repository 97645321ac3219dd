//! What those who run the server look at.

mod metrics;

pub use metrics::Metrics;
