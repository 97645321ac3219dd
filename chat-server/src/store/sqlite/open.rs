//! Opens the file: makes it if there is none, brings its tables up to date, and refuses what it
//! cannot keep messages safe in, saying what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use thiserror::Error;

use super::{Inner, SqliteStore};
use crate::store::background::{self, Progress};
use crate::store::search::{self, Index};
use crate::store::sql::Queries;
use crate::store::statement::LENGTHS;
use crate::store::statements::{KINDS, Statements, Syntax};
use crate::store::thread::Thread;
use crate::store::writer::{Pen, Writer};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// How many may read at once; reads are short, and each reader is a thread.
const READERS: u32 = 4;
/// How long to wait for another process that is writing to the same file.
const BUSY: Duration = Duration::from_secs(5);
/// What each connection keeps of the file in memory: 16 MiB, as SQLite's negative KiB.
const CACHE: &str = "-16384";
/// After how many pages of 4 KiB what is in the write-ahead log moves into the file: 64 MiB. A page
/// that many commits have changed moves once; SQLite's own 1,000 pages took a third of the time of
/// large commits.
const CHECKPOINT_PAGES: &str = "16384";
/// The size to which the write-ahead log is cut back after it grew: 64 MiB.
const LOG_BYTES: &str = "67108864";
/// Enough for all texts of every length that this store has, and for those without lengths.
const STATEMENTS: usize = (KINDS + search::KINDS) * LENGTHS + 64;
/// How SQLite writes what databases write differently.
const SYNTAX: Syntax = Syntax {
    or_replace: |key, column| {
        format!("ON CONFLICT ({key}) DO UPDATE SET {column} = excluded.{column}")
    },
    or_raise: |key, column| {
        format!("ON CONFLICT ({key}) DO UPDATE SET {column} = MAX({column}, excluded.{column})")
    },
    or_rename: "ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE fixed = 0",
    rows_of_list: "VALUES ",
};
/// What follows an insert into the index of messages of rows that may be there.
const OR_BITS: &str =
    "ON CONFLICT (room, era, gram, block) DO UPDATE SET bits = bits | excluded.bits";
/// SQLite's result codes for a damaged file, and for one that is no database.
const CORRUPT: i32 = 11;
const NOT_A_DATABASE: i32 = 26;
/// SQLite's result code for a file that another process holds.
const LOCKED: i32 = 5;
/// How long to wait before asking again for a file that another process holds.
const AGAIN: Duration = Duration::from_millis(10);

/// The store could not be opened. What the file held is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder or the file could not be made.
    #[error(
        "cannot create {path}: {source}; choose another place, or \
         give this user the right to write there"
    )]
    Create {
        /// Which folder or file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{0} is not an SQLite database; move it away, or choose another path")]
    NotADatabase(PathBuf),
    /// The file is damaged.
    #[error(
        "{path} is damaged ({source}); restore a backup, or recover what can be read with \
         `sqlite3 {path} .recover`",
        path = .path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// SQLite's finding.
        source: sqlx::Error,
    },
    /// A newer version of this program has written the file.
    #[error(
        "{path} was written by a newer version (its migration {version} is unknown here); run \
         that version",
        path = .path.display()
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The unknown migration.
        version: i64,
    },
    /// The tables were made by another text of a migration than this program has.
    #[error(
        "{path} was made by another build (its migration {version} differs); run that \
         build, or restore a backup",
        path = .path.display()
    )]
    Different {
        /// Which file.
        path: PathBuf,
        /// The migration that differs.
        version: i64,
    },
    /// The file system cannot share memory between connections.
    #[error(
        "{0} is in a place where SQLite's write-ahead log does not work, such as a \
         network drive; choose a local disk"
    )]
    NoLog(PathBuf),
    /// Anything else.
    #[error("cannot open {path}: {source}", path = .path.display())]
    Failed {
        /// Which file.
        path: PathBuf,
        /// SQLite's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SqliteStore {
    /// Opens the file at `path`. Makes it, with its folders, if there is none: readable by this
    /// user only. Brings its tables up to date, and finishes in the background the
    /// deletions that a crash cut short.
    ///
    /// # Errors
    /// Says for each what to do: see [`OpenError`].
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        // SQLite takes some names, such as `:memory:`, for something else than a path, but none
        // from the root on.
        let path = std::path::absolute(path)
            .map_err(|source| OpenError::Create { path: path.into(), source })?;
        create(&path)?;
        let options = options(&path);
        let prepared = prepare_in_turn(&options, &path).await?;
        prepared.close().await.map_err(|error| refusal(&path, error))?;
        let readers: PoolOptions<_> = PoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY)
            .idle_timeout(None)
            .max_lifetime(None)
            // A connection to a file does not go away by itself.
            .test_before_acquire(false);
        let inner = Arc::new(Inner {
            readers: readers.connect_lazy_with(options.clone().read_only(true)),
            writer: Writer::new(SqlitePen(options)),
            statements: Statements::new(&SYNTAX),
            queries: Queries::default(),
            progress: Progress::default(),
            index: Index::new(OR_BITS),
        });
        let thread = Thread::start("chat-sqlite").map_err(|error| failed(&path, error))?;
        background::finish_deletions_of(&inner, thread.handle());
        tracing::debug!(path = %path.display(), "opened the SQLite store");
        Ok(Self { inner, thread: Arc::new(thread) })
    }
}

