//! Where messages are written.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::RoomId;
use crate::model::Title;

/// Who may find and enter a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Listed; anybody may join.
    Open,
}

impl Kind {
    /// The text form, as stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
        }
    }

    /// The kind with this text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What is to be known of a room that does not change while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    /// Which room.
    pub id: RoomId,
    /// What it is called.
    pub title: Title,
    /// Who may find and enter it.
    pub kind: Kind,
    /// Whether membership lasts only as long as presence (and a grace period), and the room as long as
    /// it has members.
    pub ephemeral: bool,
    /// When it was opened.
    pub created: Timestamp,
}

/// How many belong to a room, and how many of them are there now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Members.
    pub members: usize,
    /// Members with at least one session in the room.
    pub online: usize,
}

/// A room as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomView {
    /// What does not change.
    pub info: RoomInfo,
    /// Who is counted.
    pub counts: Counts,
}

/// A room that is yet to be opened.
#[derive(Clone, Debug)]
pub struct NewRoom {
    /// What to call it.
    pub title: Title,
    /// Who may find and enter it.
    pub kind: Kind,
    /// See [`RoomInfo::ephemeral`].
    pub ephemeral: bool,
}

impl NewRoom {
    /// An open room that stays.
    ///
    /// # Errors
    /// `empty`, `too_long` or `bad_text` for the title.
    pub fn open(title: impl Into<Arc<str>>) -> Result<Self> {
        Ok(Self { title: Title::new(title)?, kind: Kind::Open, ephemeral: false })
    }

    /// The same room, gone when its last member is.
    #[must_use]
    pub fn ephemeral(mut self) -> Self {
        self.ephemeral = true;
        self
    }
}
