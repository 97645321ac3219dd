//! Users, members, and those who may not be members.

use chat_core::{BanPage, MemberPage, MemberView, Membership, Mute, Restriction, User, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Time, as_text};
use crate::protocol::words;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView<'a> {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = Uuid)]
    id: UserId,
    #[schema(value_type = words::Nickname)]
    name: &'a str,
}

impl<'a> From<&'a User> for UserView<'a> {
    fn from(user: &'a User) -> Self {
        Self { id: user.id, name: &user.name }
    }
}

/// A user as a member.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Membership)]
pub struct MembershipView<'a> {
    #[serde(flatten)]
    user: UserView<'a>,
    #[schema(value_type = words::Role)]
    role: &'static str,
    /// There, and true, if it may read but not write.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    muted: bool,
    /// Until when, if that has an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    muted_until: Option<Time>,
}

impl<'a> MembershipView<'a> {
    /// The member, and what keeps it from writing.
    #[must_use]
    pub fn new(membership: &'a Membership, mute: Option<Mute>) -> Self {
        Self {
            user: (&membership.user).into(),
            role: membership.role.as_str(),
            muted: mute.is_some(),
            muted_until: mute.and_then(|mute| mute.until).map(Time),
        }
    }
}

/// A member as it is seen now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
pub(in crate::protocol) struct PresentView<'a> {
    #[serde(flatten)]
    membership: MembershipView<'a>,
    #[schema(value_type = words::State)]
    state: &'static str,
    /// How many of its connections hear the room.
    devices: usize,
    /// The last message that it has read; not told in big rooms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Seq>, nullable = false)]
    read: Option<u64>,
}

impl<'a> From<&'a MemberView> for PresentView<'a> {
    fn from(member: &'a MemberView) -> Self {
        Self {
            membership: MembershipView::new(&member.membership, member.mute),
            state: member.presence.as_str(),
            devices: member.devices,
            read: member.read,
        }
    }
}

/// A page of members.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MemberPage)]
pub struct MemberPageView<'a> {
    /// How many members the room has.
    count: usize,
    /// How many of them are present.
    online: usize,
    /// In the order of their ids.
    members: Vec<PresentView<'a>>,
    /// There if there are more: sent as `after`, it gives the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    next: Option<String>,
}

impl<'a> From<&'a MemberPage> for MemberPageView<'a> {
    fn from(page: &'a MemberPage) -> Self {
        Self {
            count: page.counts.members,
            online: page.counts.online,
            members: page.members.iter().map(PresentView::from).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }
}

/// A page of bans.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BanPage)]
pub struct BanPageView<'a> {
    /// In the order of their ids.
    bans: Vec<RestrictionView<'a>>,
    /// There if there are more: sent as `after`, it gives the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ban)]
struct RestrictionView<'a> {
    #[serde(flatten)]
    user: UserView<'a>,
    /// When it ends by itself, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    until: Option<Time>,
}

impl<'a> From<&'a BanPage> for BanPageView<'a> {
    fn from(page: &'a BanPage) -> Self {
        let view = |ban: &'a Restriction| {
            let (user, until) = ((&ban.user).into(), ban.until.map(Time));
            RestrictionView { user, until }
        };
        Self {
            bans: page.bans.iter().map(view).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }
}
