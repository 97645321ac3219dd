//! The measuring of logins as it is run by hand, on what is quick: people sign up and in, chat goes on
//! beside it, and the figures stand in the tables.

use std::process::{Command, Output};

fn people(flags: &[&str], mariadb: bool) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_people"));
    command.args(flags);
    if !mariadb {
        command.env_remove("CHAT_MYSQL_TEMPLATE");
    }
    command.output().expect("the program")
}

/// The figures behind the name of a row; what was not measured is not there.
fn figures(text: &str, row: &str) -> Vec<f64> {
    // The row of a database alone has figures behind its name.
    let rows = text.lines().filter_map(|line| line.strip_prefix(&format!("| {row} | ")));
    let found = rows.into_iter().find(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let cells = found.unwrap_or_else(|| panic!("no row of {row}: {text}")).trim_matches('|');
    let cells = cells.split('|').map(|cell| cell.trim().replace(',', ""));
    cells.filter(|cell| cell != "–").map(|cell| cell.parse().expect("a number")).collect()
}

#[test]
fn a_quick_run_shows_chat_with_and_without_logins() {
    let mariadb = std::env::var("CHAT_MYSQL_TEMPLATE").is_ok();
    let output = people(&["--quick", "--seconds", "0.3"], mariadb);
    let text = String::from_utf8(output.stdout).expect("text");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let databases = if mariadb { &["SQLite", "MariaDB"][..] } else { &["SQLite"] };
    for database in databases {
        let quiet = figures(&text, &format!("{database} | nobody signs in"));
        let [p50, p99, p50_ratio, p99_ratio, ..] = quiet[..] else { panic!("{text}") };
        assert!(p50 > 0.0 && p99 >= p50, "{text}");
        assert_eq!((p50_ratio, p99_ratio), (1.0, 1.0), "against itself: {text}");
        let logins = figures(&text, &format!("{database} | logins"));
        let [_, p99, _, p99_ratio, per_second, ..] = logins[..] else { panic!("{text}") };
        assert!(p99 > 0.0 && p99_ratio > 0.0 && per_second > 0.0, "{text}");
        let [known, unknown, ratio, attempts] = figures(&text, database)[..] else {
            panic!("{text}")
        };
        assert!(known > 0.0 && unknown > 0.0 && ratio > 0.0, "{text}");
        assert_eq!(attempts, 100.0, "{text}");
    }
}

#[test]
fn figures_of_few_rounds_are_not_written_down() {
    let output = people(&["--rounds", "2"], false);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--quick"));
}
