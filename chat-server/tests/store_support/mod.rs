//! What the store's tests share: rooms, people and writes to put into a store, and a folder for its
//! file.

#![allow(dead_code, unused_imports, unused_macros, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "tests")]

use chat_core::{
    Batch, BatchOutcome, ChangeKind, ClientKey, Cursor, Draft, Kind, LoadedRoom, Membership,
    Message, Name, Outcome, Role, RoomId, RoomInfo, RoomKey, Sent, Store, Text, Timestamp, Title,
    User, UserId, Write,
};
use chat_server::store::SqliteStore;
use tempfile::TempDir;

/// Runs each case, an async function of a `&dyn Store`, against every store.
macro_rules! every_store {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&chat_core::MemoryStore::default()).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                let home = super::Home::new();
                super::$case(&home.open().await).await;
            })*
        }
    };
}
pub(crate) use every_store;

/// A folder with a store's file, gone at the end of the test.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("chat.db")
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path()).await.unwrap()
    }
}

/// A moment, in milliseconds.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_timestamp_millis(1_767_323_045_000 + millis).unwrap()
}

pub(crate) fn user(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).unwrap())
}

pub(crate) fn member(user: &User) -> Membership {
    Membership { user: user.clone(), role: Role::Member }
}

pub(crate) fn owner_of(user: &User) -> Membership {
    Membership { user: user.clone(), role: Role::Owner }
}

pub(crate) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub(crate) fn info(title: &str) -> RoomInfo {
    let title = Some(Title::new(title).unwrap());
    RoomInfo { id: RoomId::new(), title, kind: Kind::Open, ephemeral: false, created: at(0) }
}

pub(crate) fn message(from: &User, said: &str) -> Write {
    Write::Message { from: from.clone(), text: text(said), at: at(1), key: None }
}

pub(crate) fn keyed(from: &User, said: &str, key: &str) -> Write {
    let fingerprint = Draft::text(said).unwrap().fingerprint();
    let key = Some((ClientKey::new(key).unwrap(), fingerprint));
    Write::Message { from: from.clone(), text: text(said), at: at(2), key }
}

pub(crate) fn join(user: &User) -> Write {
    Write::Change { kind: ChangeKind::Joined(member(user)), at: at(3) }
}

pub(crate) fn leave(user: &User) -> Write {
    Write::Change { kind: ChangeKind::Left(member(user)), at: at(4) }
}

/// A new room, which stands at 0.1.
pub(crate) async fn open_room(store: &dyn Store, owner: &User) -> LoadedRoom {
    let info = info("a room");
    store.create_room(&info, &[owner_of(owner)]).await.unwrap();
    load(store, info.id).await
}

pub(crate) async fn load(store: &dyn Store, room: RoomId) -> LoadedRoom {
    store.load_room(room, 1_000).await.unwrap().unwrap()
}

pub(crate) fn batch(room: RoomKey, after: (u64, u64), writes: Vec<Write>) -> Batch {
    Batch { room, after: Cursor::new(after.0, after.1), writes }
}

pub(crate) async fn append(
    store: &dyn Store,
    room: RoomKey,
    after: (u64, u64),
    writes: Vec<Write>,
) -> BatchOutcome {
    store.append(&[batch(room, after, writes)]).await.unwrap().remove(0)
}

pub(crate) fn stored(seq: u64, change: u64) -> Outcome {
    Outcome::Stored(Cursor::new(seq, change))
}

pub(crate) async fn messages(store: &dyn Store, room: RoomKey) -> Vec<Message> {
    store.messages(room, 0, u64::MAX).await.unwrap()
}

pub(crate) async fn texts(store: &dyn Store, room: RoomKey) -> Vec<String> {
    messages(store, room).await.iter().map(|message| message.text.to_string()).collect()
}
