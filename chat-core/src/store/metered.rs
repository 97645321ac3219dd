//! Counts what the engine asks of its store, so that "a live room costs the store its writes and
//! nothing else" is something that a test can read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::ids::RoomId;
use crate::model::{Change, Membership, Message, RoomInfo};
use crate::store::{
    Batch, BatchOutcome, Listed, LoadedRoom, RoomKey, RoomQuery, Store, StoreError,
};

/// How often the engine has asked its store since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCalls {
    /// Calls that read.
    pub reads: u64,
    /// Calls that write; a whole commit is one.
    pub writes: u64,
}

/// A store with counters in front.
pub(crate) struct Metered {
    store: Arc<dyn Store>,
    reads: AtomicU64,
    writes: AtomicU64,
}

impl Metered {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, reads: AtomicU64::new(0), writes: AtomicU64::new(0) }
    }

    pub(crate) fn calls(&self) -> StoreCalls {
        StoreCalls {
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
        }
    }

    fn read(&self) -> &dyn Store {
        self.reads.fetch_add(1, Ordering::Relaxed);
        &*self.store
    }

    fn write(&self) -> &dyn Store {
        self.writes.fetch_add(1, Ordering::Relaxed);
        &*self.store
    }
}

#[async_trait]
impl Store for Metered {
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
    ) -> Result<RoomId, StoreError> {
        self.write().create_room(info, members).await
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError> {
        self.read().load_room(id, recent).await
    }

    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError> {
        self.write().append(batches).await
    }

    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError> {
        self.read().messages(room, after, until).await
    }

    async fn changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        self.read().changes(room, after, limit).await
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError> {
        self.read().list_rooms(query).await
    }

    async fn delete_room(&self, room: RoomKey) -> Result<(), StoreError> {
        self.write().delete_room(room).await
    }

    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.read().ephemeral_rooms().await
    }
}