/// How the file is written to.
#[derive(Debug)]
pub(super) struct SqlitePen(SqliteConnectOptions);

impl Pen for SqlitePen {
    type Connection = SqliteConnection;

    /// At most one connection ever hangs on a disk that does not answer.
    const ALONE: bool = true;
    const IDLE: Duration = Duration::MAX;

    async fn open(&self) -> Result<SqliteConnection, sqlx::Error> {
        self.0.connect().await
    }
}

/// Makes the file, empty, if there is none. SQLite gives its helper files the same permissions.
fn create(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        let failed = |source| OpenError::Create { path: folder.into(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = std::fs::OpenOptions::new();
    file.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file.open(path).map_err(|source| OpenError::Create { path: path.into(), source })?;
    Ok(())
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        // The migration says why.
        .foreign_keys(false)
        .busy_timeout(BUSY)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("cache_size", CACHE)
        .pragma("journal_size_limit", LOG_BYTES)
        // What is erased is overwritten where it stood, where that takes no page of its own.
        .pragma("secure_delete", "fast")
        .statement_cache_capacity(STATEMENTS)
        // Its text may have thousands of parameters, so a statement is nothing for a log.
        .disable_statement_logging()
}

/// Connects, and leaves the file with a write-ahead log and the tables of this version.
/// As [`prepare`], as soon as no other process does the same. SQLite waits for most locks itself, but when two
/// switch a new file to its log at once it tells one of them to come again.
async fn prepare_in_turn(
    options: &SqliteConnectOptions,
    path: &Path,
) -> Result<SqliteConnection, OpenError> {
    let began = Instant::now();
    loop {
        match prepare(options, path).await {
            Err(error) if error.is_locked() && began.elapsed() < BUSY => {
                tokio::time::sleep(AGAIN).await;
            }
            prepared => return prepared,
        }
    }
}

impl OpenError {
    /// Whether another process holds the file.
    fn is_locked(&self) -> bool {
        let Self::Failed { source, .. } = self else { return false };
        let error = source.downcast_ref::<sqlx::Error>();
        error.and_then(result_code) == Some(LOCKED)
    }
}

async fn prepare(
    options: &SqliteConnectOptions,
    path: &Path,
) -> Result<SqliteConnection, OpenError> {
    let refuse = |error| refusal(path, error);
    let mut connection =
        options.clone().journal_mode(SqliteJournalMode::Wal).connect().await.map_err(refuse)?;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut connection)
        .await
        .map_err(refuse)?;
    if mode != "wal" {
        return Err(OpenError::NoLog(path.into()));
    }
    // sqlx does not lock an SQLite file while it migrates; two processes may start at the same
    // time.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(refuse)?;
    MIGRATIONS.run_direct(None, &mut *transaction, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => OpenError::Newer { path: path.into(), version },
        MigrateError::VersionMismatch(version) => {
            OpenError::Different { path: path.into(), version }
        }
        MigrateError::Execute(error) => refuse(error),
        other => failed(path, other),
    })?;
    transaction.commit().await.map_err(refuse)?;
    Ok(connection)
}

/// SQLite's result code.
fn result_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    // The lowest byte says which error it is, the others which variety.
    code.map(|code| code & 0xff)
}

fn refusal(path: &Path, error: sqlx::Error) -> OpenError {
    match result_code(&error) {
        Some(NOT_A_DATABASE) => OpenError::NotADatabase(path.into()),
        Some(CORRUPT) => OpenError::Damaged { path: path.into(), source: error },
        _ => failed(path, error),
    }
}

fn failed(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OpenError {
    OpenError::Failed { path: path.into(), source: source.into() }
}
