//! The engine's own inboxes as a transport: the shortest way there is.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;

use crate::command::{Command, Reply};
use crate::engine::{Engine, Inboxes};
use crate::error::Result;
use crate::event::Event;
use crate::inbox::Wire;
use crate::model::{Message, User};
use crate::outbox::Inbox;
use crate::session::Session;
use crate::testkit::{Heard, Peer, Transport};

/// The engine's own inboxes as a [`Transport`]: an example of one, and what others are compared
/// with.
pub struct InProcessTransport {
    inboxes: Inboxes<Whole>,
}

impl InProcessTransport {
    /// A transport for this engine.
    #[must_use]
    pub fn new(engine: &Engine) -> Self {
        Self { inboxes: engine.inboxes(&Whole) }
    }
}

#[async_trait]
impl Transport for InProcessTransport {
    async fn connect(&self, user: &User) -> Box<dyn Peer> {
        let connected = self.inboxes.connect(user.clone()).ok();
        Box::new(InProcessPeer { connected, refused: VecDeque::new(), closed: false })
    }
}

struct InProcessPeer {
    connected: Option<(Session, Inbox<Heard>)>,
    /// Answers to commands that the session did not take.
    refused: VecDeque<Heard>,
    closed: bool,
}

#[async_trait]
impl Peer for InProcessPeer {
    async fn submit(&mut self, tag: u64, command: Command) {
        if let Some((session, _)) = &self.connected
            && let Err(error) = session.submit(tag, command)
        {
            self.refused.push_back(Heard::Reply { tag, result: Err(error) });
        }
    }

    async fn hear(&mut self) -> Heard {
        if !self.closed
            && let Some(refused) = self.refused.pop_front()
        {
            return refused;
        }
        let Some((_, inbox)) = &mut self.connected else { return Heard::Closed(None) };
        match inbox.next().await {
            Some(heard) => heard,
            None => {
                self.closed = true;
                Heard::Closed(inbox.closed())
            }
        }
    }
}

/// Events and replies as they are.
#[derive(Clone, Copy)]
struct Whole;

impl Wire for Whole {
    type Frame = Heard;

    fn event(&self, event: &Arc<Event>) -> Heard {
        Heard::Event(Arc::clone(event))
    }

    fn reply(&self, tag: u64, result: &Result<Reply>) -> Option<Heard> {
        Some(Heard::Reply { tag, result: result.clone() })
    }

    fn size(&self, frame: &Heard) -> usize {
        let texts = |messages: &[Arc<Message>]| -> usize {
            messages.iter().map(|message| size_of::<Message>() + message.text().len()).sum()
        };
        let more = match frame {
            Heard::Event(event) => match &**event {
                Event::Message { message, .. } => message.text().len(),
                Event::Resumed { result: Ok(joined), .. } => texts(&joined.messages),
                _ => 0,
            },
            Heard::Reply { result: Ok(Reply::Joined(joined)), .. } => texts(&joined.messages),
            Heard::Reply { result: Ok(Reply::History(page)), .. } => texts(&page.messages),
            Heard::Reply { .. } | Heard::Closed(_) => 0,
        };
        size_of::<Event>() + more
    }
}
