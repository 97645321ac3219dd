//! The comparison as it is run by hand, on what is quick: the programs find each other, the load tool's
//! report is understood, and the figures stand in the table.

use std::process::{Command, Output};

fn compare(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare")).args(flags).output().expect("the program")
}

#[test]
fn a_trial_shows_a_server_beside_the_limit() {
    let few = ["--trial", "--rounds", "1", "--seconds", "0.5", "--shape", "1x1000"];
    let output = compare(&[&few[..], &["--only", "limit", "--only", "axum"]].concat());
    let text = String::from_utf8(output.stdout).expect("text");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let cells = |label: &str| -> Vec<f64> {
        let row = text.lines().find(|line| line.starts_with(&format!("| {label}")));
        let row = row.unwrap_or_else(|| panic!("no row of {label}: {text}")).trim_matches('|');
        // What stands against this server, which was not asked for, is not there.
        let cells = row.split('|').skip(1).map(|cell| cell.trim().replace(',', ""));
        cells.filter(|cell| cell != "–").map(|cell| cell.parse().expect("a number")).collect()
    };
    let (limit, axum) = (cells("the limit"), cells("axum"));
    let [cpu, ratio, rate, p50, p99, ..] = limit[..] else { panic!("{limit:?}") };
    assert!(cpu > 0.0 && rate > 0.0 && p50 > 0.0 && p99 >= p50, "{limit:?}");
    assert_eq!(ratio, 1.0, "the limit against itself");
    assert!(axum[1] > 0.0, "{axum:?}");
}

#[test]
fn figures_of_few_rounds_are_not_written_down() {
    let output = compare(&["--rounds", "4"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--trial"));
}
