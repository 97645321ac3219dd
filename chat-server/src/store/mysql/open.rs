//! Opens the database: looks whether messages are safe in it, refuses it if they are not, saying what
//! to change, and brings its tables up to date.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::MigrateError;
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{ConnectOptions, Connection, MySqlConnection, MySqlPool};
use thiserror::Error;

use super::append::{self, Locks};
use super::pen::{Fault, MySqlPen, code};
use super::replicas::Replicas;
use super::sole::Sole;
use super::{Inner, MySqlStore};
use crate::store::background::{self, Progress};
use crate::store::search::{self, Index};
use crate::store::sql::Queries;
use crate::store::statement::LENGTHS;
use crate::store::statements::{KINDS, Statements, Syntax};
use crate::store::thread::Thread;
use crate::store::writer::Writer;

/// How MySQL writes what databases write differently. MariaDB knows no other name for what would have
/// been inserted.
const SYNTAX: Syntax = Syntax {
    or_replace: |_, column| format!("ON DUPLICATE KEY UPDATE {column} = VALUES({column})"),
    or_raise: |_, column| {
        format!("ON DUPLICATE KEY UPDATE {column} = GREATEST({column}, VALUES({column}))")
    },
    or_rename: "ON DUPLICATE KEY UPDATE name = IF(fixed, name, VALUES(name))",
    rows_of_list: "",
};
/// What follows an insert into the index of messages of rows that may be there.
const OR_BITS: &str = "ON DUPLICATE KEY UPDATE bits = bits | VALUES(bits)";
/// Enough for all texts of every length that this store has, and for those without lengths.
const STATEMENTS: usize = (KINDS + append::KINDS + search::KINDS) * LENGTHS + 64;
/// In which all text is kept, and by which it is compared: byte for byte.
const CHARSET: (&str, &str) = ("character set", "utf8mb4");
const COLLATION: (&str, &str) = ("collation", "utf8mb4_bin");
/// The server's number for a database that there is not, and for one that the account may not use.
const UNKNOWN_DATABASE: u16 = 1_049;
const NO_ACCESS: [u16; 5] = [1_044, 1_045, 1_142, 1_227, 1_698];

/// Which database to open, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MySqlOptions {
    /// Of the primary: `mysql://user:password@host:3306/database`; what TLS is to do is said in
    /// its query (`?ssl-mode=VERIFY_IDENTITY&ssl-ca=/etc/ssl/ca.pem`).
    pub url: SecretString,
    /// Likewise of replicas; none.
    pub replicas: Vec<SecretString>,
    /// Connections for reading, opening rooms and background work: to the primary, and to each
    /// replica; 10. One more writes.
    pub connections: u32,
    /// How long one call may take; 5 s.
    pub deadline: Duration,
}

impl MySqlOptions {
    /// Options for a primary.
    #[must_use]
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            replicas: Vec::new(),
            connections: 10,
            deadline: Duration::from_secs(5),
        }
    }
}

