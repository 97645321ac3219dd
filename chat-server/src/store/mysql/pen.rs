//! How MySQL is written to: what a writing connection is set to, and what its errors mean.

use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions, MySqlConnection};

use crate::store::writer::Pen;

/// Every statement sees what has been committed by then, and locks the rows that it finds and not
/// the gaps between them. A writer whose process has vanished without a word is let go after a
/// minute, with its locks.
const SETTINGS: &str = "SET SESSION transaction_isolation = 'READ-COMMITTED', \
    SESSION wait_timeout = 60, SESSION innodb_lock_wait_timeout = 5";
/// The same before MariaDB 11.1, which calls the level otherwise.
const OLDER_SETTINGS: &str = "SET SESSION tx_isolation = 'READ-COMMITTED', \
    SESSION wait_timeout = 60, SESSION innodb_lock_wait_timeout = 5";
/// The server does not know a setting of this name.
const UNKNOWN_SETTING: u16 = 1_193;

/// For the next transaction of a connection.
pub(super) const READ_COMMITTED_ONCE: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// The options of a connection that writes.
#[derive(Debug)]
pub(super) struct MySqlPen(pub(super) MySqlConnectOptions);

impl Pen for MySqlPen {
    type Connection = MySqlConnection;

    /// What a connection left behind is kept apart by the locks of its transaction.
    const ALONE: bool = false;
    /// Shorter than the server waits.
    const IDLE: Duration = Duration::from_secs(30);

    async fn open(&self) -> Result<MySqlConnection, sqlx::Error> {
        let mut connection = self.0.connect().await?;
        match sqlx::raw_sql(SETTINGS).execute(&mut connection).await {
            Ok(_) => {}
            Err(error) if code(&error) == Some(UNKNOWN_SETTING) => {
                sqlx::raw_sql(OLDER_SETTINGS).execute(&mut connection).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(connection)
    }
}

/// What an error means for the transaction that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A row with this key is there already: the statement has not been carried out.
    Duplicate,
    /// Others were in the way: the transaction may be tried again.
    Conflict,
    /// The connection is gone, or cannot be made: what it was doing may have been done or not.
    Lost,
    /// Trying again does not help.
    Other,
}

impl Fault {
    pub(super) fn of(error: &sqlx::Error) -> Self {
        if error.as_database_error().is_some_and(|error| error.is_unique_violation()) {
            return Self::Duplicate;
        }
        match (code(error), error) {
            // Deadlock; waited too long for a lock; a row has changed since the snapshot.
            (Some(1_213 | 1_205 | 1_020), _) => Self::Conflict,
            // Too many connections; starting or shutting down; killed; read-only, as a primary is
            // while another one takes over.
            (Some(1_040 | 1_053 | 1_077 | 1_079 | 1_290 | 1_317 | 1_836 | 1_927), _)
            | (Some(3_032 | 3_169 | 4_031), _) => Self::Lost,
            (None, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_)) => {
                Self::Lost
            }
            _ => Self::Other,
        }
    }
}

/// The server's number of an error.
pub(super) fn code(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(|error| error.number())
}
