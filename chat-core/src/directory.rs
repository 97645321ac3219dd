//! Who users are, as the embedding program knows it: the names that belong to ids, and who is meant by
//! what stands in a text.

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::UserId;
use crate::model::{Text, User};

/// Knows users by their ids, so that one may invite another by its id alone, and by whatever a text calls
/// them. Asked outside the room,
/// so it may take its time: only whoever asks waits for it.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// The user with this id, if there is one.
    ///
    /// # Errors
    /// Why it cannot be said now; the caller is shown it. Usually
    /// [`Code::Unavailable`](crate::Code::Unavailable).
    async fn user(&self, id: UserId) -> Result<Option<User>>;

    /// Whom a text mentions that a user writes: the room keeps those who are its members. Whom that user is not to
    /// mention is left out here, since whoever is in the list finds the mention counted and is told of it. Asked of
    /// every text, so it had better answer from memory. Nobody, unless this says otherwise.
    ///
    /// # Errors
    /// As of [`user`](Self::user); the text is not written then.
    async fn mentioned(&self, by: UserId, text: &Text) -> Result<Vec<UserId>> {
        let _ = (by, text);
        Ok(Vec::new())
    }
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
