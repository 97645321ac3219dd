//! Who users are, as the embedding program knows it: the names that belong to ids.

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::UserId;
use crate::model::User;

/// Knows users by their ids, so that one may invite another by its id alone. Asked outside the room,
/// so it may take its time: only whoever asks waits for it.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// The user with this id, if there is one.
    ///
    /// # Errors
    /// Why it cannot be said now; the caller is shown it. Usually
    /// [`Code::Unavailable`](crate::Code::Unavailable).
    async fn user(&self, id: UserId) -> Result<Option<User>>;
}

/// Knows nobody: rooms know their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDirectory;

#[async_trait]
impl Directory for NoDirectory {
    async fn user(&self, _id: UserId) -> Result<Option<User>> {
        Ok(None)
    }
}
