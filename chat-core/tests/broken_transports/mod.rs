//! Transports with one fault each, made of the one that has none.

#![allow(unreachable_pub, reason = "a part of a test")]

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat_core::testkit::{Heard, InProcessTransport, Peer, Transport};
use chat_core::{Code, Command, Engine, Error, Event, Message, Reply, Text, User};
use futures_util::FutureExt;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

/// What is wrong with a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every 50th event of a connection does not arrive.
    LosesEvents,
    /// Every 50th arrives twice.
    DoublesEvents,
    /// Now and then an event overtakes the one before it.
    SwapsNeighbours,
    /// The event that a message causes arrives before the reply to whoever wrote it.
    EventsBeforeReplies,
    /// Texts end after 100 characters.
    CutsTexts,
    /// Texts lose white space at their ends.
    TrimsTexts,
    /// What is not read piles up in the transport.
    ReadsAhead,
    /// A connection that does not read holds up all others.
    WaitsForTheSlowest,
    /// `Behind` does not arrive.
    SwallowsBehind,
    /// The end of a connection is not told.
    NeverCloses,
    /// Something arrives after the end.
    TalksAfterTheEnd,
    /// `Closing` does not say when to come back.
    ForgetsWhenToComeBack,
    /// A client that vanishes is not noticed.
    NeverHangsUp,
    /// Of several commands under way, the wrong one is answered.
    MixesTags,
    /// Every 50th reply does not arrive.
    LosesReplies,
    /// Every 50th reply arrives twice.
    AnswersTwice,
    /// Every error is the same.
    ForgetsCodes,
    /// Who is here and who is writing is not told.
    LosesHints,
    /// Invitations, the ends of rooms, and what becomes of somebody elsewhere are not told.
    LosesNews,
    /// Of what is resumed, so much goes to a connection and no more: all others are `busy`.
    HasPlaceForLittle,
}

pub struct Broken {
    inner: InProcessTransport,
    fault: Fault,
    /// Peers that nobody hangs up.
    left: Arc<Mutex<Vec<Box<dyn Peer>>>>,
    /// Held while something is handed to a connection.
    line: Arc<AsyncMutex<()>>,
}

impl Broken {
    pub fn new(engine: &Engine, fault: Fault) -> Self {
        let (left, line) = (Arc::default(), Arc::default());
        Self { inner: InProcessTransport::new(engine), fault, left, line }
    }
}

#[async_trait]
impl Transport for Broken {
    async fn connect(&self, user: &User) -> Box<dyn Peer> {
        let inner = self.inner.connect(user).await;
        match self.fault {
            Fault::ReadsAhead => Box::new(Pumped::new(inner, None)),
            Fault::WaitsForTheSlowest => Box::new(Pumped::new(inner, Some(Arc::clone(&self.line)))),
            fault => Box::new(BrokenPeer {
                inner: Some(inner),
                fault,
                left: Arc::clone(&self.left),
                ahead: VecDeque::new(),
                open: BTreeSet::new(),
                events: 0,
                replies: 0,
                resumed: 0,
            }),
        }
    }
}

struct BrokenPeer {
    inner: Option<Box<dyn Peer>>,
    fault: Fault,
    left: Arc<Mutex<Vec<Box<dyn Peer>>>>,
    /// What is to be heard next.
    ahead: VecDeque<Heard>,
    open: BTreeSet<u64>,
    events: usize,
    replies: usize,
    /// How many messages have come with what is resumed.
    resumed: usize,
}

impl Drop for BrokenPeer {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take()
            && self.fault == Fault::NeverHangsUp
        {
            self.left.lock().expect("no panic").push(inner);
        }
    }
}

#[async_trait]
impl Peer for BrokenPeer {
    async fn submit(&mut self, tag: u64, command: Command) {
        self.open.insert(tag);
        self.inner().submit(tag, command).await;
    }

    async fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.ahead.pop_front() {
                return heard;
            }
            let heard = self.inner().hear().await;
            match &heard {
                Heard::Event(_) => self.events += 1,
                Heard::Reply { .. } => self.replies += 1,
                Heard::Closed(_) => {}
            }
            if let Some(heard) = self.spoil(heard).await {
                return heard;
            }
        }
    }
}

impl BrokenPeer {
    fn inner(&mut self) -> &mut Box<dyn Peer> {
        self.inner.as_mut().expect("there until it is dropped")
    }