/// The store could not be opened. What the database held is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The address is none.
    #[error(
        "the database's address cannot be used ({0}); it looks like \
         mysql://user:password@host:3306/database"
    )]
    Address(String),
    /// Nobody answers there, or not in time.
    #[error(
        "cannot reach the database at {address}: {cause}; is it running, and is this its port?"
    )]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system or the server says.
        cause: String,
    },
    /// The account is not let in.
    #[error(
        "the database at {address} does not let this account in: {cause}; check user and password, \
         and grant it all rights on the database (GRANT ALL ON name.* TO user@host)"
    )]
    Refused {
        /// Host and port.
        address: String,
        /// What the server says.
        cause: String,
    },
    /// There is no such database.
    #[error(
        "there is no database `{0}`; create it: CREATE DATABASE `{0}` CHARACTER SET utf8mb4 \
         COLLATE utf8mb4_bin"
    )]
    NoDatabase(String),
    /// The database's default, or a table, has a character set in which messages would be damaged.
    #[error("{what} has the {kind} {found} instead of {wanted}; change it: {change}")]
    Charset {
        /// The database, or a table.
        what: String,
        /// Whether its character set or its collation is wrong.
        kind: &'static str,
        /// What it has.
        found: String,
        /// What it must have.
        wanted: &'static str,
        /// The statement that changes it.
        change: String,
    },
    /// The server would cut what does not fit, instead of refusing it.
    #[error(
        "the database's sql_mode has no STRICT_TRANS_TABLES: it would cut texts silently; put \
         sql_mode=STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION into the [mysqld] section of its \
         settings (it is \"{0}\") and restart it"
    )]
    NotStrict(String),
    /// The binary log cannot carry what this server writes.
    #[error(
        "the database's binlog_format is STATEMENT, which cannot carry transactions that read what \
         is committed; put binlog_format=ROW into the [mysqld] section of its settings and restart it"
    )]
    StatementLog,
    /// The server takes no writes.
    #[error("the database at {0} is read-only, a replica perhaps; name the primary in store.url")]
    ReadOnly(String),
    /// The server is too old.
    #[error(
        "the database at {address} is version {version}; it must be MariaDB 10.6, MySQL 8.0 or newer"
    )]
    TooOld {
        /// Host and port.
        address: String,
        /// What it says of itself.
        version: String,
    },
    /// A newer version of this program has changed the tables.
    #[error(
        "the database was changed by a newer version (its migration {0} is unknown here); run that \
         version"
    )]
    Newer(i64),
    /// The tables were made by another text of a migration than this program has.
    #[error(
        "the database was made by another build (its migration {0} differs); run that build, or \
         restore a backup"
    )]
    Different(i64),
    /// A migration was cut short.
    #[error(
        "migration {0} was begun and not finished, so the tables are half changed; restore a backup"
    )]
    HalfMigrated(i64),
    /// Anything else.
    #[error("cannot open the database: {0}")]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl MySqlStore {
    /// Connects to the database, brings its tables up to date, and finishes in the background the
    /// deletions that a crash cut short. Replicas need not be there yet.
    ///
    /// # Errors
    /// Says for each what to do: see [`OpenError`].
    pub async fn open(options: &MySqlOptions) -> Result<Self, OpenError> {
        let thread =
            Thread::start("chat-mysql").map_err(|error| OpenError::Failed(error.into()))?;
        let options = options.clone();
        let opening = thread.handle().spawn(async move { open_here(&options).await });
        let inner = opening.await.map_err(|error| OpenError::Failed(error.into()))??;
        background::finish_deletions_of(&inner, thread.handle());
        Ok(Self { inner, thread: Arc::new(thread) })
    }
}

/// Opens the database on the thread of the store.
async fn open_here(options: &MySqlOptions) -> Result<Arc<Inner>, OpenError> {
    let primary = connect_options(&options.url)?;
    let deadline = options.deadline;
    let mut connection = match tokio::time::timeout(deadline, connect(&primary)).await {
        Ok(connected) => connected?,
        Err(_) => {
            let cause = format!("no answer within {} s", deadline.as_secs());
            return Err(OpenError::Unreachable { address: address(&primary), cause });
        }
    };
    migrate(&mut connection, &primary).await?;
    connection.close().await.map_err(|error| refusal(&primary, error))?;
    let pools = options.replicas.iter().map(|url| {
        let replica = connect_options(url)?;
        Ok((address(&replica), pool(options, replica)))
    });
    let pools = pools.collect::<Result<_, OpenError>>()?;
    let writer = Writer::new(MySqlPen(primary.clone()));
    let primary = pool(options, primary);
    let inner = Arc::new(Inner {
        writer,
        replicas: Replicas::new(pools, &primary),
        primary,
        statements: Statements::new(&SYNTAX),
        locks: Locks::new(),
        sole: Sole::default(),
        queries: Queries::default(),
        progress: Progress::default(),
        index: Index::new(OR_BITS),
        deadline,
    });
    Ok(inner)
}

