//! Who may do what in a room besides writing: its settings, and what keeps single users from it.

use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::limits;
use crate::model::{Role, User};

/// Who may invite others to a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
pub enum WhoInvites {
    /// Every member.
    #[default]
    Members,
    /// The owner and the moderators.
    Moderators,
}

impl WhoInvites {
    /// The text form, as stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Moderators => "moderators",
        }
    }

    /// The one with this text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Members, Self::Moderators].into_iter().find(|who| who.as_str() == text)
    }
}

/// What a room's owner may set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Settings {
    /// Who may invite others.
    pub invite: WhoInvites,
    /// How many seconds must pass between two messages of one member; 0 for none, at most
    /// [`limits::SLOW_S`]. Does not hold for the owner and moderators.
    pub slow_s: u32,
    /// Whether only the owner and moderators may write.
    pub read_only: bool,
}

/// Which of a room's [`Settings`] are to be others; those that are `None` stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SettingsChange {
    /// Who may invite others.
    pub invite: Option<WhoInvites>,
    /// How many seconds must pass between two messages of one member.
    pub slow_s: Option<u32>,
    /// Whether only the owner and moderators may write.
    pub read_only: Option<bool>,
}

impl Settings {
    /// These settings, changed.
    ///
    /// # Errors
    /// `bad_request` for a slow mode that is too slow.
    pub fn with(self, change: &SettingsChange) -> Result<Self> {
        let slow_s = change.slow_s.unwrap_or(self.slow_s);
        if slow_s > limits::SLOW_S {
            let (most, slow_s) = (limits::SLOW_S as usize, slow_s as usize);
            let message = format!("`slow_s` is {slow_s} seconds; at most {most} are allowed");
            let error = Error::new(Code::BadRequest, message).field("slow_s");
            return Err(error.measured(most, slow_s));
        }
        Ok(Self {
            invite: change.invite.unwrap_or(self.invite),
            slow_s,
            read_only: change.read_only.unwrap_or(self.read_only),
        })
    }
}

/// A user who is kept from something: from being a member by a ban, from writing by a mute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Restriction {
    /// Who.
    pub user: User,
    /// Until when; `None` without an end.
    pub until: Option<Timestamp>,
}

impl Restriction {
    /// Whether it still holds at this time.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// What the owner and moderators of a room may do in it. The owner may do everything but end its own
/// role otherwise than by a transfer; moderators may kick, ban and mute members, and undo that. Nobody
/// acts upon somebody of the same or a higher role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moderation {
    /// Make a member a moderator, or a moderator a member.
    Role {
        /// Whom.
        user: UserId,
        /// [`Role::Moderator`] or [`Role::Member`].
        role: Role,
    },
    /// Make another member the owner, and oneself a moderator.
    Transfer {
        /// Whom.
        user: UserId,
    },
    /// End a membership. The user may join again, or be invited again.
    Kick {
        /// Whose.
        user: UserId,
    },
    /// End a user's membership or invitation, and let it neither join nor be invited. Also for users
    /// who are not members, if the room knows them: from an invitation, a message or a change that it
    /// still has in memory.
    Ban {
        /// Whom.
        user: UserId,
        /// Until when; `None` without an end.
        until: Option<Timestamp>,
    },
    /// Lift a ban. The user is no member by that.
    Unban {
        /// Whose.
        user: UserId,
    },
    /// Let a member neither write nor be seen writing. It outlasts the membership, so that to leave
    /// and come back ends no mute.
    Mute {
        /// Whom.
        user: UserId,
        /// Until when; `None` without an end.
        until: Option<Timestamp>,
    },
    /// Lift a mute.
    Unmute {
        /// Whose.
        user: UserId,
    },
    /// Change the room's settings.
    Configure(SettingsChange),
}

impl Moderation {
    /// What it says, as a text that stays the same.
    pub(crate) fn canonical(&self) -> String {
        let until = |until: &Option<Timestamp>| until.map_or(-1, |until| until.timestamp_millis());
        match self {
            Self::Role { user, role } => format!("role {user} {}", role.as_str()),
            Self::Transfer { user } => format!("transfer {user}"),
            Self::Kick { user } => format!("kick {user}"),
            Self::Ban { user, until: end } => format!("ban {user} {}", until(end)),
            Self::Unban { user } => format!("unban {user}"),
            Self::Mute { user, until: end } => format!("mute {user} {}", until(end)),
            Self::Unmute { user } => format!("unmute {user}"),
            Self::Configure(SettingsChange { invite, slow_s, read_only }) => {
                let invite = invite.map_or("-", WhoInvites::as_str);
                format!("configure {invite} {slow_s:?} {read_only:?}")
            }
        }
    }

    /// Whom it is done to, if to one user.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        match *self {
            Self::Role { user, .. }
            | Self::Transfer { user }
            | Self::Kick { user }
            | Self::Ban { user, .. }
            | Self::Unban { user }
            | Self::Mute { user, .. }
            | Self::Unmute { user } => Some(user),
            Self::Configure(_) => None,
        }
    }
}
