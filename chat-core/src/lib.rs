//! A chat engine that any Rust program embeds: rooms, sessions, history, presence and recovery as
//! actors on threads of their own, with no HTTP and no database.
//!
//! ```
//! use chat_core::{After, Draft, Engine, Event, MemoryStore, Name, NewRoom, User, UserId};
//! use futures_util::StreamExt;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let chat = Engine::builder().store(MemoryStore::default()).start()?;
//! let alice = User::new(UserId::new(), Name::new("Alice")?);
//! let room = chat.open_room(&alice, NewRoom::open("lobby")?).await?.id();
//! let (session, mut inbox) = chat.connect(alice)?;
//! session.join(room, After::Nothing).await?;
//! session.send(room, Draft::text("hello")?).await?;
//! while let Some(event) = inbox.next().await {
//!     if let Event::Message { message, .. } = &*event {
//!         assert_eq!(&*message.text, "hello");
//!         break;
//!     }
//! }
//! chat.stop().await;
//! # Ok(()) })
//! # }
//! ```
//!
//! What it guarantees: the messages of a room carry `seq` 1, 2, 3 … and reach every session in that
//! order, each once; a message is acknowledged and shown only after the store has committed it; a write
//! with a client key takes effect once; a session that comes back with its last [`Cursor`] gets exactly
//! what it missed; the end of a session is the end of its presence.

#![deny(missing_docs)]

mod capacity;

mod clock;
pub use clock::{Clock, SystemClock, Timestamp};

mod command;
pub use command::{
    After, Behind, Command, History, HistoryAt, HistoryQuery, Joined, MemberPage, MemberQuery,
    Reply, RoomCommand, Sent,
};

mod connections;

mod dedup;

mod deliver;
pub use deliver::{AdmitAs, Deliver, Fanout, Parcel, Permit};

mod engine;
pub use engine::{Engine, EngineBuilder, Inboxes, StartError, Stats};

mod error;
pub use error::{Code, Error, Measure, Result};

mod event;
pub use event::{CloseReason, Event, Topic};

mod ids;
pub use ids::{ConnectionId, RoomId, UserId};

mod inbox;
pub use inbox::{InProcess, Wire};

mod journal;

mod lag;
pub use lag::{Advice, Lag, Patience};

pub mod limits;
pub use limits::Limits;

mod model;
pub use model::{
    BadCursor, Change, ChangeKind, ClientKey, Counts, Cursor, Draft, Fingerprint, Kind, MemberView,
    Membership, Message, Name, NewRoom, Presence, Role, RoomInfo, RoomView, Text, Title, User,
};

mod outbox;
pub use outbox::Inbox;

mod policy;
pub use policy::{AllowAll, Policy};

mod room;
pub use room::Room;

mod roster;

mod session;
pub use session::Session;

mod shared;

mod store;
pub use store::{
    Batch, BatchOutcome, Listed, LoadedRoom, MemoryStore, Outcome, RoomKey, RoomQuery, Store,
    StoreCalls, StoreError, Write,
};

#[cfg(feature = "testkit")]
pub mod testkit;

mod timeline;
