//! What happens in a room besides new messages, and must not be missed either.

use crate::clock::Timestamp;
use crate::model::{Cursor, Membership};

/// A committed change. `cursor.change` is its number in the room: 1, 2, 3 … without a gap;
/// `cursor.seq` is the last message before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Change {
    /// Where the room stood with it.
    pub cursor: Cursor,
    /// What changed.
    pub kind: ChangeKind,
    /// When.
    pub at: Timestamp,
}

/// The kinds of change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum ChangeKind {
    /// A user became a member.
    Joined(Membership),
    /// A user's membership ended.
    Left(Membership),
    /// A user has been invited, and would become this member by joining.
    Invited(Membership),
}

impl ChangeKind {
    /// The text form, as stored and sent.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Joined(_) => "joined",
            Self::Left(_) => "left",
            Self::Invited(_) => "invited",
        }
    }

    /// The kind with this text form, about this membership.
    #[must_use]
    pub fn parse(text: &str, membership: Membership) -> Option<Self> {
        match text {
            "joined" => Some(Self::Joined(membership)),
            "left" => Some(Self::Left(membership)),
            "invited" => Some(Self::Invited(membership)),
            _ => None,
        }
    }

    /// Whose membership it is about.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        match self {
            Self::Joined(membership) | Self::Left(membership) | Self::Invited(membership) => {
                membership
            }
        }
    }
}
