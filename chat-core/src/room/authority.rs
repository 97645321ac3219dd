//! What the roles allow: pure rules about who does what to whom.

use crate::error::{Code, Error, Result};
use crate::model::{Moderation, Role};

/// Whether a member with the role `by` may do this to a user with the role `to`, if it has one.
pub(super) fn may(by: Role, act: &Moderation, to: Option<Role>) -> Result<()> {
    let only_owner = matches!(
        act,
        Moderation::Role { .. } | Moderation::Transfer { .. } | Moderation::Configure(_)
    );
    if only_owner && by != Role::Owner {
        return Err(Error::forbidden("only the owner of the room may do this"));
    }
    if !by.moderates() {
        return Err(Error::forbidden("only the owner and moderators of the room may do this"));
    }
    match act {
        Moderation::Role { role: Role::Owner, .. } => {
            let message = "a room has one owner; transfer it to make another member the owner";
            Err(Error::new(Code::BadRequest, message).field("role"))
        }
        // Nobody acts upon the owner by it, who is the one that does it.
        Moderation::Transfer { .. } | Moderation::Configure(_) => Ok(()),
        // Whoever is banned is no member.
        Moderation::Unban { .. } => Ok(()),
        Moderation::Role { .. } if !by.outranks(to) => {
            Err(Error::forbidden("the owner stays the owner until the room is transferred"))
        }
        _ if !by.outranks(to) => {
            Err(Error::forbidden("this is for users whose role is below your own"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;
    use crate::model::SettingsChange;

    /// Every act, with whom each role may do it to: the owner, moderators, members and others.
    #[test]
    fn every_role_against_every_other() {
        let user = UserId::new();
        let role = |role| Moderation::Role { user, role };
        let all = "owner moderator member none";
        let below_owner = "moderator member none";
        let below_moderator = "member none";
        let table = [
            (role(Role::Moderator), [below_owner, "", ""]),
            (role(Role::Member), [below_owner, "", ""]),
            (role(Role::Owner), ["", "", ""]),
            (Moderation::Transfer { user }, [all, "", ""]),
            (Moderation::Kick { user }, [below_owner, below_moderator, ""]),
            (Moderation::Ban { user, until: None }, [below_owner, below_moderator, ""]),
            (Moderation::Unban { user }, [all, all, ""]),
            (Moderation::Mute { user, until: None }, [below_owner, below_moderator, ""]),
            (Moderation::Unmute { user }, [below_owner, below_moderator, ""]),
            (Moderation::Configure(SettingsChange::default()), [all, "", ""]),
        ];
        let roles = [Role::Owner, Role::Moderator, Role::Member];
        for (act, row) in table {
            for (by, allowed) in roles.into_iter().zip(row) {
                for to in roles.into_iter().map(Some).chain([None]) {
                    let name = to.map_or("none", Role::as_str);
                    let expected = allowed.split(' ').any(|one| one == name);
                    assert_eq!(may(by, &act, to).is_ok(), expected, "{by:?} {act:?} {to:?}");
                }
            }
        }
    }
}
