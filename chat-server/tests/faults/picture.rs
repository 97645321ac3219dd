//! A database as it is, down to the last row: to see that nothing has changed in it.

use sqlx::{AssertSqlSafe, MySqlConnection, Row as _};

/// What makes the database and each of its tables, and a checksum of each table's rows.
pub(crate) async fn picture(connection: &mut MySqlConnection) -> Vec<String> {
    let name: String =
        sqlx::query_scalar("SELECT DATABASE()").fetch_one(&mut *connection).await.expect("a name");
    let mut picture = vec![column(connection, &format!("SHOW CREATE DATABASE `{name}`"), 1).await];
    let tables = "SELECT CONVERT(TABLE_NAME USING utf8mb4) FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME";
    let tables: Vec<String> =
        sqlx::query_scalar(tables).fetch_all(&mut *connection).await.expect("tables");
    for table in tables {
        picture.push(column(connection, &format!("SHOW CREATE TABLE `{table}`"), 1).await);
        let checksum = AssertSqlSafe(format!("CHECKSUM TABLE `{table}` EXTENDED"));
        let row = sqlx::query(checksum).fetch_one(&mut *connection).await.expect("a checksum");
        picture.push(format!("{table}: {}", row.get::<i64, _>(1)));
    }
    picture
}

async fn column(connection: &mut MySqlConnection, statement: &str, column: usize) -> String {
    let row = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).fetch_one(connection).await;
    row.expect("a row").get(column)
}
