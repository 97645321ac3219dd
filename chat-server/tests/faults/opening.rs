//! What the store does not open, it refuses with words that say what to change, and leaves as it
//! was.

use std::net::Ipv4Addr;
use std::time::Duration;

use chat_server::store::{MySqlOpenError as OpenError, MySqlOptions, MySqlStore, SqlStore};
use futures_util::future::join_all;
use sqlx::{Connection, MySqlConnection};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};

use crate::database::server::Server;
use crate::database::{Database, connect};
use crate::execute;
use crate::house::open;
use crate::picture::picture;

const DEADLINE: Duration = Duration::from_secs(3);

fn options(url: &str) -> MySqlOptions {
    let mut options = MySqlOptions::new(url);
    options.deadline = DEADLINE;
    options
}

/// What refuses to open this, in words too.
async fn refused(url: &str) -> (OpenError, String) {
    let error = MySqlStore::open(&options(url)).await.expect_err("it is refused");
    let message = error.to_string();
    let secret = url.split(['@', ':']).nth(2).filter(|secret| secret.len() > 3);
    assert!(!secret.is_some_and(|secret| message.contains(secret)), "{message} tells a password");
    (error, message)
}

/// As [`refused`], of a database in which nothing has changed by it. The words have these parts.
async fn refused_untouched(database: &Database, parts: &[&str]) -> OpenError {
    let mut connection = database.connect().await;
    let before = picture(&mut connection).await;
    let (error, message) = refused(&database.url()).await;
    assert_eq!(picture(&mut connection).await, before, "{message}");
    for part in parts {
        assert!(message.contains(part), "{message}");
    }
    error
}

/// A database as the store leaves it.
async fn opened() -> (Database, MySqlConnection) {
    let database = Database::new().await;
    open(&database.url(), DEADLINE).await.close().await;
    let connection = database.connect().await;
    (database, connection)
}

#[tokio::test]
async fn a_migration_from_the_future() {
    let (database, mut connection) = opened().await;
    let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
         execution_time) VALUES (9999, 'from the future', 1, 'x', 1)";
    execute(&mut connection, insert).await;
    let error = refused_untouched(&database, &["newer version", "9999", "run that version"]).await;
    assert!(matches!(error, OpenError::Newer(9_999)));
    execute(&mut connection, "DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    open(&database.url(), DEADLINE).await;
}

#[tokio::test]
async fn another_text_of_a_migration() {
    let (database, mut connection) = opened().await;
    for version in [1, 2] {
        let set = |value: &str| {
            format!("UPDATE _sqlx_migrations SET checksum = {value} WHERE version = {version}")
        };
        execute(&mut connection, &set("REVERSE(checksum)")).await;
        let error = refused_untouched(&database, &["another build", "run that build"]).await;
        assert!(matches!(error, OpenError::Different(different) if different == version));
        execute(&mut connection, &set("REVERSE(checksum)")).await;
    }
    open(&database.url(), DEADLINE).await;
}

#[tokio::test]
async fn a_migration_that_was_not_finished() {
    let (database, mut connection) = opened().await;
    execute(&mut connection, "UPDATE _sqlx_migrations SET success = 0 WHERE version = 2").await;
    let parts = ["migration 2", "not finished", "restore a backup"];
    let error = refused_untouched(&database, &parts).await;
    assert!(matches!(error, OpenError::HalfMigrated(2)));
}

#[tokio::test]
async fn a_database_in_another_character_set() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    execute(&mut connection, &format!("ALTER DATABASE `{}` CHARACTER SET latin1", database.name()))
        .await;
    let change =
        format!("ALTER DATABASE `{}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", database.name());
    let error = refused_untouched(&database, &["latin1 instead of utf8mb4", &change]).await;
    assert!(matches!(error, OpenError::Charset { .. }));
    assert_eq!(picture(&mut connection).await.len(), 1, "no table has been made");
    // It says what to change: that is done, and it opens.
    execute(&mut connection, &change).await;
    open(&database.url(), DEADLINE).await;
}

