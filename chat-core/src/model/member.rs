//! Who is in a room, and how.

use crate::clock::Timestamp;
use crate::ids::UserId;
use crate::model::User;

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
pub enum Role {
    /// Opened the room.
    Owner,
    /// Keeps order in it.
    Moderator,
    /// Reads and writes.
    Member,
}

impl Role {
    /// The text form, as stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Moderator => "moderator",
            Self::Member => "member",
        }
    }

    /// Whether who has this role may act upon who has the other one, `None` being no member.
    #[must_use]
    pub fn outranks(self, other: Option<Self>) -> bool {
        let rank = |role: Self| match role {
            Self::Owner => 3,
            Self::Moderator => 2,
            Self::Member => 1,
        };
        rank(self) > other.map_or(0, rank)
    }

    /// Whether it is that of an owner or a moderator.
    #[must_use]
    pub fn moderates(self) -> bool {
        matches!(self, Self::Owner | Self::Moderator)
    }

    /// The role with this text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Owner, Self::Moderator, Self::Member].into_iter().find(|role| role.as_str() == text)
    }
}

/// That a user belongs to a room: durable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Membership {
    /// Who.
    pub user: User,
    /// As what.
    pub role: Role,
}

/// Whether a member is there: known to this process only, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// At least one session whose person is at the keyboard.
    Online,
    /// Sessions, but nobody at any keyboard.
    Away,
    /// No session.
    Offline,
}

impl Presence {
    /// The text form, as sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Offline => "offline",
        }
    }
}

/// A member as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Who, and as what.
    pub membership: Membership,
    /// Whether it is there.
    pub presence: Presence,
    /// How many sessions it has in the room.
    pub devices: usize,
    /// What keeps it from writing, if something does. Not part of what is told when it comes and goes.
    pub mute: Option<Mute>,
    /// The last message that it has read; `None` where that is not told: in big rooms, and of whoever is
    /// not to be seen.
    pub read: Option<u64>,
}

/// A member may not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mute {
    /// Until when; `None` without an end.
    pub until: Option<Timestamp>,
}

impl MemberView {
    /// Which user.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.membership.user.id
    }
}
