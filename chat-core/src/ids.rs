//! The names of things. Ids that leave the process are UUIDs of version 7, so that they sort by the
//! time they were made; a connection's id never leaves it and is a plain counter.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

macro_rules! public_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(
            feature = "serde",
            derive(serde::Serialize, serde::Deserialize),
            serde(transparent)
        )]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, greater than those this process made before.
            #[must_use]
            #[allow(clippy::new_without_default, reason = "every call gives another value")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id as a UUID.
            #[must_use]
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

public_id! {
    /// Names a room.
    RoomId
}
public_id! {
    /// Names a user: whoever the embedding program says is one.
    UserId
}
public_id! {
    /// Names a file that goes with messages. Who keeps it is the embedding program's affair.
    FileId
}
public_id! {
    /// Names what entitles sessions and may be withdrawn, for whoever admits them: one sign-in, say, with all
    /// the tokens that it leads to.
    GrantId
}

/// Names one connection of this process, for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// No id is less than this one …
    pub(crate) const FIRST: Self = Self(0);
    /// … or greater than this one.
    pub(crate) const LAST: Self = Self(u64::MAX);

    /// The next id; no two calls in a process give the same one.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "every call gives another value")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
