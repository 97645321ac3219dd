//! Goes through rooms from their newest message back, piece by piece: through one, or through several at once in
//! the order in which messages were written. Where the pieces come from is somebody else's affair.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chat_core::RoomId;

use super::index::{Found, Place};

/// How many pieces one call goes through at most; of several rooms, so many more than there are rooms.
pub(crate) const MOST_PIECES: usize = 64;

/// Where pieces come from.
pub(crate) trait Rooms: Send {
    /// A room, and what must be known to read from it.
    type Room: Send;
    /// What may go wrong.
    type Error;

    /// Which room it is.
    fn id(room: &Self::Room) -> RoomId;

    /// The first message that is there, and the last, as a range to whose beginning the first one does not belong;
    /// and when the last was written.
    fn bounds(room: &Self::Room) -> Bounds;

    /// Looks at some of the room's messages below `before`, of which there is one: those that match, newest first, and down to where it has
    /// looked, which is less than `before`. After `wanted` of them it may stop.
    fn piece(
        &mut self,
        room: &mut Self::Room,
        before: u64,
        wanted: usize,
    ) -> impl Future<Output = Result<Piece, Self::Error>> + Send;

    /// When a message was written.
    fn at(
        &mut self,
        room: &Self::Room,
        seq: u64,
    ) -> impl Future<Output = Result<i64, Self::Error>> + Send;
}

/// Where a room's messages begin and end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The message before the first one.
    pub(crate) floor: u64,
    /// The last one.
    pub(crate) end: u64,
    /// When that was written.
    pub(crate) last_at: i64,
}

/// What was looked at.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Messages that match, newest first, and when they were written.
    pub(crate) hits: Vec<(u64, i64)>,
    /// All others from here on do not.
    pub(crate) down_to: u64,
}

/// Goes through one room.
pub(crate) async fn through_one<R: Rooms>(
    rooms: &mut R,
    room: &mut R::Room,
    before: Option<u64>,
    limit: usize,
) -> Result<Found<u64>, R::Error> {
    let (id, bounds) = (R::id(room), R::bounds(room));
    let mut before = before.map_or(bounds.end + 1, |before| before.min(bounds.end + 1));
    let mut messages = Vec::new();
    for _ in 0..MOST_PIECES {
        if messages.len() >= limit || before <= bounds.floor + 1 {
            break;
        }
        let piece = rooms.piece(room, before, limit - messages.len()).await?;
        before = piece.down_to;
        for (seq, _) in piece.hits {
            if messages.len() == limit {
                break;
            }
            messages.push((id, seq));
            if messages.len() == limit {
                before = seq;
            }
        }
    }
    let next = (before > bounds.floor + 1).then_some(before);
    Ok(Found { messages, next })
}

/// What is yet to be looked at, and what was found but is not its turn yet. The greatest place comes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// A message that matches. Of the same place as a rest, it comes later.
    Hit,
    /// What a room has from here back. The first thing is to find out where that is, if it is not known.
    Rest { room: usize, before: Reverse<Option<u64>> },
}

/// Goes through several rooms, the newest messages first, and through so many pieces at most.
pub(crate) async fn through_all<R: Rooms>(
    rooms: &mut R,
    all: &mut [R::Room],
    start: Option<Place>,
    limit: usize,
    mut pieces: usize,
) -> Result<Found<Place>, R::Error> {
    let mut heap = BinaryHeap::with_capacity(all.len());
    for (nth, room) in all.iter().enumerate() {
        let Bounds { floor, end, last_at } = R::bounds(room);
        if end > floor {
            // A rest is placed behind its last message.
            let place = Place { at: last_at, room: R::id(room), seq: end + 1 };
            let (place, before) = match start {
                Some(start) if start < place => (start, None),
                _ => (place, Some(end + 1)),
            };
            heap.push((place, Next::Rest { room: nth, before: Reverse(before) }));
        }
    }
    let mut messages = Vec::new();
    while let Some((place, next)) = heap.pop() {
        let Next::Rest { room: nth, before: Reverse(before) } = next else {
            messages.push((place.room, place.seq));
            if messages.len() == limit {
                let next = (!heap.is_empty()).then_some(place);
                return Ok(Found { messages, next });
            }
            continue;
        };
        if pieces == 0 || limit == 0 {
            return Ok(Found { messages, next: Some(place) });
        }
        pieces -= 1;
        let room = &mut all[nth];
        let floor = R::bounds(room).floor;
        let before = match before {
            Some(before) => before,
            None => first_after(rooms, room, place.at).await?,
        };
        if before <= floor + 1 {
            continue;
        }
        let piece = rooms.piece(room, before, limit - messages.len()).await?;
        let id = R::id(room);
        // A clock may have been set back: then what was written later counts as written at the same time.
        let earlier = |at: i64, seq| Place { at: at.min(place.at), room: id, seq };
        for (seq, at) in piece.hits {
            let hit = earlier(at, seq);
            if start.is_none_or(|start| hit < start) {
                heap.push((hit, Next::Hit));
            }
        }
        if piece.down_to > floor + 1 {
            let at = rooms.at(room, piece.down_to - 1).await?;
            let rest = Next::Rest { room: nth, before: Reverse(Some(piece.down_to)) };
            heap.push((earlier(at, piece.down_to), rest));
        }
    }
    Ok(Found { messages, next: None })
}

/// The first message of a room that was written after a moment; one more than the last, if none was.
async fn first_after<R: Rooms>(rooms: &mut R, room: &R::Room, at: i64) -> Result<u64, R::Error> {
    let Bounds { floor, end, .. } = R::bounds(room);
    let (mut low, mut high) = (floor + 1, end + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if rooms.at(room, middle).await? > at {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}
