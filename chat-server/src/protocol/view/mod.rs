//! The engine's words as JSON: what replies, events and HTTP answers are made of.

mod change;
mod member;
mod message;
mod room;
mod thread;

use chat_core::Timestamp;
use chrono::SecondsFormat;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

pub(super) use change::ChangeView;
pub use member::{BanPageView, MemberPageView, MembershipView, UserView};
pub use message::{HistoryView, MarkerPageView, MessageView, RevisionsView, SentView};
pub use room::RoomView;
pub(super) use room::{InfoView, JoinedView};
pub use thread::ThreadPageView;

/// A time: RFC 3339 in UTC, with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// Writes a value as its text form.
pub(super) fn as_text<T: std::fmt::Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Ids as their text forms.
#[derive(Debug)]
pub(super) struct IdsView<'a, T>(&'a [T]);

impl<T> IdsView<'_, T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: std::fmt::Display> Serialize for IdsView<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}
