//! Who may do what, as the embedding program sees it. The engine asks before it carries out a
//! command; what follows from membership (only members write) is the room's own rule and is not
//! asked here.

use async_trait::async_trait;

use crate::command::Command;
use crate::error::Result;
use crate::ids::UserId;
use crate::model::User;

/// Decides whether a user may do something. Asked outside the room, so it may take its time: only
/// the session that asks waits for it.
///
/// [`may`](Self::may) is asked about commands only. A member whose commands are all refused still hears the rooms
/// that its sessions have joined, until these end. Of a room it sees no more than the id, and of a
/// room that is to be opened what the getters of [`NewRoom`](crate::NewRoom) say; whatever else its
/// rules need, the program keeps itself.
#[async_trait]
pub trait Policy: Send + Sync + 'static {
    /// Allows the command, or refuses it with an error that the caller is shown; usually
    /// [`Code::Forbidden`](crate::Code::Forbidden).
    async fn may(&self, user: &User, command: &Command) -> Result<()>;

    /// Whether the other member of a direct room sees a user come and go there; otherwise the user is
    /// offline in that room, whatever it does. Asked when the room is loaded: if it changes later,
    /// [`Engine::show_presence`](crate::Engine::show_presence) says so.
    async fn shows_presence(&self, user: UserId, to: UserId) -> bool {
        let _ = (user, to);
        true
    }
}

/// Everybody may do everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

#[async_trait]
impl Policy for AllowAll {
    async fn may(&self, _user: &User, _command: &Command) -> Result<()> {
        Ok(())
    }
}