fn connect_options(url: &SecretString) -> Result<MySqlConnectOptions, OpenError> {
    let options = MySqlConnectOptions::from_str(url.expose_secret());
    let options = options.map_err(|error| OpenError::Address(error.to_string()))?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err(OpenError::Address("it names no database".to_owned()));
    }
    for file in tls_files(url.expose_secret()) {
        if let Err(error) = std::fs::File::open(file) {
            return Err(OpenError::Address(format!("its file {file} cannot be read: {error}")));
        }
    }
    Ok(options
        .charset("utf8mb4")
        .collation("utf8mb4_bin")
        .timezone("+00:00".to_owned())
        .pipes_as_concat(false)
        .statement_cache_capacity(STATEMENTS)
        // Its text may have thousands of parameters, so a statement is nothing for a log.
        .disable_statement_logging())
}

/// The files that an address names for TLS.
fn tls_files(url: &str) -> impl Iterator<Item = &str> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let values = query.split('&').filter_map(|part| {
        let (name, value) = part.split_once('=')?;
        ["ssl-ca", "ssl-cert", "ssl-key"].contains(&name).then_some(value)
    });
    // What is written in another way is left to the connection to find out.
    values.filter(|value| !value.contains('%'))
}

fn pool(options: &MySqlOptions, connect: MySqlConnectOptions) -> MySqlPool {
    MySqlPoolOptions::new()
        .max_connections(options.connections.max(1))
        .acquire_timeout(options.deadline)
        .connect_lazy_with(connect)
}

/// Host and port, which may be shown.
fn address(options: &MySqlConnectOptions) -> String {
    format!("{}:{}", options.get_host(), options.get_port())
}

/// Connects to a database that keeps what it is given.
async fn connect(options: &MySqlConnectOptions) -> Result<MySqlConnection, OpenError> {
    let mut connection = options.connect().await.map_err(|error| refusal(options, error))?;
    check_server(&mut connection, options).await?;
    check_tables(&mut connection, options).await?;
    Ok(connection)
}

/// How long to wait for another process that brings the tables up to date, in seconds.
const TURN_S: u32 = 3_600;

/// Brings the tables up to date. That takes as long as it takes: to change a table of very many
/// messages, or to wait for a backup to end; cut short, it would leave the tables half changed.
async fn migrate(
    connection: &mut MySqlConnection,
    options: &MySqlConnectOptions,
) -> Result<(), OpenError> {
    let refusal = |error| refusal(options, error);
    // sqlx asks for this lock without an end to the waiting, which MariaDB takes for a mistake, and
    // then it has none.
    let locked: Option<i64> =
        sqlx::query_scalar("SELECT GET_LOCK(CONCAT('chat.', MD5(DATABASE())), ?)")
            .bind(TURN_S)
            .fetch_one(&mut *connection)
            .await
            .map_err(refusal)?;
    if locked != Some(1) {
        let waited = "another process has been changing its tables for an hour";
        return Err(OpenError::Failed(waited.into()));
    }
    let mut migrations = sqlx::migrate!("../migrations/mysql");
    migrations.set_locking(false);
    // The lock goes with the connection.
    migrations.run_direct(None, &mut *connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => OpenError::Newer(version),
        MigrateError::VersionMismatch(version) => OpenError::Different(version),
        MigrateError::Dirty(version) => OpenError::HalfMigrated(version),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => refusal(error),
        other => OpenError::Failed(other.into()),
    })
}