    /// Does to it what is this peer's fault.
    async fn spoil(&mut self, heard: Heard) -> Option<Heard> {
        let fiftieth_event = matches!(heard, Heard::Event(_)) && self.events.is_multiple_of(50);
        let fiftieth_reply =
            matches!(heard, Heard::Reply { .. }) && self.replies.is_multiple_of(50);
        match (self.fault, heard) {
            (Fault::LosesEvents, _) if fiftieth_event => None,
            (Fault::LosesReplies, _) if fiftieth_reply => None,
            (Fault::DoublesEvents, heard) if fiftieth_event => self.and_then(heard.clone(), heard),
            (Fault::AnswersTwice, heard) if fiftieth_reply => self.and_then(heard.clone(), heard),
            (Fault::SwapsNeighbours, heard @ Heard::Event(_)) if self.events.is_multiple_of(10) => {
                match self.inner().hear().now_or_never() {
                    Some(next) => self.and_then(next, heard),
                    None => Some(heard),
                }
            }
            (
                Fault::EventsBeforeReplies,
                heard @ Heard::Reply { result: Ok(Reply::Sent(_)), .. },
            ) => {
                let next = self.inner().hear().await;
                self.and_then(next, heard)
            }
            (Fault::CutsTexts, heard) => {
                Some(with_text(heard, |text| text.chars().take(100).collect()))
            }
            (Fault::TrimsTexts, heard) => Some(with_text(heard, |text| text.trim().to_owned())),
            (Fault::NeverCloses, Heard::Closed(_)) => std::future::pending().await,
            (Fault::TalksAfterTheEnd, heard @ Heard::Closed(_)) => {
                let result = Ok(Reply::Done);
                self.and_then(heard, Heard::Reply { tag: 0, result })
            }
            (Fault::MixesTags, Heard::Reply { result, .. }) => {
                // The one that was asked last.
                let tag = self.open.pop_last().expect("a question");
                Some(Heard::Reply { tag, result })
            }
            (Fault::ForgetsCodes, Heard::Reply { tag, result: Err(_) }) => {
                let result = Err(Error::new(Code::Internal, "something went wrong"));
                Some(Heard::Reply { tag, result })
            }
            (Fault::SwallowsBehind, Heard::Event(event)) => {
                let behind = matches!(*event, Event::Behind { .. });
                (!behind).then_some(Heard::Event(event))
            }
            (Fault::LosesHints, Heard::Event(event)) => {
                let hint = matches!(*event, Event::Presence { .. } | Event::Typing { .. });
                (!hint).then_some(Heard::Event(event))
            }
            (Fault::LosesNews, Heard::Event(event)) => {
                let news = matches!(
                    *event,
                    Event::Invited { .. } | Event::Closed { .. } | Event::Mine { .. }
                );
                (!news).then_some(Heard::Event(event))
            }
            (Fault::HasPlaceForLittle, Heard::Event(event)) => Some(match &*event {
                Event::Resumed { room, result: Ok(joined) } => {
                    self.resumed += joined.messages.len();
                    let result = match self.resumed {
                        ..=80 => Ok(joined.clone()),
                        _ => Err(Error::busy()),
                    };
                    Heard::Event(Arc::new(Event::Resumed { room: *room, result }))
                }
                _ => Heard::Event(event),
            }),
            (Fault::ForgetsWhenToComeBack, Heard::Event(event)) => Some(match &*event {
                Event::Closing { reason, .. } => {
                    let closing = Event::Closing { reason: *reason, retry_after: None };
                    Heard::Event(Arc::new(closing))
                }
                _ => Heard::Event(event),
            }),
            (_, heard) => Some(heard),
        }
    }

    /// One, and then another.
    fn and_then(&mut self, first: Heard, second: Heard) -> Option<Heard> {
        self.ahead.push_back(second);
        Some(first)
    }
}

/// The same, with another text if it is a message.
fn with_text(heard: Heard, change: impl Fn(&str) -> String) -> Heard {
    match &heard {
        Heard::Event(event) => match &**event {
            Event::Message { room, cursor, message } => {
                let text = Text::new(change(message.text())).expect("a good text");
                let mut message = Message::clone(message);
                message.body.text = Some(text);
                let message = Arc::new(message);
                Heard::Event(Arc::new(Event::Message { room: *room, cursor: *cursor, message }))
            }
            _ => heard,
        },
        _ => heard,
    }
}

/// Reads whatever comes, whether or not it is asked for.
struct Pumped {
    commands: mpsc::UnboundedSender<(u64, Command)>,
    heard: mpsc::Receiver<Heard>,
}

impl Pumped {
    /// Without a line, as much as there is. With one, it holds the line while its reader is to take
    /// something.
    fn new(mut inner: Box<dyn Peer>, line: Option<Arc<AsyncMutex<()>>>) -> Self {
        let (commands, mut submitted) = mpsc::unbounded_channel();
        let (heard, inbox) = mpsc::channel(if line.is_some() { 30 } else { 1_000_000 });
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    command = submitted.recv() => match command {
                        Some((tag, command)) => inner.submit(tag, command).await,
                        None => return,
                    },
                    next = inner.hear() => {
                        let held = match &line {
                            Some(line) => Some(line.lock().await),
                            None => None,
                        };
                        let closed = matches!(next, Heard::Closed(_));
                        if heard.send(next).await.is_err() || closed {
                            return;
                        }
                        drop(held);
                    }
                }
            }
        });
        Self { commands, heard: inbox }
    }
}

#[async_trait]
impl Peer for Pumped {
    async fn submit(&mut self, tag: u64, command: Command) {
        // Whoever has gone answers nothing.
        self.commands.send((tag, command)).ok();
    }

    async fn hear(&mut self) -> Heard {
        self.heard.recv().await.unwrap_or(Heard::Closed(None))
    }
}
