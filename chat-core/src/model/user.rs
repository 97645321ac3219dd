//! Who speaks.

use crate::ids::UserId;
use crate::model::Name;

/// A user, as the embedding program knows it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct User {
    /// Which user.
    pub id: UserId,
    /// The name that others see.
    pub name: Name,
}

impl User {
    /// A user with this id and name.
    #[must_use]
    pub fn new(id: UserId, name: Name) -> Self {
        Self { id, name }
    }
}
