//! Who writes in a shape, and how each is measured.

use std::sync::Arc;

use chat_server::store::{MySqlOptions, MySqlStore, SqlStore, SqliteStore};
use shared::Outcome;
use shared::figures::Report;
use tempfile::TempDir;
use uuid::Uuid;

use crate::bench::Bench;
use crate::closed_loop::{self, Refused, Sender, Window};
use crate::home_made::{HomeMade, Way};
use crate::results::name;
use crate::shape::Shape;
use crate::{bare, engine, two};

/// One who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// The engine over a database, in one process and in two.
    Engine,
    Sqlite,
    Two,
    /// A transaction for each message.
    HomeMade(Way),
    /// The floors.
    Bare,
    Fdatasync,
}

use Contender::{Bare, Engine, Fdatasync, Sqlite, Two};

/// All of them, in the order of tables.
pub(crate) const ALL: [Contender; 7] = [
    Engine,
    Two,
    Sqlite,
    Contender::HomeMade(Way::Counter),
    Contender::HomeMade(Way::Auto),
    Bare,
    Fdatasync,
];

/// The shape in which two processes write.
pub(crate) const OF_TWO: (usize, usize) = (512, 100);

impl Contender {
    /// Those of a shape.
    pub(crate) fn of(shape: &Shape) -> Vec<Self> {
        let is_there = |contender: &Self| match contender {
            Two => (shape.senders, shape.rooms) == OF_TWO,
            Bare | Fdatasync => shape.senders == 1,
            Engine | Sqlite | Self::HomeMade(_) => true,
        };
        ALL.into_iter().filter(is_there).collect()
    }

    /// As it is called in the figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine => name::ENGINE,
            Sqlite => name::SQLITE,
            Two => name::TWO,
            Self::HomeMade(Way::Counter) => name::COUNTER,
            Self::HomeMade(Way::Auto) => name::AUTO,
            Bare => name::BARE,
            Fdatasync => name::FSYNC,
        }
    }

    /// As it is called in tables.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Engine => "**the engine, MariaDB**",
            Sqlite => "**the engine, SQLite**",
            Two => "**two processes with an engine each, MariaDB**",
            Self::HomeMade(Way::Counter) => "home-made, each room has a counter",
            Self::HomeMade(Way::Auto) => "home-made, `AUTO_INCREMENT`",
            Bare => "a bare `INSERT`, one connection",
            Fdatasync => "4 KiB and `fdatasync`, no database",
        }
    }

    /// As it is called in plots, where there is little space; nothing of what is in none.
    pub(crate) fn plotted(self) -> Option<&'static str> {
        match self {
            Engine => Some("engine, MariaDB"),
            Sqlite => Some("engine, SQLite"),
            Self::HomeMade(Way::Counter) => Some("home-made, counter"),
            Self::HomeMade(Way::Auto) => Some("home-made, auto"),
            Two | Bare | Fdatasync => None,
        }
    }

    pub(crate) async fn measure(self, bench: &Bench, shape: &Shape) -> Outcome<Report> {
        const NAME: &str = "store";
        let (mariadb, measured) = (&bench.mariadb, bench.measured);
        match self {
            Fdatasync => return bare::fdatasync(mariadb.folder(), measured).await,
            Sqlite => {
                let folder = TempDir::new_in(&bench.scratch)?;
                let store = SqliteStore::open(&folder.path().join("chat.db")).await?;
                return engine::measure(Arc::new(store), None, shape, measured).await;
            }
            _ => {}
        }
        let url = mariadb.make(NAME).await?;
        let report = match self {
            Two => two::measure(mariadb, &url, &bench.scratch, shape, measured).await,
            Self::HomeMade(way) => home_made(&url, way, shape, bench).await,
            Bare => bare::insert(&url, shape, measured).await,
            Engine | Sqlite | Fdatasync => {
                let store: Arc<dyn SqlStore> =
                    Arc::new(MySqlStore::open(&MySqlOptions::new(url)).await?);
                engine::measure(store, Some(mariadb), shape, measured).await
            }
        };
        mariadb.drop(NAME).await?;
        report
    }
}

/// One who sends, and waits with all others for one of the connections.
struct Homely {
    home_made: HomeMade,
    user: Uuid,
}

impl Sender for Homely {
    async fn send(&mut self, room: usize, key: &str, text: &str) -> Result<u64, Refused> {
        let written = self.home_made.write(room as i64, self.user.into_bytes(), key, text).await;
        written.map_err(|error| Refused { again: false, why: error.to_string() })
    }
}

async fn home_made(url: &str, way: Way, shape: &Shape, bench: &Bench) -> Outcome<Report> {
    let home_made = HomeMade::open(url, way).await?;
    for room in 0..shape.rooms {
        home_made.open_room(room as i64).await?;
    }
    let sender = |_| Homely { home_made: home_made.clone(), user: Uuid::now_v7() };
    let senders = (0..shape.senders).map(sender).collect();
    let window = Window::of(bench.measured);
    let sent = closed_loop::run(senders, 0, shape, window).await?;
    closed_loop::figures(&sent.acked, window.seconds())
}