#[tokio::test]
async fn a_table_in_another_character_set() {
    let (database, mut connection) = opened().await;
    for table in ["messages", "users", "rooms"] {
        execute(&mut connection, &format!("ALTER TABLE {table} CONVERT TO CHARACTER SET latin1"))
            .await;
        let change = "CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
        let change = format!("ALTER TABLE `{table}` {change}");
        let error = refused_untouched(&database, &["latin1 instead of utf8mb4", &change]).await;
        assert!(matches!(error, OpenError::Charset { .. }));
        execute(&mut connection, &change).await;
        open(&database.url(), DEADLINE).await;
    }
}

#[tokio::test]
async fn a_table_in_another_collation() {
    let (database, mut connection) = opened().await;
    let convert = "ALTER TABLE rooms CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci";
    execute(&mut connection, convert).await;
    // What is wrong is not the character set.
    refused_untouched(&database, &["utf8mb4_general_ci"]).await;
}

/// Nothing is changed in a database that is refused, also if it has yet to be brought up to date.
#[tokio::test]
async fn an_old_table_in_another_character_set() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    let old = sqlx::migrate!("../migrations/mysql");
    old.run_to(2, &mut connection).await.expect("migrations");
    execute(&mut connection, "ALTER TABLE messages CONVERT TO CHARACTER SET latin1").await;
    let error = refused_untouched(&database, &["latin1 instead of utf8mb4"]).await;
    assert!(matches!(error, OpenError::Charset { .. }));
}

#[tokio::test]
async fn a_server_that_is_set_up_in_the_wrong_way() {
    let server = Server::new().await;
    let mut connection = connect(&server.admin_url()).await;
    let before = picture(&mut connection).await;
    for (wrong, right, parts) in [
        (
            "sql_mode = 'ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
            "sql_mode = 'STRICT_TRANS_TABLES'",
            ["STRICT_TRANS_TABLES", "restart", "cut texts"],
        ),
        ("sql_mode = ''", "sql_mode = 'STRICT_ALL_TABLES'", ["sql_mode", "restart", "[mysqld]"]),
        ("binlog_format = STATEMENT", "binlog_format = MIXED", ["binlog_format", "ROW", "restart"]),
        ("read_only = 1", "read_only = 0", ["read-only", "primary", "127.0.0.1"]),
    ] {
        execute(&mut connection, &format!("SET GLOBAL {wrong}")).await;
        // For an account that may do everything too.
        for url in [server.url(), server.admin_url()] {
            let (error, message) = refused(&url).await;
            for part in parts {
                assert!(message.contains(part), "{message}");
            }
            let as_expected = matches!(
                error,
                OpenError::NotStrict(_) | OpenError::StatementLog | OpenError::ReadOnly(_)
            );
            assert!(as_expected, "{message}");
        }
        execute(&mut connection, &format!("SET GLOBAL {right}")).await;
        assert_eq!(picture(&mut connection).await, before, "{wrong}");
    }
    // All is right now.
    open(&server.url(), DEADLINE).await;
}

#[tokio::test]
async fn an_account_that_is_not_let_in() {
    let database = Database::new().await;
    let guessed = format!("mysql://chat:guessed@{}", place(&database.url()));
    let (error, message) = refused(&guessed).await;
    assert!(matches!(error, OpenError::Refused { .. }));
    assert!(message.contains("password") && message.contains("GRANT ALL"), "{message}");

    let none = database.url().replace(database.name(), "chat_of_nobody");
    let (error, message) = refused(&none).await;
    assert!(matches!(error, OpenError::NoDatabase(_)));
    let create = "CREATE DATABASE `chat_of_nobody` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
    assert!(message.contains(create), "{message}");
}

/// What stands behind the account.
fn place(url: &str) -> &str {
    url.rsplit_once('@').expect("an account").1
}

/// An account may connect and read, and no more.
#[tokio::test]
async fn an_account_without_rights() {
    let server = Server::new().await;
    let mut connection = connect(&server.admin_url()).await;
    execute(&mut connection, "CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'reading'").await;
    execute(&mut connection, "GRANT SELECT ON chat.* TO reader@'127.0.0.1'").await;
    let before = picture(&mut connection).await;
    let reader = format!("mysql://reader:reading@{}", place(&server.url()));
    let (error, message) = refused(&reader).await;
    assert_eq!(picture(&mut connection).await, before, "{message}");
    assert!(message.contains("GRANT ALL"), "{error:?}: {message}");
}

