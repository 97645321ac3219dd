//! What a fan-out has been told and has not yet done, in order. Neighbours of one room are merged,
//! so that a listener gets them with one system call; what is for single connections keeps its
//! place among them.

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::web::Bytes;
use chat_core::{CloseReason, ConnectionId, Event, Permit, Turn, UnderWay};
use smallvec::SmallVec;

use crate::socket::frame::{self, Opcode};

/// Bundles do not grow beyond this many bytes, so that one fits a socket's buffer.
const BUNDLE_BYTES: usize = 32 * 1_024;

/// A place in the fan-out's list of rooms.
pub(super) type Lane = u32;

/// One thing to do.
pub(super) struct Item {
    /// Whose room's it is; `None` if it is a session's own.
    pub(super) lane: Option<Lane>,
    pub(super) step: Step,
}

pub(super) enum Step {
    /// Send frames.
    Bundle(Bundle),
    /// Answer a connection, which hears the lane's room from here on if the answer finds a place.
    Admit { connection: ConnectionId, answer: Option<Answer> },
    /// The connection does not hear the lane's room from here on.
    Exit { connection: ConnectionId },
    /// The connection's session has ended.
    End { connection: ConnectionId, reason: CloseReason },
}

/// Frames for everybody who hears a room, with what single connections get between them.
#[derive(Default)]
pub(super) struct Bundle {
    pub(super) bytes: Vec<u8>,
    /// Each event of the room, with where its frame ends.
    pub(super) told: SmallVec<[(usize, Arc<Event>); 1]>,
    pub(super) own: SmallVec<[Own; 1]>,
    /// The deliveries that this is the last of.
    pub(super) under_way: SmallVec<[UnderWay; 1]>,
}

/// A frame for one connection.
pub(super) struct Own {
    pub(super) connection: ConnectionId,
    /// Where in the bundle it belongs: behind this many bytes.
    pub(super) at: usize,
    pub(super) frame: Bytes,
    pub(super) kind: OwnKind,
}

pub(super) enum OwnKind {
    /// An event that goes out though much waits.
    Event,
    /// The same, only if the connection hears the lane's room.
    IfHeard,
    /// A hint that is left out if much waits.
    Hint,
    /// A reply, and what says by being dropped that its command is no longer under way.
    Reply(u64, #[expect(dead_code, reason = "held until it is dropped")] Permit),
}

/// The answer to somebody who begins to hear a room.
pub(super) struct Answer {
    pub(super) frame: Bytes,
    pub(super) to: Asked,
}

/// What is answered.
pub(super) enum Asked {
    Command(u64, #[expect(dead_code, reason = "held until it is dropped")] Permit),
    Resume(Turn),
}

/// Adds a frame for everybody who hears the lane's room.
pub(super) fn tell(queue: &mut VecDeque<Item>, lane: Lane, text: &str, event: Arc<Event>) {
    let bundle = last(queue, Some(lane));
    let header = frame::header(Opcode::Text, text.len());
    bundle.bytes.reserve(header.as_ref().len() + text.len());
    bundle.bytes.extend_from_slice(header.as_ref());
    bundle.bytes.extend_from_slice(text.as_bytes());
    bundle.told.push((bundle.bytes.len(), event));
}

/// Adds a frame for one connection.
pub(super) fn say(
    queue: &mut VecDeque<Item>,
    lane: Option<Lane>,
    connection: ConnectionId,
    frame: Bytes,
    kind: OwnKind,
) {
    let bundle = last(queue, lane);
    let at = bundle.bytes.len();
    bundle.own.push(Own { connection, at, frame, kind });
}

/// The bundle at the end of the queue that takes something more of this lane.
fn last(queue: &mut VecDeque<Item>, lane: Option<Lane>) -> &mut Bundle {
    let takes = matches!(
        queue.back(),
        Some(Item { lane: of, step: Step::Bundle(bundle) })
            if *of == lane && bundle.bytes.len() < BUNDLE_BYTES
    );
    if !takes {
        queue.push_back(Item { lane, step: Step::Bundle(Bundle::default()) });
    }
    match queue.back_mut() {
        Some(Item { step: Step::Bundle(bundle), .. }) => bundle,
        _ => unreachable!("a bundle was found or put there"),
    }
}

/// Adds an item, merged with the last one if both are bundles of one lane. Answers whether it was
/// merged.
pub(super) fn append(queue: &mut VecDeque<Item>, item: Item) -> bool {
    if let (Some(Item { lane, step: Step::Bundle(last) }), Step::Bundle(next)) =
        (queue.back_mut(), &item.step)
        && *lane == item.lane
        && last.bytes.len() + next.bytes.len() <= BUNDLE_BYTES
    {
        let Step::Bundle(next) = item.step else { unreachable!("it was one just now") };
        let before = last.bytes.len();
        last.bytes.extend_from_slice(&next.bytes);
        last.told.extend(next.told.into_iter().map(|(end, event)| (before + end, event)));
        last.own.extend(next.own.into_iter().map(|own| Own { at: before + own.at, ..own }));
        last.under_way.extend(next.under_way);
        return true;
    }
    queue.push_back(item);
    false
}
