//! The measuring of stores as it is run by hand, on what is quick: contenders stand side by side, two
//! processes find each other, and a home-made server keeps what it hands on. What the check behind two
//! processes finds is tested beside it.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, Row};
use tokio::io::{AsyncBufReadExt, BufReader};

fn store(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_store")).args(flags).output().expect("the program")
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "this test needs a database, and {name} is not set: scripts/services run cargo test …"
        )
    })
}

#[test]
fn a_quick_run_shows_all_who_write_beside_each_other() {
    variable("CHAT_MYSQL_TEMPLATE");
    let parts = ["--only", "1x1", "--only", "512x100"];
    let output = store(&[&["--quick", "--seconds", "0.3"], &parts[..]].concat());
    let text = String::from_utf8(output.stdout).expect("text");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    // How many messages a second.
    let rate = |senders: &str, label: &str| -> f64 {
        let row = text.lines().find(|line| line.starts_with(&format!("| {senders} | {label}")));
        let row = row.unwrap_or_else(|| panic!("no row of {label}: {text}"));
        row.split('|').nth(3).expect("a cell").trim().replace(',', "").parse().expect("a number")
    };
    for senders in ["1", "512"] {
        for label in
            ["**the engine, MariaDB", "**the engine, SQLite", "home-made, each", "home-made, `"]
        {
            assert!(rate(senders, label) > 0.0, "{text}");
        }
    }
    assert!(rate("512", "**two processes") > 0.0, "{text}");
    assert!(rate("1", "a bare `INSERT`") > 0.0, "{text}");
    // What MariaDB has counted is of the engine alone: it writes and does not read.
    let row = text.lines().find(|line| line.starts_with("| 1 | **the engine, MariaDB"));
    let cells: Vec<_> = row.expect("a row").split('|').map(str::trim).collect();
    assert_eq!(cells[10], "0", "{text}");
}

#[test]
fn figures_of_few_rounds_are_not_written_down() {
    let output = store(&["--rounds", "2"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--quick"));
}

#[test]
fn it_says_where_to_get_a_database() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_store"));
    command.args(["--quick", "--only", "1x1"]).env_remove("CHAT_MYSQL_TEMPLATE");
    let output = command.output().expect("the program");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("scripts/services run"));
}

#[tokio::test]
async fn a_home_made_server_keeps_each_message_that_it_hands_on() {
    for way in ["counter", "auto"] {
        let database = Database::new().await;
        let mut server = tokio::process::Command::new(env!("CARGO_BIN_EXE_peer-axum"))
            .args(["0", way])
            .env("DATABASE_URL", database.url())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program");
        let mut said = BufReader::new(server.stdout.take().expect("its output")).lines();
        let said = said.next_line().await.expect("its output").expect("a line");
        let address = said.strip_prefix("listening on ").expect("an address").to_owned();
        let flags = format!(
            "ws --url ws://{address}/ws --dialect plain --keys -n 20 -r 4 --senders 3 -s 0.3 \
             --warmup 0 --json -"
        );
        let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
        load.args(flags.split_whitespace());
        let output = tokio::task::spawn_blocking(move || load.output()).await.expect("no panic");
        let output = output.expect("the program");
        let json: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(output.status.code(), Some(0), "{json}");
        let messages = json["messages"].as_i64().expect("a number");
        assert!(messages > 0, "{json}");
        let kept = "SELECT COUNT(*), COUNT(DISTINCT client_key), COUNT(DISTINCT room), \
            MIN(LENGTH(text)) FROM messages";
        let kept = database.connect().await.fetch_one(kept).await.expect("a row");
        let count = |column| kept.get::<i64, _>(column);
        assert_eq!((count(0), count(1)), (messages, messages), "{way}");
        assert_eq!((count(2), count(3)), (4, 128), "{way}");
        server.kill().await.expect("it ends");
        database.drop().await;
    }
}

/// A database on the server that `scripts/services` has started.
struct Database(String);

impl Database {
    async fn new() -> Self {
        let database = Self(format!("store_{}", uuid::Uuid::now_v7().simple()));
        database.tell("CREATE").await;
        database
    }

    fn url(&self) -> String {
        format!("{}{}?ssl-mode=DISABLED", variable("CHAT_MYSQL_PRIMARY"), self.0)
    }

    async fn connect(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.url()).await.expect("a connection")
    }

    async fn tell(&self, what: &str) {
        let url = format!("{}?ssl-mode=DISABLED", variable("CHAT_MYSQL_PRIMARY"));
        let mut connection = MySqlConnection::connect(&url).await.expect("a connection");
        let text = AssertSqlSafe(format!("{what} DATABASE `{}`", self.0));
        connection.execute(sqlx::raw_sql(text)).await.expect("it is done");
    }

    async fn drop(self) {
        self.tell("DROP").await;
    }
}
