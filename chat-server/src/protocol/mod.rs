//! What goes over every wire, whoever carries it: commands, replies and events as JSON, errors with
//! their codes, close codes. Written once; `docs/protocol.md` is its contract.

mod close;
mod command;
mod error;
mod fields;
mod reading;
mod view;
mod wire;
pub(crate) mod words;

pub use close::{CloseCode, close_code};
pub use command::{
    Asked, Refused, Request, ban_query, draft, history_query, marker_query, member_change,
    member_query, new_room, new_text, nickname, parse, read_id, reader_query, seq as read_seq,
    settings_change, thread_query, until,
};
pub use error::Problem;
pub use fields::{Fields, is_text};
pub use reading::{OwnRoomsView, ReadPositionView, ReaderPageView, StandingView, activity};
pub use view::{
    BanPageView, HistoryView, MarkerPageView, MemberPageView, MembershipView, MessageView,
    RevisionsView, RoomView, SentView, ThreadPageView, Time, UserView,
};
pub use wire::{JsonWire, error, reply_auth};
