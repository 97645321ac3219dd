//! The words of the domain as plain data: no behaviour beyond being valid.

mod change;
mod cursor;
mod member;
mod message;
mod moderation;
mod reading;
mod room;
mod text;
mod thread;
mod user;

pub use change::{Change, ChangeKind, Details};
pub use cursor::{BadCursor, Cursor};
pub use member::{MemberView, Membership, Mute, Presence, Role};
pub use message::{Body, Draft, Edit, Fingerprint, Given, MarkCount, Marking, Message, Revision};
pub use moderation::{Moderation, Restriction, Settings, SettingsChange, WhoInvites};
pub use reading::{Activity, ReadPosition, Reading, Unread};
pub(crate) use room::With;
pub use room::{Counts, Kind, NewRoom, RoomInfo, RoomView};
pub use text::{ClientKey, Mark, Name, Text, Title};
pub use thread::{LastReply, Parent, Thread};
pub use user::User;
