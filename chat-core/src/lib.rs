#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod capacity;

mod clock;
pub use clock::{Clock, SystemClock, Timestamp};

mod command;
pub use command::{
    After, BanPage, BanQuery, Behind, Command, History, HistoryAt, HistoryQuery, Joined,
    ListedThread, MarkerPage, MarkerQuery, MemberPage, MemberQuery, OwnMark, OwnRoomQuery,
    OwnRooms, ReaderPage, ReaderQuery, Reply, RoomCommand, Sent, Standing, ThreadPage, ThreadPlace,
    ThreadQuery,
};

mod connections;

mod dedup;

mod deliver;
pub use deliver::{AdmitAs, Deliver, Fanout, Parcel, Permit, Turn, UnderWay};

mod directory;
pub use directory::{Directory, NoDirectory};

mod engine;
pub use engine::{Engine, EngineBuilder, Inboxes, PresenceWatch, StartError, Stats};

mod error;
pub use error::{Code, Error, Measure, Result};

mod event;
pub use event::{CloseReason, Event, Notice, OwnChange, Topic};

mod ids;
pub use ids::{ConnectionId, FileId, GrantId, RoomId, UserId};

mod inbox;
pub use inbox::{InProcess, Wire};

mod journal;

mod lag;
pub use lag::{Advice, Lag, Patience};

pub mod limits;
pub use limits::Limits;

mod model;
pub use model::{
    Activity, BadCursor, Body, Change, ChangeKind, ClientKey, Counts, Cursor, Details, Draft, Edit,
    Fingerprint, Given, Kind, LastReply, Mark, MarkCount, Marking, MemberView, Membership, Message,
    Moderation, Mute, Name, NewRoom, Parent, Presence, ReadPosition, Reading, Restriction,
    Revision, Role, RoomInfo, RoomView, Settings, SettingsChange, Text, Thread, Title, Unread,
    User, WhoInvites,
};

mod outbox;
pub use outbox::Inbox;

mod page;

mod policy;
pub use policy::{AllowAll, Policy};

mod queue;
pub use queue::{Budget, Pushed, Queue, Stuck, Weight};

mod rate;
pub use rate::Rated;

mod room;
pub use room::Room;

mod roster;

mod session;
pub use session::Session;

mod shared;

mod store;
pub use store::{
    Batch, BatchOutcome, Listed, LoadedRoom, LoadedThread, MemoryStore, Outcome, RoomKey,
    RoomQuery, Store, StoreCalls, StoreError, UsedKey, Write,
};

#[cfg(feature = "testkit")]
pub mod testkit;

mod timeline;

mod turns;
