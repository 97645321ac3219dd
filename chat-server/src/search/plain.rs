//! Finds messages in a store that has no index, by reading them: for rooms in memory, and for stores of programs
//! that embed this one.

use std::sync::Arc;

use async_trait::async_trait;
use chat_core::{Message, RoomId, RoomKey, Store, StoreError, UserId, limits};

use super::Query;
use super::index::{Found, Place, SearchIndex};
use super::walk::{self, Bounds, Piece, Rooms};

/// The messages of a store, as they are.
pub struct Plain(pub Arc<dyn Store>);

struct Room {
    id: RoomId,
    key: RoomKey,
    bounds: Bounds,
}

struct Reader<'a> {
    store: &'a dyn Store,
    query: &'a Query,
}

impl Reader<'_> {
    /// A room, if there is one and, if a member is named, if that is one.
    async fn room(&self, id: RoomId, member: Option<UserId>) -> Result<Option<Room>, StoreError> {
        let Some(loaded) = self.store.load_room(id, 1).await? else { return Ok(None) };
        let is_member = |user| loaded.members.iter().any(|member| member.user.id == user);
        if member.is_some_and(|user| !is_member(user)) {
            return Ok(None);
        }
        let last_at = loaded.messages.last().map_or(0, |last| last.at.timestamp_millis());
        let bounds = Bounds { floor: loaded.removed, end: loaded.end.seq, last_at };
        Ok(Some(Room { id, key: loaded.key, bounds }))
    }
}

impl Rooms for Reader<'_> {
    type Room = Room;
    type Error = StoreError;

    fn id(room: &Room) -> RoomId {
        room.id
    }

    fn bounds(room: &Room) -> Bounds {
        room.bounds
    }

    async fn piece(&mut self, room: &mut Room, before: u64, _: usize) -> Result<Piece, StoreError> {
        let after = before.saturating_sub(limits::PAGE as u64 + 1).max(room.bounds.floor);
        let messages = self.store.messages(room.key, after, before - 1).await?;
        let found = messages.iter().rev().filter(|message| matches(self.query, message));
        let hits = found.map(|message| (message.seq, message.at.timestamp_millis())).collect();
        Ok(Piece { hits, down_to: after + 1 })
    }

    async fn at(&mut self, room: &Room, seq: u64) -> Result<i64, StoreError> {
        let message = self.store.messages(room.key, seq - 1, seq).await?.pop();
        Ok(message.map_or(i64::MIN, |message| message.at.timestamp_millis()))
    }
}

/// Whether a message is one that is looked for.
pub(super) fn matches(query: &Query, message: &Message) -> bool {
    !message.deleted && query.matches(message.text())
}

#[async_trait]
impl SearchIndex for Plain {
    async fn find(
        &self,
        room: RoomId,
        query: &Query,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Found<u64>, StoreError> {
        let mut reader = Reader { store: &*self.0, query };
        match reader.room(room, None).await? {
            Some(mut room) => walk::through_one(&mut reader, &mut room, before, limit).await,
            None => Ok(Found { messages: Vec::new(), next: None }),
        }
    }

    async fn find_of(
        &self,
        user: UserId,
        query: &Query,
        before: Option<Place>,
        limit: usize,
    ) -> Result<Found<Place>, StoreError> {
        let mut reader = Reader { store: &*self.0, query };
        let mut rooms = Vec::new();
        for id in self.0.rooms_of(user).await? {
            rooms.extend(reader.room(id, Some(user)).await?);
        }
        let pieces = rooms.len() + walk::MOST_PIECES;
        walk::through_all(&mut reader, &mut rooms, before, limit, pieces).await
    }
}