#[tokio::test]
async fn an_address_where_no_database_is() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let url = format!("mysql://chat:secret@{address}/chat");
    // It takes connections and says nothing.
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok(connection) = listener.accept().await {
            kept.push(connection);
        }
    });
    let (error, message) = refused(&url).await;
    assert!(matches!(error, OpenError::Unreachable { .. }));
    let parts = [&*address.to_string(), "no answer within 3 s", "is this its port"];
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    silent.abort();
    silent.await.expect_err("it was ended");

    // The port is somebody's, so that nobody else listens there, and nobody listens.
    let deaf = TcpSocket::new_v4().expect("a socket");
    deaf.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let address = deaf.local_addr().expect("an address");
    let (error, message) = refused(&format!("mysql://chat:secret@{address}/chat")).await;
    assert!(matches!(error, OpenError::Unreachable { .. }));
    let parts = [&*address.to_string(), "refused", "is it running"];
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");

    for says in [
        &b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"-ERR unknown command\r\n",
        b"\x00\x00\x00\x00",
        b"\x01\x00\x00\x00\x09",
        b"",
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let other = tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                connection.write_all(says).await.ok();
            }
        });
        let (error, message) = refused(&format!("mysql://chat:secret@{address}/chat")).await;
        let parts = [&*address.to_string(), "is this its port"];
        assert!(parts.iter().all(|part| message.contains(part)), "{says:?}: {error:?}: {message}");
        other.abort();
    }
}

#[tokio::test]
async fn an_address_that_is_none() {
    for url in [
        "",
        "chat",
        "mysql://",
        "mysql://chat:secret@localhost",
        "mysql://chat:secret@localhost/",
        "mysql://chat:secret@localhost:port/chat",
        "mysql://chat:secret@localhost/chat?ssl-mode=PERHAPS",
    ] {
        let (error, message) = refused(url).await;
        assert!(matches!(error, OpenError::Address(_)), "{url}: {message}");
        assert!(message.contains("mysql://user:password@host:3306/database"), "{message}");
    }
}

/// As when several processes are started at the same time for the first time.
#[tokio::test]
async fn several_open_an_empty_database_at_once() {
    let database = Database::new().await;
    let url = database.url();
    let stores = join_all((0..6).map(|_| open(&url, Duration::from_secs(10)))).await;
    let mut connection = database.connect().await;
    let migrations = "SELECT COUNT(*) FROM _sqlx_migrations WHERE success = 1";
    let migrations: i64 =
        sqlx::query_scalar(migrations).fetch_one(&mut connection).await.expect("a count");
    let known = sqlx::migrate!("../migrations/mysql").iter().count();
    assert_eq!(usize::try_from(migrations).expect("a few"), known);
    join_all(stores.iter().map(|store| store.close())).await;
}

/// Something else holds a table that is to be changed, a backup perhaps, for longer than one call of
/// the store may take. What has been begun then must not be left half done.
#[tokio::test]
async fn a_migration_that_has_to_wait() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    let migrations = sqlx::migrate!("../migrations/mysql");
    migrations.run_to(2, &mut connection).await.expect("migrations");
    let mut backup = connection.begin().await.expect("a transaction");
    let rooms = "SELECT COUNT(*) FROM rooms";
    let _: i64 = sqlx::query_scalar(rooms).fetch_one(&mut *backup).await.expect("a count");
    let options = options(&database.url());
    let (opened, ()) = tokio::join!(MySqlStore::open(&options), async {
        tokio::time::sleep(DEADLINE + Duration::from_secs(1)).await;
        backup.rollback().await.expect("it ends");
    });
    // It has waited, or has said that it cannot; later at the latest it opens.
    if let Err(error) = opened {
        println!("{error}");
        open(&database.url(), DEADLINE).await;
    }
}