/// Looks whether the server keeps what it is given.
async fn check_server(
    connection: &mut MySqlConnection,
    options: &MySqlConnectOptions,
) -> Result<(), OpenError> {
    let refusal = |error| refusal(options, error);
    let variables: Vec<(String, String)> = sqlx::query_as(
        "SHOW VARIABLES WHERE Variable_name IN ('sql_mode', 'character_set_database', 'log_bin', \
         'binlog_format', 'read_only', 'version')",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(refusal)?;
    let value = |name: &str| {
        let found = variables.iter().find(|(variable, _)| variable.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    if !is_new_enough(value("version")) {
        let version = value("version").to_owned();
        return Err(OpenError::TooOld { address: address(options), version });
    }
    if value("read_only") == "ON" {
        return Err(OpenError::ReadOnly(address(options)));
    }
    if !value("sql_mode").contains("STRICT_TRANS_TABLES")
        && !value("sql_mode").contains("STRICT_ALL_TABLES")
    {
        return Err(OpenError::NotStrict(value("sql_mode").to_owned()));
    }
    if value("log_bin") == "ON" && value("binlog_format") == "STATEMENT" {
        return Err(OpenError::StatementLog);
    }
    let name = options.get_database().unwrap_or_default();
    match value("character_set_database") {
        "utf8mb4" => Ok(()),
        found => Err(OpenError::Charset {
            what: format!("the database `{name}`"),
            kind: CHARSET.0,
            found: found.to_owned(),
            wanted: CHARSET.1,
            change: format!("ALTER DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
        }),
    }
}

/// Whether a version's own words tell of MariaDB from 10.6 or MySQL from 8.0 on.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    let (major, minor) = (next(), next());
    let least = if version.to_ascii_lowercase().contains("mariadb") { (10, 6) } else { (8, 0) };
    (major, minor) >= least
}

/// Looks whether somebody has changed the tables' character sets.
async fn check_tables(
    connection: &mut MySqlConnection,
    options: &MySqlConnectOptions,
) -> Result<(), OpenError> {
    let wrong: Option<(String, String, String)> = sqlx::query_as(
        "SELECT CONVERT(TABLE_NAME USING utf8mb4), CONVERT(CHARACTER_SET_NAME USING utf8mb4), \
         CONVERT(COLLATION_NAME USING utf8mb4) \
         FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = DATABASE() AND CHARACTER_SET_NAME IS NOT NULL \
         AND (CHARACTER_SET_NAME <> 'utf8mb4' OR COLLATION_NAME <> 'utf8mb4_bin') \
         AND TABLE_NAME IN ('users', 'rooms', 'members', 'messages', 'changes', 'invitations') \
         LIMIT 1",
    )
    .fetch_optional(connection)
    .await
    .map_err(|error| refusal(options, error))?;
    let Some((table, charset, collation)) = wrong else { return Ok(()) };
    let ((kind, wanted), found) =
        if charset == CHARSET.1 { (COLLATION, collation) } else { (CHARSET, charset) };
    Err(OpenError::Charset {
        what: format!("the table `{table}`"),
        kind,
        found,
        wanted,
        change: format!(
            "ALTER TABLE `{table}` CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        ),
    })
}

fn refusal(options: &MySqlConnectOptions, error: sqlx::Error) -> OpenError {
    let (address, cause) = (address(options), error.to_string());
    match code(&error) {
        Some(UNKNOWN_DATABASE) => {
            OpenError::NoDatabase(options.get_database().unwrap_or_default().to_owned())
        }
        Some(code) if NO_ACCESS.contains(&code) => OpenError::Refused { address, cause },
        _ if Fault::of(&error) == Fault::Lost => OpenError::Unreachable { address, cause },
        _ => OpenError::Failed(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for new in
            ["10.6.0-MariaDB", "10.11.19-MariaDB-0+deb12u1", "11.4.2-MariaDB", "8.0.36", "9.1.0"]
        {
            assert!(is_new_enough(new), "{new}");
        }
        for old in ["5.7.44-log", "10.5.23-MariaDB", "", "what"] {
            assert!(!is_new_enough(old), "{old}");
        }
    }
}
