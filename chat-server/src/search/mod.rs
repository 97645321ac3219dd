//! Search: what somebody looks for, and the messages in which it is, for those who may read them. Which messages
//! these are, an index says by what is kept; the messages themselves come from the engine, as they do everywhere.

mod fold;
pub(crate) mod grams;
mod index;
mod plain;
mod query;
pub(crate) mod walk;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_core::{
    Code, Engine, Error, History, HistoryAt, HistoryQuery, Message, Result, RoomId, StoreError,
    User, UserId,
};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) use fold::fold;
pub use index::{BadPlace, Found, Place, SearchIndex};
pub use plain::Plain;
pub use query::{QUERY_CHARS, Query};

/// How many are searching at a time, so that others get at the store too.
const AT_ONCE: usize = 2;

/// How many may wait for their turn. One more is told `busy`.
const WAITING: usize = 64;

/// How many searches of one user may be under way or wait at a time. One more is told `busy`, so that nobody who searches
/// without pause takes the places of others.
const OF_ONE_USER: usize = 2;

/// The most messages that one answer carries, without those around them.
pub const MOST_RESULTS: usize = 50;

/// How many messages before and after one that was found may come with it.
pub const MOST_CONTEXT: usize = 5;

/// Searches on behalf of users.
pub struct Search {
    engine: Engine,
    index: Arc<dyn SearchIndex>,
    turns: Semaphore,
    places: Semaphore,
    /// Who is searching or waits, and how many times.
    searching: Mutex<HashMap<UserId, usize>>,
}

/// A search that is under way or waits, as one of its user's.
struct Searching<'a> {
    search: &'a Search,
    user: UserId,
}

impl Drop for Searching<'_> {
    fn drop(&mut self) {
        let mut searching = self.search.searching();
        if let Some(count) = searching.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                searching.remove(&self.user);
            }
        }
    }
}

/// How much is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// How many messages at most.
    pub limit: usize,
    /// How many before and after each.
    pub context: usize,
}

/// Messages that were found.
#[derive(Debug)]
pub struct Results<N> {
    /// Newest first.
    pub hits: Vec<Hit>,
    /// Where to go on, if there may be more.
    pub next: Option<N>,
}

/// A message that was found, with those around it.
#[derive(Debug)]
pub struct Hit {
    /// The part of the room's history that it stands in.
    pub around: History,
    /// Its place there.
    place: usize,
}

impl Hit {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.around.messages[self.place]
    }

    /// The messages before it, oldest first.
    #[must_use]
    pub fn before(&self) -> &[Arc<Message>] {
        &self.around.messages[..self.place]
    }

    /// The messages after it.
    #[must_use]
    pub fn after(&self) -> &[Arc<Message>] {
        &self.around.messages[self.place + 1..]
    }
}

impl Search {
    /// A search in the rooms of this engine, whose messages this index knows.
    #[must_use]
    pub fn new(engine: Engine, index: Arc<dyn SearchIndex>) -> Self {
        let (turns, places) = (Semaphore::new(AT_ONCE), Semaphore::new(AT_ONCE + WAITING));
        Self { engine, index, turns, places, searching: Mutex::default() }
    }

    fn searching(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        // Nothing that runs under the lock leaves a count half changed.
        self.searching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a search among its user's for as long as it takes.
    fn begin(&self, user: UserId) -> Result<Searching<'_>> {
        let mut searching = self.searching();
        let count = searching.get(&user).copied().unwrap_or_default();
        if count >= OF_ONE_USER {
            return Err(Error::busy());
        }
        searching.insert(user, count + 1);
        Ok(Searching { search: self, user })
    }

    /// Messages of a room, which its members may look for.
    ///
    /// # Errors
    /// As for [`Room::history`](chat_core::Room::history), and `busy`, also if two searches of the user's are under way.
    pub async fn in_room(
        &self,
        user: &User,
        room: RoomId,
        query: &Query,
        before: Option<u64>,
        extent: Extent,
    ) -> Result<Results<u64>> {
        let _one_of_its = self.begin(user.id)?;
        let nothing = HistoryQuery { at: HistoryAt::End, limit: 0 };
        self.engine.room(room).history(user, nothing).await?;
        let turn = self.turn().await?;
        let found = self.index.find(room, query, before, extent.limit).await;
        let found = found.map_err(|error| failed(&error))?;
        drop(turn);
        let mut hits = Vec::with_capacity(found.messages.len());
        for (room, seq) in found.messages {
            hits.extend(self.hit(user, (room, seq), query, extent).await?);
        }
        Ok(Results { hits, next: found.next })
    }

    /// Messages of all rooms of which the user is a member.
    ///
    /// # Errors
    /// `busy`, also if two searches of the user's are under way; `unavailable`, `stopping`.
    pub async fn everywhere(
        &self,
        user: &User,
        query: &Query,
        before: Option<Place>,
        extent: Extent,
    ) -> Result<Results<Place>> {
        let _one_of_its = self.begin(user.id)?;
        let turn = self.turn().await?;
        let found = self.index.find_of(user.id, query, before, extent.limit);
        let found = found.await.map_err(|error| failed(&error))?;
        drop(turn);
        let mut hits = Vec::with_capacity(found.messages.len());
        for place in found.messages {
            match self.hit(user, place, query, extent).await {
                Ok(hit) => hits.extend(hit),
                // The room has ended in between, or the membership has.
                Err(error) if is_of_the_room(error.code()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Results { hits, next: found.next })
    }

    /// A message with those around it, unless it has become another one in between.
    async fn hit(
        &self,
        user: &User,
        (room, seq): (RoomId, u64),
        query: &Query,
        Extent { context, .. }: Extent,
    ) -> Result<Option<Hit>> {
        let around = HistoryQuery { at: HistoryAt::Around(seq), limit: 2 * context + 1 };
        let mut around = self.engine.room(room).history(user, around).await?;
        // At the beginning of a room, the page goes on for longer behind it.
        around.messages.retain(|message| message.seq.abs_diff(seq) <= context as u64);
        let place = around.messages.iter().position(|message| message.seq == seq);
        let place = place.filter(|place| plain::matches(query, &around.messages[*place]));
        Ok(place.map(|place| Hit { around, place }))
    }

    /// Waits until it is this call's turn.
    async fn turn(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>)> {
        let place = self.places.try_acquire().map_err(|_| Error::busy())?;
        // It is never closed.
        let turn = self.turns.acquire().await.map_err(|_| Error::busy())?;
        Ok((place, turn))
    }
}

fn is_of_the_room(code: Code) -> bool {
    matches!(code, Code::NotAMember | Code::NoSuchRoom | Code::Banned)
}

fn failed(error: &StoreError) -> Error {
    tracing::error!(%error, "a search has failed");
    Error::new(Code::Unavailable, "the message store does not answer; try again")
}
