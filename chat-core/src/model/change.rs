//! What happens in a room besides new messages, and must not be missed either.

use crate::clock::Timestamp;
use crate::model::{Cursor, Edit, MarkCount, Membership, Settings, Thread, User};

/// A committed change. `cursor.change` is its number in the room: 1, 2, 3 … without a gap;
/// `cursor.seq` is the last message before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Change {
    /// Where the room stood with it.
    pub cursor: Cursor,
    /// What changed.
    pub kind: ChangeKind,
    /// Who did it, if it was somebody else than the user whom it is about.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub by: Option<User>,
    /// When.
    pub at: Timestamp,
}

impl Change {
    /// Everybody whom it names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &User> {
        let last = self.kind.thread().into_iter().flat_map(Thread::names);
        self.by.iter().chain([&self.kind.membership().user]).chain(last)
    }

    pub(crate) fn names_mut(&mut self) -> impl Iterator<Item = &mut User> {
        let (user, last) = match &mut self.kind {
            ChangeKind::Thread(membership, _, thread) => {
                (&mut membership.user, thread.last.as_mut().map(|last| &mut last.from))
            }
            kind => (&mut kind.membership_mut().user, None),
        };
        self.by.iter_mut().chain([user]).chain(last)
    }
}

/// The kinds of change, each with the membership that it is about. Whatever has an end says when;
/// `None` is without one.
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
    /// A member has another role: this one.
    Role(Membership),
    /// The room has another owner: this member. Whoever was it before, and did this, is a moderator
    /// from here on.
    Transferred(Membership),
    /// A user's membership was ended.
    Kicked(Membership),
    /// A user may not be a member until then. A membership or an invitation that it had has ended.
    Banned(Membership, Option<Timestamp>),
    /// A user's ban was lifted.
    Unbanned(Membership),
    /// A member may not write until then.
    Muted(Membership, Option<Timestamp>),
    /// A member may write again.
    Unmuted(Membership),
    /// The room's settings are these; the membership is that of whoever changed them.
    Settings(Membership, Settings),
    /// Everything that this user has written here up to now has been deleted, by itself.
    Erased(Membership),
    /// The message with this `seq`, which is this author's, says something else. `None` once it has
    /// been deleted.
    Edited(Membership, u64, Option<Edit>),
    /// The message with this `seq`, which is this author's, has been deleted.
    Deleted(Membership, u64),
    /// The message with this `seq` is marked like this, or as it has been since; of those who gave or took
    /// back marks, this one was the last.
    Marked(Membership, u64, Vec<MarkCount>),
    /// The thread on the message with this `seq` has come to this, or to what it has since; this user is the
    /// one who wrote in it last, or by whom it has changed.
    Thread(Membership, u64, Thread),
}

/// What kinds of change have besides a membership, each some of it.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// When what has an end will end.
    pub until: Option<Timestamp>,
    /// The new settings.
    pub settings: Option<Settings>,
    /// The message that it is about.
    pub seq: Option<u64>,
    /// What that says from then on.
    pub edit: Option<Edit>,
    /// How it is marked.
    pub marks: Vec<MarkCount>,
    /// What its thread has come to.
    pub thread: Option<Thread>,
}

/// The membership that a kind is about, borrowed as the kind is.
macro_rules! whose {
    ($kind:expr) => {
        match $kind {
            ChangeKind::Joined(membership)
            | ChangeKind::Left(membership)
            | ChangeKind::Invited(membership)
            | ChangeKind::Role(membership)
            | ChangeKind::Transferred(membership)
            | ChangeKind::Kicked(membership)
            | ChangeKind::Banned(membership, _)
            | ChangeKind::Unbanned(membership)
            | ChangeKind::Muted(membership, _)
            | ChangeKind::Unmuted(membership)
            | ChangeKind::Settings(membership, _)
            | ChangeKind::Erased(membership)
            | ChangeKind::Edited(membership, ..)
            | ChangeKind::Deleted(membership, _)
            | ChangeKind::Marked(membership, ..)
            | ChangeKind::Thread(membership, ..) => membership,
        }
    };
}

impl ChangeKind {
    /// The text form, as stored and sent.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Joined(_) => "joined",
            Self::Left(_) => "left",
            Self::Invited(_) => "invited",
            Self::Role(_) => "role",
            Self::Transferred(_) => "transferred",
            Self::Kicked(_) => "kicked",
            Self::Banned(..) => "banned",
            Self::Unbanned(_) => "unbanned",
            Self::Muted(..) => "muted",
            Self::Unmuted(_) => "unmuted",
            Self::Settings(..) => "settings",
            Self::Erased(_) => "erased",
            Self::Edited(..) => "edited",
            Self::Deleted(..) => "deleted",
            Self::Marked(..) => "marked",
            Self::Thread(..) => "thread",
        }
    }

    /// The kind with this text form, about this membership; of the details, those count that the kind
    /// has.
    #[must_use]
    pub fn parse(text: &str, membership: Membership, details: Details) -> Option<Self> {
        let Details { until, settings, seq, edit, marks, thread } = details;
        Some(match text {
            "joined" => Self::Joined(membership),
            "left" => Self::Left(membership),
            "invited" => Self::Invited(membership),
            "role" => Self::Role(membership),
            "transferred" => Self::Transferred(membership),
            "kicked" => Self::Kicked(membership),
            "banned" => Self::Banned(membership, until),
            "unbanned" => Self::Unbanned(membership),
            "muted" => Self::Muted(membership, until),
            "unmuted" => Self::Unmuted(membership),
            "settings" => Self::Settings(membership, settings?),
            "erased" => Self::Erased(membership),
            "edited" => Self::Edited(membership, seq?, edit),
            "deleted" => Self::Deleted(membership, seq?),
            "marked" => Self::Marked(membership, seq?, marks),
            "thread" => Self::Thread(membership, seq?, thread?),
            _ => return None,
        })
    }

    /// Whose membership, or message, it is about.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        whose!(self)
    }

    pub(crate) fn membership_mut(&mut self) -> &mut Membership {
        whose!(self)
    }

    /// When what has an end will end.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Banned(_, until) | Self::Muted(_, until) => *until,
            _ => None,
        }
    }

    /// The new settings, if it is about these.
    #[must_use]
    pub fn settings(&self) -> Option<Settings> {
        match self {
            Self::Settings(_, settings) => Some(*settings),
            _ => None,
        }
    }

    /// The message that it is about, if it is about one.
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Edited(_, seq, _)
            | Self::Deleted(_, seq)
            | Self::Marked(_, seq, _)
            | Self::Thread(_, seq, _) => Some(*seq),
            _ => None,
        }
    }

    /// What a thread has come to, if it is about one.
    #[must_use]
    pub fn thread(&self) -> Option<&Thread> {
        match self {
            Self::Thread(_, _, thread) => Some(thread),
            _ => None,
        }
    }

    /// Whether somebody has come, gone, or may come, by nobody's decision but its own or its host's:
    /// what a big room summarises.
    pub(crate) fn is_coming_or_going(&self) -> bool {
        matches!(self, Self::Joined(_) | Self::Left(_) | Self::Invited(_))
    }

    /// Whether it ends a membership.
    #[must_use]
    pub fn ends_membership(&self) -> bool {
        matches!(self, Self::Left(_) | Self::Kicked(_) | Self::Banned(..))
    }
}
