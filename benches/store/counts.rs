//! How many statements and commits it took: as the store has counted what it asked, and as MariaDB has
//! counted what it was asked.

use chat_server::store::{QueryCounts, SqlStore};
use shared::Outcome;
use shared::figures::Report;
use shared::programs::MariaDb;

use crate::closed_loop::Window;
use crate::results::measure;

/// What was counted in a window.
pub(crate) struct Counts {
    store: Option<Kinds>,
    server: Option<Kinds>,
}

/// Statements of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds {
    pub(crate) commits: u64,
    pub(crate) selects: u64,
    pub(crate) inserts: u64,
    pub(crate) updates: u64,
    pub(crate) deletes: u64,
}

impl Kinds {
    fn since(self, earlier: Self) -> Self {
        Self {
            commits: self.commits - earlier.commits,
            selects: self.selects - earlier.selects,
            inserts: self.inserts - earlier.inserts,
            updates: self.updates - earlier.updates,
            deletes: self.deletes - earlier.deletes,
        }
    }

    fn text(self) -> String {
        let Self { commits, selects, inserts, updates, deletes } = self;
        format!(
            "{commits} commits, {selects} SELECT, {inserts} INSERT, {updates} UPDATE, {deletes} DELETE"
        )
    }
}

impl From<QueryCounts> for Kinds {
    fn from(counts: QueryCounts) -> Self {
        let QueryCounts { selects, inserts, updates, deletes, commits } = counts;
        Self { commits, selects, inserts, updates, deletes }
    }
}

impl Counts {
    /// Waits for the beginning of the window and for its end.
    pub(crate) async fn over(
        window: Window,
        store: Option<&dyn SqlStore>,
        server: Option<&MariaDb>,
    ) -> Outcome<Self> {
        tokio::time::sleep_until(window.from.into()).await;
        let before = Self::now(store, server).await?;
        tokio::time::sleep_until(window.until.into()).await;
        let after = Self::now(store, server).await?;
        let since = |after: Option<Kinds>, before| Some(after?.since(before?));
        Ok(Self {
            store: since(after.store, before.store),
            server: since(after.server, before.server),
        })
    }

    async fn now(store: Option<&dyn SqlStore>, server: Option<&MariaDb>) -> Outcome<Self> {
        let store = store.map(|store| store.stats().queries.into());
        let server = match server {
            Some(server) => Some(server.counted().await?.into()),
            None => None,
        };
        Ok(Self { store, server })
    }

    /// Adds them to what was measured in the window. The server's own count comes before the store's.
    pub(crate) fn report(&self, window: Window, report: &mut Report) {
        for (who, kinds) in [("the store", self.store), ("MariaDB", self.server)] {
            let Some(kinds) = kinds else { continue };
            eprintln!("    {who} has counted {}", kinds.text());
            let Kinds { commits, selects, inserts, updates, deletes } = kinds;
            report.insert(measure::SELECTS, selects as f64 / window.seconds());
            if commits > 0 {
                let per_commit = |count: f64| count / commits as f64;
                let messages = report[measure::RATE] * window.seconds();
                let statements = selects + inserts + updates + deletes;
                report.insert(measure::PER_COMMIT, per_commit(messages));
                report.insert(measure::STATEMENTS, per_commit(statements as f64));
            }
        }
    }
}
