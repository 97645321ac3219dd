//! What a run comes to: as text for people, as JSON for programs, and the distribution of its latencies
//! as a plot.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use shared::figures::{Plot, number};

use crate::Unable;
use crate::args::Output;

/// A latency in microseconds, with one digit more.
fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 100.0).round() / 10.0
}

/// Percentiles in microseconds, `null` if nothing was measured.
pub(crate) fn latency(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let at = |quantile| micros(histogram.value_at_quantile(quantile));
    json!({
        "p50": at(0.5),
        "p99": at(0.99),
        "p999": at(0.999),
        "max": micros(histogram.max()),
    })
}

/// The same for people.
pub(crate) fn latency_text(histogram: &Histogram<u64>) -> String {
    if histogram.is_empty() {
        return "nothing measured".into();
    }
    let at = |quantile| duration(histogram.value_at_quantile(quantile));
    format!(
        "p50 {}, p99 {}, p99.9 {}, at most {}",
        at(0.5),
        at(0.99),
        at(0.999),
        duration(histogram.max())
    )
}

fn duration(nanos: u64) -> String {
    match nanos as f64 {
        nanos if nanos < 1e6 => format!("{} µs", number(nanos / 1e3)),
        nanos if nanos < 1e9 => format!("{} ms", number(nanos / 1e6)),
        nanos => format!("{} s", number(nanos / 1e9)),
    }
}

/// Writes the figures to where they were asked for; the text, unless JSON takes its place.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(
    output: &Output,
    json: &Value,
    text: &str,
    title: &str,
    latencies: &[(String, &Histogram<u64>)],
) -> Result<(), Unable> {
    let no =
        |path: &Path, error: io::Error| Unable(format!("can't write {}: {error}", path.display()));
    let stdout = Path::new("-");
    let json = format!("{json:#}\n");
    match output.json.as_deref() {
        Some(path) if path == stdout => {
            io::stdout().write_all(json.as_bytes()).map_err(|error| no(path, error))?;
        }
        path => {
            if let Some(path) = path {
                fs::write(path, json).map_err(|error| no(path, error))?;
            }
            io::stdout().write_all(text.as_bytes()).map_err(|error| no(stdout, error))?;
        }
    }
    if let Some(path) = &output.svg {
        fs::write(path, plot(title, latencies)).map_err(|error| no(path, error))?;
    }
    Ok(())
}

/// The shortest latency that a plot shows, in milliseconds.
const SHORTEST: f64 = 0.01;

/// Latency over percentiles, which stand the further apart the nearer they are to all.
fn plot(title: &str, latencies: &[(String, &Histogram<u64>)]) -> String {
    let measured = latencies.iter().filter(|(_, histogram)| !histogram.is_empty());
    // `1 / (1 - p)`: one in so many is slower. From half of them to one in all of them.
    let line = |histogram: &Histogram<u64>| {
        let all = (histogram.len() as f64).max(10.0).log10();
        let steps = (all * 20.0).ceil();
        let point = |step| {
            let one_in = 10f64.powf(f64::from(step) / steps * all);
            let value = histogram.value_at_quantile(1.0 - 1.0 / one_in);
            (one_in, (value as f64 / 1e6).max(SHORTEST))
        };
        (0..=steps as u32).map(point).collect::<Vec<_>>()
    };
    let lines: Vec<_> = measured.map(|(name, it)| (format!("{name}, slowest"), line(it))).collect();
    let most = lines.iter().flat_map(|line| &line.1).map(|point| point.0).fold(10.0, f64::max);
    let names = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
    let marks = (0..).map(|nines| 10f64.powi(nines)).zip(names.map(String::from));
    let marks = marks.take_while(|(one_in, _)| *one_in <= most * 1.001).collect();
    let plot = Plot {
        title,
        x: "so many took no longer",
        y: "milliseconds",
        log: true,
        lines,
        marks,
        limits: Vec::new(),
    };
    plot.draw()
}
