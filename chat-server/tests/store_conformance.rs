//! SQLite and MariaDB do what every store must do: the cases of `chat_core::testkit`.

mod database;
mod store_support;

use std::sync::Arc;

use async_trait::async_trait;
use chat_core::Store;
use chat_core::testkit::{StoreHome, check_store};
use chat_server::store::{MySqlOptions, MySqlStore};
use database::Database;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use store_support::Home;

#[async_trait]
impl StoreHome for Home {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Home::open(self).await)
    }

    /// The text comes from the cases, and has no quotes.
    async fn refuse(&self, text: &str) -> bool {
        let file = format!("sqlite:{}", self.path().display());
        let mut connection = SqliteConnection::connect(&file).await.expect("the file opens");
        let trigger = format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.text = '{text}' \
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        );
        sqlx::query(AssertSqlSafe(trigger)).execute(&mut connection).await.expect("a trigger");
        connection.close().await.expect("closed");
        true
    }
}

#[tokio::test]
async fn sqlite_passes() {
    let report = check_store(async || Home::new()).await;
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "every case runs");
}

#[async_trait]
impl StoreHome for Database {
    async fn open(&self) -> Arc<dyn Store> {
        let store = MySqlStore::open(&MySqlOptions::new(self.url())).await;
        Arc::new(store.expect("the database is fit for use"))
    }

    /// The text comes from the cases, and has no quotes.
    async fn refuse(&self, text: &str) -> bool {
        let trigger = format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW \
             BEGIN IF NEW.text = '{text}' THEN \
             SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF; END"
        );
        let mut connection = database::connect(&self.admin_url()).await;
        sqlx::raw_sql(AssertSqlSafe(trigger)).execute(&mut connection).await.expect("a trigger");
        true
    }
}

#[tokio::test]
async fn mariadb_passes() {
    let report = check_store(async || Database::new().await).await;
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "every case runs");
}
