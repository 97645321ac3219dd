//! What is said.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::ids::{FileId, UserId};
use crate::limits;
use crate::model::{ClientKey, Mark, Text, Thread, User};

/// A message that the store has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Message {
    /// Its number in the room: 1, 2, 3 … without a gap.
    pub seq: u64,
    /// Who wrote it.
    pub from: User,
    /// What it says, as it was last edited; nothing but what it answers, once it has been deleted.
    pub body: Body,
    /// When the room took it.
    pub at: Timestamp,
    /// When it was last edited, if it has been.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub edited: Option<Timestamp>,
    /// Whether it has been deleted. Its place stays.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    pub deleted: bool,
    /// How it is marked, in the order of the marks' bytes.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub marks: Vec<MarkCount>,
    /// The thread on it, if one has been opened. It stays when the message is deleted.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub thread: Option<Thread>,
}

/// How often a mark was given to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MarkCount {
    /// The mark.
    pub mark: Mark,
    /// How many users have given it.
    pub count: u64,
}

/// That a user has given a message a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Which message.
    pub seq: u64,
    /// What mark.
    pub mark: Mark,
    /// Who.
    pub user: UserId,
}

/// That a user gives a message a mark, or takes it back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Marking {
    /// Who.
    pub user: UserId,
    /// What mark.
    pub mark: Mark,
    /// Whether it is given.
    pub on: bool,
    /// The client's key, and what stands for what it has done.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub key: Option<(ClientKey, Fingerprint)>,
}

/// What a message says. The engine shows nothing of it that is not in here, and runs none of it: a text
/// is plain text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Body {
    /// The text; `None` if it is files alone.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub text: Option<Text>,
    /// The `seq` of the message that it answers, in the same room.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub reply_to: Option<u64>,
    /// Members who are mentioned in the text, as the [`Directory`](crate::Directory) has found them; at
    /// most [`limits::MENTIONS`], each once.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub mentions: Vec<UserId>,
    /// Files that go with it; at most [`limits::FILES`], each once.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub files: Vec<FileId>,
}

impl Body {
    /// A body of this text alone.
    #[must_use]
    pub fn text(text: Text) -> Self {
        Self { text: Some(text), ..Self::default() }
    }

    /// The text: nothing, if there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// What is left of it when it is deleted.
    #[must_use]
    pub fn deleted(&self) -> Self {
        Self { reply_to: self.reply_to, ..Self::default() }
    }
}

impl Message {
    /// A message as it is written.
    #[must_use]
    pub fn new(seq: u64, from: User, body: Body, at: Timestamp) -> Self {
        Self { seq, from, body, at, edited: None, deleted: false, marks: Vec::new(), thread: None }
    }

    /// What it says: nothing, once it has been deleted.
    #[must_use]
    pub fn text(&self) -> &str {
        self.body.as_str()
    }

    /// It says something else from now on, unless it has been deleted.
    pub fn edit(&mut self, edit: &Edit, at: Timestamp) {
        if !self.deleted {
            self.body.text = Some(edit.text.clone());
            self.body.mentions.clone_from(&edit.mentions);
            self.edited = Some(at);
        }
    }

    /// It is marked like this from now on, unless it has been deleted.
    pub fn mark(&mut self, marks: &[MarkCount]) {
        if !self.deleted {
            self.marks = marks.to_vec();
        }
    }

    /// Its thread has come to this, unless it is known to have come further.
    pub fn set_thread(&mut self, thread: &Thread) {
        if self.thread.as_ref().is_none_or(|known| thread.upto.reaches(known.upto)) {
            self.thread = Some(thread.clone());
        }
    }

    /// Everybody whom it names as an author.
    pub(crate) fn names(&self) -> impl Iterator<Item = &User> {
        std::iter::once(&self.from).chain(self.thread.iter().flat_map(Thread::names))
    }

    pub(crate) fn names_mut(&mut self) -> impl Iterator<Item = &mut User> {
        let last = self.thread.iter_mut().flat_map(Thread::names_mut);
        std::iter::once(&mut self.from).chain(last)
    }

    /// It says nothing from now on.
    pub fn delete(&mut self) {
        self.body = self.body.deleted();
        self.edited = None;
        self.deleted = true;
        self.marks.clear();
    }
}

/// What a message says from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Edit {
    /// Its text.
    pub text: Text,
    /// Members who are mentioned in it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub mentions: Vec<UserId>,
}

/// What a message said before it was edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its text then; `None` if it had none.
    pub text: Option<Text>,
    /// Since when it said so.
    pub at: Timestamp,
}

/// A message that is yet to be written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What to say. Whom it mentions is found out when it is sent.
    pub body: Body,
    /// With a key the draft may be sent as often as the caller likes; it takes effect once.
    pub key: Option<ClientKey>,
}

impl Draft {
    /// A draft of this text, without a key.
    ///
    /// # Errors
    /// `empty` or `too_long`.
    pub fn text(text: impl Into<Arc<str>>) -> Result<Self> {
        Ok(Self { body: Body::text(Text::new(text)?), key: None })
    }

    /// A draft of files alone, without a key.
    ///
    /// # Errors
    /// `empty` without any, `bad_request` for more than [`limits::FILES`] or one that is named twice.
    pub fn of_files(files: Vec<FileId>) -> Result<Self> {
        if files.is_empty() {
            let message = "the message has neither a text nor files; write something";
            return Err(Error::new(Code::Empty, message).field("text"));
        }
        Self { body: Body::default(), key: None }.files(files)
    }

    /// The same draft with these files.
    ///
    /// # Errors
    /// `bad_request` for more than [`limits::FILES`] or one that is named twice.
    pub fn files(mut self, files: Vec<FileId>) -> Result<Self> {
        let (most, count) = (limits::FILES, files.len());
        if count > most {
            let message = format!("{count} files are too many for one message; at most {most}");
            let error = Error::new(Code::BadRequest, message).field("files");
            return Err(error.measured(most, count));
        }
        if files.iter().enumerate().any(|(at, file)| files[..at].contains(file)) {
            let message = "a file is named twice; name each once";
            return Err(Error::new(Code::BadRequest, message).field("files"));
        }
        self.body.files = files;
        Ok(self)
    }

    /// The same draft, as an answer to the message with this `seq`.
    #[must_use]
    pub fn reply_to(mut self, seq: u64) -> Self {
        self.body.reply_to = Some(seq);
        self
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
        let Body { text: _, reply_to, mentions: _, files } = &self.body;
        let mut digest = Sha256::new_with_prefix(self.body.as_str().as_bytes());
        // No text has the byte 255 in it, so what follows is never taken for a part of one.
        if let Some(seq) = reply_to {
            digest.update(b"\xffreply_to");
            digest.update(seq.to_be_bytes());
        }
        if !files.is_empty() {
            digest.update(b"\xfffiles");
            files.iter().for_each(|file| digest.update(file.uuid().as_bytes()));
        }
        Fingerprint::of(digest)
    }
}

/// The first 16 bytes of a payload's SHA-256: tells a repeated write from another one with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// That of a payload.
    #[must_use]
    pub fn new(payload: impl AsRef<[u8]>) -> Self {
        Self::of(Sha256::new_with_prefix(payload))
    }

    pub(crate) fn of(digest: Sha256) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&digest.finalize()[..16]);
        Self(short)
    }
}
