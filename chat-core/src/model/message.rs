//! What is said.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::model::{ClientKey, Text, User};

/// A message that the store has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Message {
    /// Its number in the room: 1, 2, 3 … without a gap.
    pub seq: u64,
    /// Who wrote it.
    pub from: User,
    /// What; `None` once it has been deleted. Its place stays.
    pub text: Option<Text>,
    /// When the room took it.
    pub at: Timestamp,
}

impl Message {
    /// What it says: nothing, once it has been deleted.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

/// A message that is yet to be written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What to say.
    pub text: Text,
    /// With a key the draft may be sent as often as the caller likes; it takes effect once.
    pub key: Option<ClientKey>,
}

impl Draft {
    /// A draft of this text, without a key.
    ///
    /// # Errors
    /// `empty` or `too_long`.
    pub fn text(text: impl Into<Arc<str>>) -> Result<Self> {
        Ok(Self { text: Text::new(text)?, key: None })
    }

    /// The same draft with a client key.
    ///
    /// # Errors
    /// `empty` or `too_long`, naming the key.
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Result<Self> {
        self.key = Some(ClientKey::new(key)?);
        Ok(self)
    }

    /// Stands for everything in the draft but its key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::digest(self.text.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Fingerprint(short)
    }
}

/// The first 16 bytes of a payload's SHA-256: tells a repeated write from another one with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Fingerprint(pub [u8; 16]);
