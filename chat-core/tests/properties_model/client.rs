//! Those who ask and hear.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chat_core::testkit::View;
use chat_core::{After, Error, Event, Inbox, Parent, Reply, RoomId, Session, User, Wire};

use super::writes::{Expect, Write};

/// Everything that reaches a client, in one stream and in order.
#[derive(Clone)]
pub(super) struct Stream;

#[derive(Clone, Debug)]
pub(super) enum Frame {
    Event(Arc<Event>),
    Reply(u64, Result<Arc<Reply>, Error>),
}

impl Wire for Stream {
    type Frame = Frame;

    fn event(&self, event: &Arc<Event>) -> Frame {
        Frame::Event(Arc::clone(event))
    }

    fn reply(&self, tag: u64, result: &chat_core::Result<Reply>) -> Option<Frame> {
        Some(Frame::Reply(tag, result.clone().map(Arc::new)))
    }

    fn size(&self, frame: &Frame) -> usize {
        let messages = match frame {
            Frame::Reply(_, Ok(reply)) => match &**reply {
                Reply::Joined(joined) => joined.messages.len(),
                Reply::History(history) => history.messages.len(),
                _ => 0,
            },
            _ => 0,
        };
        100 + 100 * messages
    }
}

/// What a client has asked and not been answered.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Room,
    /// For the thread on a message.
    Thread(Parent),
    Join(RoomId, After),
    Members(RoomId),
    History(RoomId),
    /// Up to which message, and which was the last that was heard.
    HaveRead(RoomId, u64, u64),
    Write(Write, Expect),
    Resume,
    Other,
}

pub(super) struct Client {
    pub(super) user: User,
    pub(super) line: Option<(Session, Inbox<Frame>)>,
    pub(super) asked: BTreeMap<u64, Asked>,
    pub(super) views: HashMap<RoomId, View>,
    /// The rooms that are being resumed, and from where on.
    pub(super) resuming: HashMap<RoomId, After>,
    /// The number of the change by which its membership of each room has ended, as it has last heard.
    pub(super) ended: HashMap<RoomId, u64>,
    pub(super) tag: u64,
}
