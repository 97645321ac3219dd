//! The server that is measured, over one database or the other.

use std::path::PathBuf;

use shared::Outcome;
use shared::programs::{self, LISTENING, MariaDb, Program, TO_START, chat_server};
use tempfile::TempDir;

use crate::client::{self, Person};
use crate::storm;

/// Whoever this machine says that somebody is, is believed: every client has an address of its own.
const SETTINGS: [&str; 1] = ["server.trusted_proxies=127.0.0.1"];

/// Where it stores.
#[derive(Clone, Copy)]
pub(crate) enum Database {
    Sqlite,
    MariaDb,
}

/// In the order of tables.
pub(crate) const ALL: [Database; 2] = [Database::Sqlite, Database::MariaDb];

impl Database {
    /// As it is called in the figures.
    pub(crate) fn case(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::MariaDb => "mariadb",
        }
    }

    /// As it is called in tables.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::MariaDb => "MariaDB",
        }
    }
}

/// Where programs are found, and where they store.
pub(crate) struct Place {
    pub(crate) programs: PathBuf,
    pub(crate) scratch: PathBuf,
    mariadb: Option<MariaDb>,
}

impl Place {
    /// Starts MariaDB, if there is one.
    pub(crate) async fn find() -> Outcome<Self> {
        let programs = programs::built(&["chat-server", "load"])?;
        let scratch = programs::scratch("people")?;
        let mariadb = match MariaDb::is_there() {
            true => Some(MariaDb::start(&scratch).await?),
            false => None,
        };
        Ok(Self { programs, scratch, mariadb })
    }

    pub(crate) fn has(&self, database: Database) -> bool {
        matches!(database, Database::Sqlite) || self.mariadb.is_some()
    }
}

/// A server that runs until this is dropped.
pub(crate) struct Running {
    pub(crate) program: Program,
    pub(crate) address: String,
    /// Those who have accounts.
    pub(crate) people: Vec<Person>,
    /// Dropped after the program has ended.
    _data: TempDir,
}

impl Running {
    /// Starts it with its defaults, over an empty database, and has people sign up.
    pub(crate) async fn start(place: &Place, database: Database) -> Outcome<Self> {
        let data = TempDir::new_in(&place.scratch)?;
        let mut command = chat_server(&place.programs, data.path(), SETTINGS);
        if let (Database::MariaDb, Some(mariadb)) = (database, &place.mariadb) {
            // Everybody on the machine can read a command line.
            command.env("CHAT__STORE__URL", mariadb.make("people").await?);
        }
        let program = Program::start("the server", command, None)?;
        let address = program.says(LISTENING, TO_START)?;
        let people = client::sign_up(&address, storm::AT_ONCE).await?;
        Ok(Self { program, address, people, _data: data })
    }
}
