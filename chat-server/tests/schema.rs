//! The tables of both databases are the same, and are those that docs/architecture.md shows.

#![allow(clippy::unwrap_used, reason = "tests")]

mod database;
mod store_support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chat_server::store::{MySqlOptions, MySqlStore};
use database::Database;
use sqlx::{Connection, SqliteConnection};
use store_support::Home;

/// Columns in the order in which they were made, each with whether it may be NULL.
type Tables = BTreeMap<String, Vec<(String, bool)>>;

/// sqlx's own table.
const NOT_OURS: &str = "_sqlx_migrations";

async fn sqlite_tables() -> Tables {
    let home = Home::new();
    home.open().await;
    let file = format!("sqlite:{}", home.path().display());
    let mut connection = SqliteConnection::connect(&file).await.unwrap();
    let columns: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT t.name, c.name, c.\"notnull\" = 0 AND c.pk = 0 \
         FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> ? ORDER BY t.name, c.cid",
    )
    .bind(NOT_OURS)
    .fetch_all(&mut connection)
    .await
    .unwrap();
    tables(columns)
}

async fn mariadb() -> (Database, Tables) {
    let database = Database::new().await;
    MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap();
    let columns: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT TABLE_NAME, COLUMN_NAME, IS_NULLABLE = 'YES' FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME <> ? \
         ORDER BY TABLE_NAME, ORDINAL_POSITION",
    )
    .bind(NOT_OURS)
    .fetch_all(&mut database.connect().await)
    .await
    .unwrap();
    let tables = tables(columns);
    (database, tables)
}

fn tables(columns: Vec<(String, String, bool)>) -> Tables {
    let mut tables = Tables::new();
    for (table, column, nullable) in columns {
        tables.entry(table).or_default().push((column, nullable));
    }
    tables
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[tokio::test]
async fn both_databases_have_the_same_tables() {
    let files = |database: &str| {
        let folder = std::fs::read_dir(root().join("migrations").join(database)).unwrap();
        let names = folder.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<_>>()
    };
    assert_eq!(files("sqlite"), files("mysql"), "the files in migrations");
    let (sqlite, (_database, mariadb)) = (sqlite_tables().await, mariadb().await);
    assert_eq!(sqlite, mariadb);
    assert!(sqlite.len() >= 7, "{sqlite:?}");
}

#[tokio::test]
async fn all_text_is_utf8mb4_and_all_tables_are_transactional() {
    let (database, _) = mariadb().await;
    let wrong: Vec<(String, String)> = sqlx::query_as(
        "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME <> ? AND COLLATION_NAME <> 'utf8mb4_bin' \
         UNION SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = DATABASE() AND ENGINE <> 'InnoDB'",
    )
    .bind(NOT_OURS)
    .fetch_all(&mut database.connect().await)
    .await
    .unwrap();
    assert_eq!(wrong, []);
}

/// An entity-relationship diagram, as docs/architecture.md has one.
#[derive(Debug, Default)]
struct Diagram {
    columns: BTreeMap<String, Vec<String>>,
    /// Columns of the primary key, by table.
    keys: BTreeMap<String, BTreeSet<String>>,
    /// The one of which there is one, and the one of which there are many.
    relations: BTreeSet<(String, String)>,
}

impl Diagram {
    fn of(document: &str) -> Self {
        let diagram = document.split("```mermaid\nerDiagram\n").nth(1).expect("there is a diagram");
        let mut found = Self::default();
        let mut table = None;
        for line in diagram.split("```").next().unwrap().lines().map(str::trim) {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            match (&table, &words[..]) {
                (None, [one, relation, many, ..]) if relation.contains("--") => {
                    found.relations.insert(((*one).to_owned(), (*many).to_owned()));
                }
                (None, [name, "{"]) => table = Some((*name).to_owned()),
                (Some(_), ["}"]) => table = None,
                (Some(table), [_, column, rest @ ..]) => {
                    let columns = found.columns.entry(table.clone()).or_default();
                    columns.push((*column).to_owned());
                    if rest.first().is_some_and(|key| key.split(',').any(|key| key == "PK")) {
                        let keys = found.keys.entry(table.clone()).or_default();
                        keys.insert((*column).to_owned());
                    }
                }
                (_, []) => {}
                other => panic!("{other:?}"),
            }
        }
        found
    }
}

#[tokio::test]
async fn the_documented_diagram_is_true() {
    let document = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let diagram = Diagram::of(&document);
    let (database, tables) = mariadb().await;
    let columns = tables.iter().map(|(table, columns)| {
        (table.clone(), columns.iter().map(|(column, _)| column.clone()).collect())
    });
    assert_eq!(diagram.columns, columns.collect::<BTreeMap<_, Vec<_>>>(), "tables and columns");

    let keys: Vec<(String, String)> = sqlx::query_as(
        "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE \
         WHERE TABLE_SCHEMA = DATABASE() AND CONSTRAINT_NAME = 'PRIMARY' AND TABLE_NAME <> ?",
    )
    .bind(NOT_OURS)
    .fetch_all(&mut database.connect().await)
    .await
    .unwrap();
    let mut primary = BTreeMap::<String, BTreeSet<String>>::new();
    for (table, column) in keys {
        primary.entry(table).or_default().insert(column);
    }
    assert_eq!(diagram.keys, primary, "primary keys");

    let mut relations = BTreeSet::new();
    for (table, columns) in &tables {
        for (column, _) in columns {
            match column.as_str() {
                "room" => relations.insert(("rooms".to_owned(), table.clone())),
                "user" | "sender" | "actor" | "friend" | "blocked" => {
                    relations.insert(("users".to_owned(), table.clone()))
                }
                "login" => relations.insert(("logins".to_owned(), table.clone())),
                "friend_group" => relations.insert(("friend_groups".to_owned(), table.clone())),
                _ => false,
            };
        }
    }
    assert_eq!(diagram.relations, relations, "what refers to what");
    for table in tables.keys() {
        assert!(document.contains(&format!("| `{table}` |")), "{table} is not explained");
    }
}
