//! What is being sent to a room's listeners, and the pieces that single connections get of it.

use std::sync::Arc;

use actix_web::web::Bytes;
use chat_core::{Event, UnderWay, Weight};
use smallvec::SmallVec;

use crate::socket::direct::pending::{Asked, Bundle, Own, OwnKind};

/// Frames on their way to a room's listeners.
pub(super) struct Round {
    pub(super) bytes: Bytes,
    /// Each event, with where its frame ends.
    told: SmallVec<[(usize, Arc<Event>); 1]>,
    /// Dropped when all listeners have been told.
    _under_way: SmallVec<[UnderWay; 1]>,
}

/// What one connection gets: mostly an event or two, and the reply to its own command.
pub(super) type Pieces = SmallVec<[Piece; 3]>;

/// A frame for one connection, and what to do if it finds no place.
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) kind: PieceKind,
}

pub(super) enum PieceKind {
    /// What the room tells everybody.
    Event(Arc<Event>),
    /// What goes out though much waits.
    Urgent,
    /// What is left out if much waits.
    Hint,
    /// The reply to a command: in its place a short `busy`, unless it is as short itself.
    Reply(u64),
    /// The answer to a resume: what becomes of it then, its turn says.
    Resumed,
}

impl Piece {
    pub(super) fn urgent(bytes: Bytes) -> Self {
        Self { bytes, kind: PieceKind::Urgent }
    }
}

impl From<Own> for Piece {
    fn from(own: Own) -> Self {
        let kind = match own.kind {
            OwnKind::Event | OwnKind::IfHeard => PieceKind::Urgent,
            OwnKind::Hint => PieceKind::Hint,
            OwnKind::Reply(tag, _) => PieceKind::Reply(tag),
        };
        Self { bytes: own.frame, kind }
    }
}

impl PieceKind {
    pub(super) fn weight(&self) -> Weight {
        match self {
            Self::Event(event) => Weight::of(event),
            Self::Urgent => Weight::Urgent,
            Self::Hint | Self::Reply(_) | Self::Resumed => Weight::Answer,
        }
    }
}

impl From<&Asked> for PieceKind {
    fn from(asked: &Asked) -> Self {
        match asked {
            Asked::Command(tag, _) => Self::Reply(*tag),
            Asked::Resume(_) => Self::Resumed,
        }
    }
}

impl Round {
    /// A round of a bundle's frames, and what single connections get in it.
    pub(super) fn new(bundle: Bundle) -> (Self, SmallVec<[Own; 1]>) {
        let Bundle { bytes, told, own, under_way } = bundle;
        (Self { bytes: bytes.into(), told, _under_way: under_way }, own)
    }

    /// The frames that a listener has not had who has had this many bytes; the first one may be a
    /// part of one.
    pub(super) fn rest(&self, sent: usize) -> impl Iterator<Item = Piece> {
        let begins = std::iter::once(0).chain(self.told.iter().map(|(end, _)| *end));
        let frames = begins.zip(&self.told).filter(move |(_, (end, _))| *end > sent);
        frames.map(move |(begin, (end, event))| Piece {
            bytes: self.bytes.slice(begin.max(sent)..*end),
            kind: PieceKind::Event(Arc::clone(event)),
        })
    }

    /// Everything for one connection: its own frames, among those of the room if it hears that.
    pub(super) fn with(&self, own: SmallVec<[Own; 1]>, hears: bool) -> Pieces {
        let mut pieces = Pieces::new();
        let mut own = own.into_iter().filter(|own| hears || !matches!(own.kind, OwnKind::IfHeard));
        let mut next = own.next();
        let mut room = self.rest(0);
        let mut at = 0;
        loop {
            while let Some(one) = next.take_if(|one| one.at <= at || !hears) {
                pieces.push(one.into());
                next = own.next();
            }
            let Some(frame) = hears.then(|| room.next()).flatten() else { return pieces };
            at += frame.bytes.len();
            pieces.push(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use chat_core::{ConnectionId, RoomId};

    use super::*;
    use crate::socket::direct::pending::{Item, Step, say, tell};

    /// A bundle: what is told to the room in upper case, what is for one connection in lower case.
    fn round(words: &[&str]) -> (Round, SmallVec<[Own; 1]>) {
        let (mut queue, connection) = (VecDeque::new(), ConnectionId::new());
        let event = Arc::new(Event::Closed { room: RoomId::new() });
        for word in words {
            if word.chars().all(char::is_uppercase) {
                tell(&mut queue, 0, word, Arc::clone(&event));
            } else {
                let frame = Bytes::copy_from_slice(word.as_bytes());
                say(&mut queue, Some(0), connection, frame, OwnKind::Event);
            }
        }
        assert_eq!(queue.len(), 1, "all in one bundle");
        match queue.pop_front() {
            Some(Item { step: Step::Bundle(bundle), .. }) => Round::new(bundle),
            _ => panic!("a bundle"),
        }
    }

    fn text(pieces: &[Piece]) -> String {
        let bytes: Vec<_> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
        String::from_utf8_lossy(&bytes).replace(|c: char| c.is_control() || !c.is_ascii(), "")
    }

    #[test]
    fn what_is_for_one_keeps_its_place_among_what_is_for_all() {
        let words = ["a", "ONE", "b", "c", "TWO", "THREE", "d"];
        let (all, own) = round(&words);
        assert_eq!(text(&all.with(own, true)), "aONEbcTWOTHREEd");
        let (all, own) = round(&words);
        assert_eq!(text(&all.with(own, false)), "abcd");
        let (all, own) = round(&["ONE", "TWO"]);
        assert_eq!(text(&all.with(own, true)), "ONETWO");
    }

    #[test]
    fn the_rest_begins_where_the_socket_stopped() {
        let (all, _) = round(&["ONE", "TWO", "THREE"]);
        // A header of two bytes stands before each.
        let lengths = |sent| all.rest(sent).map(|piece| piece.bytes.len()).collect::<Vec<_>>();
        assert_eq!(lengths(0), [5, 5, 7]);
        assert_eq!(lengths(4), [1, 5, 7]);
        assert_eq!(lengths(5), [5, 7]);
        assert_eq!(lengths(16), [1]);
        assert_eq!(lengths(17), [0; 0]);
    }
}
