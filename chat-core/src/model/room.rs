//! Where messages are written.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::ids::{RoomId, UserId};
use crate::model::{ClientKey, Fingerprint, Membership, Parent, Role, Title, User};

/// Who may find and enter a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum Kind {
    /// Listed; anybody may join.
    Open,
    /// Not listed; whoever has been invited may join, and nobody else is told that it exists.
    Private,
    /// Not listed; of exactly two users, and the only one they have. Both are members from its
    /// opening on, nobody joins and nobody leaves.
    Direct,
    /// Not listed, and without a title; on a message of another room ([`RoomInfo::parent`]), whose members
    /// may join it, and nobody else. What its members are and may do, that room says.
    Thread,
}

impl Kind {
    /// The text form, as stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Private => "private",
            Self::Direct => "direct",
            Self::Thread => "thread",
        }
    }

    /// The kind with this text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Open, Self::Private, Self::Direct, Self::Thread];
        all.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What is to be known of a room that does not change while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RoomInfo {
    /// Which room.
    pub id: RoomId,
    /// What it is called. A direct room has no title: it is known by its two members; a thread by its
    /// parent.
    pub title: Option<Title>,
    /// Who may find and enter it.
    pub kind: Kind,
    /// Whether membership lasts only as long as presence (and a grace period), and the room as long
    /// as it has members.
    pub ephemeral: bool,
    /// When it was opened.
    pub created: Timestamp,
    /// The message that it is a thread on, if it is one.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub parent: Option<Parent>,
}

impl RoomInfo {
    /// What of a direct room must be unique: its two members, in the order of their ids. `None` of
    /// any other room.
    #[must_use]
    pub fn pair(&self, members: &[Membership]) -> Option<[UserId; 2]> {
        let [one, other] = members else { return None };
        let mut pair = [one.user.id, other.user.id];
        pair.sort_unstable();
        (self.kind == Kind::Direct).then_some(pair)
    }
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
    pub(crate) title: Option<Title>,
    pub(crate) kind: Kind,
    pub(crate) ephemeral: bool,
    pub(crate) with: Option<With>,
    pub(crate) key: Option<ClientKey>,
}

/// The other one of a direct room.
#[derive(Clone, Debug)]
pub(crate) enum With {
    /// Whom the opener knows.
    User(User),
    /// Whom the directory may know.
    Id(UserId),
}

impl NewRoom {
    /// A room that anybody may find and join.
    ///
    /// # Errors
    /// `empty`, `too_long` or `bad_text` for the title.
    pub fn open(title: impl Into<Arc<str>>) -> Result<Self> {
        Self::titled(Kind::Open, title)
    }

    /// A room that only those find and join whom its members invite.
    ///
    /// # Errors
    /// `empty`, `too_long` or `bad_text` for the title.
    pub fn private(title: impl Into<Arc<str>>) -> Result<Self> {
        Self::titled(Kind::Private, title)
    }

    /// The one room that whoever opens it has with this user. Opening it again gives the same room,
    /// also when both open it at once.
    #[must_use]
    pub fn direct(with: User) -> Self {
        Self { with: Some(With::User(with)), ..Self::of(Kind::Direct) }
    }

    /// The same, with a user whose id alone is known: the [`Directory`](crate::Directory) knows the rest.
    #[must_use]
    pub fn direct_with(with: UserId) -> Self {
        Self { with: Some(With::Id(with)), ..Self::of(Kind::Direct) }
    }

    fn titled(kind: Kind, title: impl Into<Arc<str>>) -> Result<Self> {
        Ok(Self { title: Some(Title::new(title)?), ..Self::of(kind) })
    }

    fn of(kind: Kind) -> Self {
        Self { title: None, kind, ephemeral: false, with: None, key: None }
    }

    /// The same room, to be opened once, however often that is asked with this key, which is the opener's
    /// own among all rooms that it opens and is remembered for a day at least: whoever asks again gets
    /// the same room.
    #[must_use]
    pub fn key(mut self, key: ClientKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The key, and what stands for the room.
    pub(crate) fn once(&self) -> Option<(ClientKey, Fingerprint)> {
        let key = self.key.clone()?;
        let title = self.title.as_deref().unwrap_or_default();
        let with = self.with().map_or_else(String::new, |with| with.to_string());
        let what = format!("{} {} {with} {title}", self.kind.as_str(), self.ephemeral);
        Some((key, Fingerprint::new(what)))
    }

    /// The same room, gone when its last member is. A direct room cannot be ephemeral: opening it
    /// is refused.
    #[must_use]
    pub fn ephemeral(mut self) -> Self {
        self.ephemeral = true;
        self
    }

    /// What it is to be called. A direct room has no title.
    #[must_use]
    pub fn title(&self) -> Option<&Title> {
        self.title.as_ref()
    }

    /// Who is to find and enter it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is to be gone when its last member is.
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }

    /// The other one of a direct room.
    #[must_use]
    pub fn with(&self) -> Option<UserId> {
        self.with.as_ref().map(|with| match with {
            With::User(user) => user.id,
            With::Id(id) => *id,
        })
    }

    /// Its first members: whoever opens it as the owner, or the two of a direct room.
    ///
    /// # Errors
    /// `bad_request` for a direct room that is ephemeral or with oneself; `no_such_user` for one with
    /// somebody whom the directory does not know.
    pub(crate) fn members(&self, opener: &User) -> Result<Vec<Membership>> {
        let with = match &self.with {
            None => return Ok(vec![Membership { user: opener.clone(), role: Role::Owner }]),
            Some(With::User(user)) => user,
            Some(With::Id(_)) => return Err(Error::no_such_user()),
        };
        if self.ephemeral {
            let message = "a direct room stays; leave `ephemeral` out";
            return Err(Error::new(Code::BadRequest, message).field("ephemeral"));
        }
        if with.id == opener.id {
            let message = "a direct room is between two users; name another one than yourself";
            return Err(Error::new(Code::BadRequest, message).field("with"));
        }
        let member = |user: &User| Membership { user: user.clone(), role: Role::Member };
        Ok(vec![member(opener), member(with)])
    }
}
