//! An engine on a store, rooms, and those who listen in them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat_core::limits::PAGE;
use chat_core::{
    Engine, HistoryAt, HistoryQuery, Limits, Name, NewRoom, RoomId, Store, User, UserId,
};
use chat_server::store::{MySqlOptions, MySqlStore};
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::database::{PATIENCE, connect};
use crate::ledger::Ledger;
use crate::listeners::Listener;
use crate::stored::{Row, Stored};

/// How many listeners there are.
const LISTENERS: usize = 3;
/// How many messages are sent once more with their keys.
const REPEATED: usize = 200;

pub(crate) fn user(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).expect("a good name"))
}

/// A store with this deadline.
pub(crate) async fn open(url: &str, deadline: Duration) -> Arc<MySqlStore> {
    let mut options = MySqlOptions::new(url);
    options.deadline = deadline;
    Arc::new(MySqlStore::open(&options).await.expect("the database is fit for use"))
}

/// An engine and the rooms that are looked at.
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) rooms: Vec<RoomId>,
    /// Who may read them all.
    owner: User,
    pub(crate) listeners: Vec<Listener>,
}

impl House {
    /// With new rooms.
    pub(crate) async fn build(store: Arc<dyn Store>, limits: Limits, rooms: usize) -> Self {
        let engine = engine(store, limits);
        let owner = user("owner");
        let mut opened = Vec::new();
        for room in 0..rooms {
            let new = NewRoom::open(format!("room {room}")).expect("a good title");
            opened.push(engine.open_room(&owner, new).await.expect("a room").id());
        }
        Self::new(engine, opened, owner).await
    }

    /// Another engine in the same rooms.
    pub(crate) async fn beside(&self, store: Arc<dyn Store>) -> Self {
        let engine = engine(store, Limits::default());
        Self::new(engine, self.rooms.clone(), self.owner.clone()).await
    }

    async fn new(engine: Engine, rooms: Vec<RoomId>, owner: User) -> Self {
        let names: Vec<_> = (0..LISTENERS).map(|number| format!("listener {number}")).collect();
        let listeners = names.iter().map(|name| Listener::new(&engine, name, &rooms));
        let listeners = join_all(listeners).await;
        Self { engine, rooms, owner, listeners }
    }

    /// Compares everything with everything, and says what was done: the ledger, what the listeners
    /// have heard, what is stored, and what another engine on a fresh store finds there.
    /// The listeners are to hear each room up to a message at least.
    pub(crate) async fn settle(
        &self,
        ledger: &Ledger,
        stored: &Stored,
        heard: &HashMap<RoomId, u64>,
        fresh: Arc<dyn Store>,
    ) {
        eprintln!("{}", ledger.summary());
        ledger.check(stored);
        for listener in &self.listeners {
            listener.check(heard, stored).await;
        }
        ledger.repeat(&self.engine, REPEATED).await;
        let fresh = engine(fresh, Limits::default());
        self.same_again(&fresh, stored).await;
        ledger.repeat(&fresh, REPEATED).await;
        for engine in [&self.engine, &fresh] {
            timeout(PATIENCE, engine.stop()).await.expect("it stops");
        }
    }

    /// As [`settle`](Self::settle), with what is in the database with this address now.
    pub(crate) async fn settle_in(&self, ledger: &Ledger, url: &str) {
        let stored = Stored::in_mysql(&mut connect(url).await).await;
        self.settle(ledger, &stored, &ledger.last_accepted(), open(url, PATIENCE).await).await;
        // Sending again has stored nothing.
        let after = Stored::in_mysql(&mut connect(url).await).await;
        assert_eq!(after.rows().count(), stored.rows().count());
    }

    /// Every room's history has what is stored.
    pub(crate) async fn same_again(&self, engine: &Engine, stored: &Stored) {
        for room in &self.rooms {
            let mut read = Vec::new();
            loop {
                let after = read.last().map_or(0, |row: &Row| row.seq);
                let query = HistoryQuery { at: HistoryAt::After(after), limit: PAGE };
                let page = engine.room(*room).history(&self.owner, query).await.expect("a page");
                read.extend(page.messages.iter().map(|message| Row {
                    seq: message.seq,
                    sender: message.from.id,
                    text: message.text().to_owned(),
                    at_ms: message.at.timestamp_millis(),
                    key: None,
                }));
                if !page.more_after {
                    break;
                }
            }
            let stored: Vec<_> =
                stored.of(*room).iter().map(|row| Row { key: None, ..row.clone() }).collect();
            assert_eq!(read, stored);
        }
    }
}

/// On two threads, and one for what is written.
pub(crate) fn engine(store: Arc<dyn Store>, limits: Limits) -> Engine {
    let engine = Engine::builder().shared_store(store).limits(limits).threads(2);
    engine.start().expect("an engine")
}
