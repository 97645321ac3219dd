//! Messages are found by what they say, in both databases: by the index, by reading what is not in it yet, and by
//! both, whatever has become of them meanwhile and whoever keeps the index up.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../database/mod.rs"]
mod database;
#[path = "../store_support/mod.rs"]
mod store_support;

use std::sync::Arc;

use chat_core::{
    Body, Engine, Kind, LoadedRoom, Membership, Name, Role, RoomId, RoomInfo, Store, Text,
    Timestamp, Title, User, UserId, Write,
};
use chat_server::search::{Query, SearchIndex};
use chat_server::store::{MySqlOptions, MySqlStore, SqlStore, SqliteStore};
use database::Database;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use store_support::{Home, append};

/// One database, opened twice, as by two processes.
struct Kept {
    stores: [Arc<dyn SqlStore>; 2],
    place: Place,
}

enum Place {
    Folder(Home),
    Database(Database),
}

impl Kept {
    async fn sqlite() -> Self {
        let home = Home::new();
        let stores = [Arc::new(home.open().await) as _, Arc::new(home.open().await) as _];
        Self { stores, place: Place::Folder(home) }
    }

    async fn mariadb() -> Self {
        let database = Database::new().await;
        let open = async || MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap();
        let stores = [Arc::new(open().await) as _, Arc::new(open().await) as _];
        Self { stores, place: Place::Database(database) }
    }

    /// Another process.
    async fn another(&self) -> Arc<dyn SqlStore> {
        match &self.place {
            Place::Folder(home) => Arc::new(SqliteStore::open(&home.path()).await.unwrap()),
            Place::Database(database) => {
                Arc::new(MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap())
            }
        }
    }

    /// A number that is asked for past the store; or a change past it.
    async fn sql(&self, text: &str) -> i64 {
        let text = AssertSqlSafe(text.to_owned());
        let number = match &self.place {
            Place::Folder(home) => {
                let file = format!("sqlite:{}", home.path().display());
                let mut connection = SqliteConnection::connect(&file).await.unwrap();
                sqlx::query_scalar::<_, i64>(text).fetch_optional(&mut connection).await
            }
            Place::Database(database) => {
                let mut connection = database.connect().await;
                sqlx::query_scalar::<_, i64>(text).fetch_optional(&mut connection).await
            }
        };
        number.unwrap().unwrap_or_default()
    }

    /// Makes a user a member of so many empty threads, past the store.
    async fn follow_many_threads(&self, user: &User, count: usize) {
        let (numbers, id) = match &self.place {
            Place::Folder(_) => (
                format!(
                    "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n)"
                ),
                "randomblob(16)",
            ),
            Place::Database(_) => (format!("seq_1_to_{count}"), "UNHEX(REPLACE(UUID(), '-', ''))"),
        };
        let title = "'one of many'";
        self.sql(&format!(
            "INSERT INTO rooms (public_id, title, title_folded, kind, ephemeral, created_ms) \
             SELECT {id}, {title}, {title}, 'thread', 0, 0 FROM {numbers} numbers"
        ))
        .await;
        self.sql(&format!(
            "INSERT INTO search_progress (room) SELECT id FROM rooms WHERE title = {title}"
        ))
        .await;
        let user = user.id.uuid().simple();
        self.sql(&format!(
            "INSERT INTO members (room, user, role) \
             SELECT id, x'{user}', 'member' FROM rooms WHERE title = {title}"
        ))
        .await;
    }

    async fn rows(&self) -> i64 {
        self.sql("SELECT COUNT(*) FROM search_grams").await
    }
}

/// A case in both databases.
macro_rules! in_both {
    ($($case:ident)*) => {
        mod in_sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case(crate::Kept::sqlite().await).await;
            })*
        }

        mod in_mariadb {
            $(#[tokio::test]
            async fn $case() {
                super::$case(crate::Kept::mariadb().await).await;
            })*
        }
    };
}

mod finding;
mod indexing;
mod turns;

fn user(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).unwrap())
}

fn query(text: &str) -> Query {
    Query::new(text).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_767_312_000 + second, 0).unwrap()
}

fn engine(store: &Arc<dyn SqlStore>) -> Engine {
    Engine::builder().shared_store(Arc::clone(store) as Arc<dyn Store>).threads(2).start().unwrap()
}

async fn open_room(store: &dyn SqlStore, owner: &User) -> LoadedRoom {
    let title = Some(Title::new("a room").unwrap());
    let info = RoomInfo {
        id: RoomId::new(),
        title,
        kind: Kind::Open,
        ephemeral: false,
        created: at(0),
        parent: None,
    };
    let owner = Membership { user: owner.clone(), role: Role::Owner };
    store.create_room(&info, &[owner], None).await.unwrap();
    store.load_room(info.id, 0).await.unwrap().unwrap()
}

/// Writes messages behind those that are there, each a second after the one before.
async fn write(store: &dyn SqlStore, room: RoomId, from: &User, texts: &[String], second: i64) {
    let loaded = store.load_room(room, 0).await.unwrap().unwrap();
    let message = |(nth, text): (usize, &String)| {
        let body = Body::text(Text::new(text.as_str()).unwrap());
        Write::Message { from: from.clone(), body, at: at(second + nth as i64), key: None }
    };
    let writes: Vec<_> = texts.iter().enumerate().map(message).collect();
    append(store, &loaded, loaded.end, &writes).await;
}

const NOTHING: [u64; 0] = [];

/// All that is found in a room.
async fn all(index: &dyn SearchIndex, room: RoomId, text: &str) -> Vec<u64> {
    let (mut seqs, mut before) = (Vec::new(), None);
    loop {
        let found = index.find(room, &query(text), before, 7).await.unwrap();
        assert!(found.messages.iter().all(|(of, _)| *of == room));
        seqs.extend(found.messages.iter().map(|(_, seq)| *seq));
        match found.next {
            Some(next) => before = Some(next),
            None => return seqs,
        }
    }
}
