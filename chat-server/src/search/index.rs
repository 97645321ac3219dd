//! What finds messages, as the search needs it. The SQL stores implement it.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chat_core::{RoomId, StoreError, UserId};

use super::Query;

/// Finds messages by what they say now. Who may read them is not its affair. One call does a bounded amount of
/// work, and answers where to go on.
#[async_trait]
pub trait SearchIndex: Send + Sync + 'static {
    /// Messages of a room that match, newest first, at most `limit`, of those with a lesser `seq` than `before`.
    /// Of a room that is not there: none.
    async fn find(
        &self,
        room: RoomId,
        query: &Query,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Found<u64>, StoreError>;

    /// Likewise, messages of all rooms of which a user is a member, the newest of all first.
    async fn find_of(
        &self,
        user: UserId,
        query: &Query,
        before: Option<Place>,
        limit: usize,
    ) -> Result<Found<Place>, StoreError>;
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<N> {
    /// Messages by room and `seq`.
    pub messages: Vec<(RoomId, u64)>,
    /// Where to go on; `None` if there is nothing more. It may be there although fewer were found than were
    /// asked for.
    pub next: Option<N>,
}

/// A place among the messages of all rooms, in the order in which they were written. Its text form is for clients
/// to send back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When, in milliseconds.
    pub(crate) at: i64,
    /// Of what was written in the same millisecond, the room decides,
    pub(crate) room: RoomId,
    /// and the `seq`.
    pub(crate) seq: u64,
}

/// A text is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPlace;

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.at, self.room, self.seq)
    }
}

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(BadPlace);
        let at = part()?.parse().map_err(|_| BadPlace)?;
        let room = part()?.parse().map_err(|_| BadPlace)?;
        let seq = part()?.parse().map_err(|_| BadPlace)?;
        Ok(Self { at, room, seq })
    }
}
