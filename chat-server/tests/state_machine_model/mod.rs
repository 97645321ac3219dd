//! What is asked of rooms, as a command and as a call over HTTP, and a room as plain rules make it: who may
//! do what, and what it says in the end.

pub(crate) mod device;
pub(crate) mod steps;
pub(crate) mod view;
pub(crate) mod world;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use view::Said;

use super::support::Person;

/// A user, by its place among those of the test.
pub(crate) type Who = usize;

/// Marks that are given.
pub(crate) const MARKS: [&str; 3] = ["👍", "done", "star"];

/// What somebody does in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Say(String),
    Edit(u64, String),
    Delete(u64),
    Mark { seq: u64, mark: &'static str, on: bool },
    Leave,
    Invite(Who),
    Kick(Who),
    Ban(Who),
    Unban(Who),
    Mute(Who),
    Unmute(Who),
    Role(Who, &'static str),
    Transfer(Who),
}

/// A deed, who does it and where, and the key that names it.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) room: usize,
    pub(crate) user: Who,
    pub(crate) deed: Deed,
    pub(crate) key: Option<String>,
}

impl Write {
    pub(crate) fn waits_for_the_clock(&self) -> bool {
        matches!(self.deed, Deed::Mark { .. })
    }

    /// As a command over a socket.
    pub(crate) fn command(&self, room: &str, people: &[Person]) -> Value {
        let id = |user: &Who| &people[*user].id;
        let mut command = match &self.deed {
            Deed::Say(text) => json!({"do":"send","text":text}),
            Deed::Edit(seq, text) => json!({"do":"edit","seq":seq,"text":text}),
            Deed::Delete(seq) => json!({"do":"delete","seq":seq}),
            Deed::Mark { seq, mark, on: true } => json!({"do":"mark","seq":seq,"mark":mark}),
            Deed::Mark { seq, mark, on: false } => json!({"do":"unmark","seq":seq,"mark":mark}),
            Deed::Leave => json!({"do":"leave"}),
            Deed::Invite(user) => json!({"do":"invite","user":id(user)}),
            Deed::Kick(user) => json!({"do":"kick","user":id(user)}),
            Deed::Ban(user) => json!({"do":"ban","user":id(user)}),
            Deed::Unban(user) => json!({"do":"unban","user":id(user)}),
            Deed::Mute(user) => json!({"do":"mute","user":id(user)}),
            Deed::Unmute(user) => json!({"do":"unmute","user":id(user)}),
            Deed::Role(user, role) => json!({"do":"role","user":id(user),"role":role}),
            Deed::Transfer(user) => json!({"do":"transfer","user":id(user)}),
        };
        command["room"] = json!(room);
        if let Some(key) = &self.key {
            command["key"] = json!(key);
        }
        command
    }

    /// As a call: method, path and body.
    pub(crate) fn call(&self, room: &str, people: &[Person]) -> (&'static str, String, Value) {
        let id = |user: &Who| &people[*user].id;
        let message = |seq: &u64| format!("messages/{seq}");
        let member = |user: &Who| format!("members/{}", id(user));
        let (method, path, mut body) = match &self.deed {
            Deed::Say(text) => ("POST", "messages".into(), json!({ "text": text })),
            Deed::Edit(seq, text) => ("PATCH", message(seq), json!({ "text": text })),
            Deed::Delete(seq) => ("DELETE", message(seq), Value::Null),
            Deed::Mark { seq, mark, on } => {
                let method = if *on { "PUT" } else { "DELETE" };
                (method, format!("messages/{seq}/marks/{mark}"), Value::Null)
            }
            Deed::Leave => ("DELETE", "members/me".into(), Value::Null),
            Deed::Invite(user) => ("POST", "members".into(), json!({ "user": id(user) })),
            Deed::Kick(user) => ("DELETE", member(user), Value::Null),
            Deed::Ban(user) => ("PUT", format!("bans/{}", id(user)), json!({})),
            Deed::Unban(user) => ("DELETE", format!("bans/{}", id(user)), Value::Null),
            Deed::Mute(user) => ("PATCH", member(user), json!({ "muted": true })),
            Deed::Unmute(user) => ("PATCH", member(user), json!({ "muted": false })),
            Deed::Role(user, role) => ("PATCH", member(user), json!({ "role": role })),
            Deed::Transfer(user) => ("PATCH", member(user), json!({ "role": "owner" })),
        };
        let query = match (&self.key, &self.deed) {
            (Some(key), Deed::Say(_)) => {
                body["key"] = json!(key);
                String::new()
            }
            (Some(key), _) => format!("?key={key}"),
            (None, _) => String::new(),
        };
        (method, format!("/rooms/{room}/{path}{query}"), body)
    }
}

/// What a message has become.
#[derive(Clone, Debug)]
struct Message {
    from: Who,
    text: String,
    deleted: bool,
    edited: bool,
    marks: BTreeMap<&'static str, BTreeSet<Who>>,
}

/// A room.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) id: String,
    private: bool,
    pub(crate) roles: BTreeMap<Who, &'static str>,
    invited: BTreeSet<Who>,
    banned: BTreeSet<Who>,
    pub(crate) muted: BTreeSet<Who>,
    messages: BTreeMap<u64, Message>,
    /// How far members have read.
    read: BTreeMap<Who, u64>,
}

/// Whether a deed would change something, or why it is refused.
pub(crate) type Judged = Result<bool, &'static str>;

fn rank(role: Option<&&str>) -> u8 {
    match role {
        Some(&"owner") => 3,
        Some(&"moderator") => 2,
        Some(_) => 1,
        None => 0,
    }
}

impl Room {
    /// A room that somebody has just opened.
    pub(crate) fn new(id: String, private: bool, owner: Who) -> Self {
        Self {
            id,
            private,
            roles: BTreeMap::from([(owner, "owner")]),
            invited: BTreeSet::new(),
            banned: BTreeSet::new(),
            muted: BTreeSet::new(),
            messages: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    pub(crate) fn has(&self, user: Who) -> bool {
        self.roles.contains_key(&user)
    }

    /// The number of the last message.
    pub(crate) fn end(&self) -> u64 {
        self.messages.keys().next_back().copied().unwrap_or_default()
    }

    pub(crate) fn author(&self, seq: u64) -> Option<Who> {
        self.messages.get(&seq).map(|message| message.from)
    }

    pub(crate) fn with_role(&self, role: &str) -> Option<Who> {
        self.roles.iter().find(|(_, has)| **has == role).map(|(user, _)| *user)
    }

    /// What comes of it that somebody joins: whether it becomes a member.
    pub(crate) fn judge_join(&self, user: Who) -> Judged {
        match self.no_member(user) {
            _ if self.has(user) => Ok(false),
            "not_a_member" => Ok(true),
            code => Err(code),
        }
    }

    pub(crate) fn join(&mut self, user: Who) {
        self.invited.remove(&user);
        if !self.has(user) {
            self.roles.insert(user, "member");
            // It has read what was there.
            self.read.insert(user, self.end());
        }
    }

    /// What comes of it that somebody has read up to a message: up to where it has then.
    pub(crate) fn judge_read(&self, user: Who, seq: u64) -> Result<u64, &'static str> {
        match self.has(user) {
            false => Err(self.no_member(user)),
            true if seq > self.end() => Err("no_such_message"),
            true => Ok(seq.max(self.read_by(user))),
        }
    }

    pub(crate) fn set_read(&mut self, user: Who, seq: u64) {
        self.read.insert(user, seq);
    }

    pub(crate) fn read_by(&self, user: Who) -> u64 {
        self.read.get(&user).copied().unwrap_or_default()
    }

    /// How far a member has read, and what is left; nobody is mentioned in these rooms.
    pub(crate) fn position(&self, user: Who) -> Value {
        let seq = self.read_by(user);
        let left = self.messages.range(seq + 1..).map(|(_, message)| message);
        let unread = left.filter(|message| !message.deleted && message.from != user).count();
        json!({ "seq": seq, "unread": unread, "mentions": 0 })
    }

    /// What somebody is told who is no member.
    pub(crate) fn no_member(&self, user: Who) -> &'static str {
        match (self.private, self.banned.contains(&user)) {
            (false, false) => "not_a_member",
            (false, true) => "banned",
            (true, false) if self.invited.contains(&user) => "not_a_member",
            (true, _) => "no_such_room",
        }
    }

    fn is_muted(&self, user: Who) -> bool {
        self.muted.contains(&user) && self.roles.get(&user) != Some(&"owner")
    }

    /// What comes of a deed.
    pub(crate) fn judge(&self, user: Who, deed: &Deed) -> Judged {
        let Some(role) = self.roles.get(&user) else { return Err(self.no_member(user)) };
        let outranks = |other: &Who| match rank(Some(role)) > rank(self.roles.get(other)) {
            _ if rank(Some(role)) < 2 => Err("forbidden"),
            true => Ok(()),
            false => Err("forbidden"),
        };
        let member = |other: &Who| if self.has(*other) { Ok(()) } else { Err("no_such_member") };
        let owns = || if *role == "owner" { Ok(()) } else { Err("forbidden") };
        match deed {
            Deed::Say(_) if self.is_muted(user) => Err("muted"),
            Deed::Say(_) => Ok(true),
            Deed::Edit(seq, _) => match self.messages.get(seq) {
                None => Err("no_such_message"),
                Some(message) if message.from != user => Err("forbidden"),
                Some(message) if message.deleted => Err("message_deleted"),
                Some(_) if self.is_muted(user) => Err("muted"),
                Some(_) => Ok(true),
            },
            Deed::Delete(seq) => match self.messages.get(seq) {
                None => Err("no_such_message"),
                Some(message) if message.from != user => {
                    outranks(&message.from).map(|()| !message.deleted)
                }
                Some(message) => Ok(!message.deleted),
            },
            Deed::Mark { seq, mark, on } => match self.messages.get(seq) {
                None => Err("no_such_message"),
                Some(_) if self.is_muted(user) => Err("muted"),
                Some(message) if message.deleted => Err("message_deleted"),
                Some(message) => {
                    let has = message.marks.get(mark).is_some_and(|by| by.contains(&user));
                    Ok(has != *on)
                }
            },
            Deed::Leave if *role == "owner" && self.roles.len() > 1 => Err("forbidden"),
            Deed::Leave => Ok(true),
            Deed::Invite(guest) if self.banned.contains(guest) => Err("banned"),
            Deed::Invite(guest) => Ok(!self.has(*guest) && !self.invited.contains(guest)),
            Deed::Kick(other) => outranks(other).and_then(|()| member(other)).map(|()| true),
            Deed::Ban(other) => outranks(other).map(|()| !self.banned.contains(other)),
            Deed::Unban(_) if rank(Some(role)) < 2 => Err("forbidden"),
            Deed::Unban(other) => Ok(self.banned.contains(other)),
            Deed::Mute(other) => {
                outranks(other).and_then(|()| member(other)).map(|()| !self.muted.contains(other))
            }
            Deed::Unmute(other) => outranks(other).map(|()| self.muted.contains(other)),
            Deed::Role(other, new) => owns()
                .and_then(|()| outranks(other))
                .and_then(|()| member(other))
                .map(|()| self.roles.get(other) != Some(new)),
            Deed::Transfer(other) => match owns() {
                Ok(()) if *other == user => Ok(false),
                may => may.and_then(|()| member(other)).map(|()| true),
            },
        }
    }

    /// A deed has been done that changes something; a message got this number.
    pub(crate) fn apply(&mut self, user: Who, deed: &Deed, seq: u64) {
        match deed.clone() {
            Deed::Say(text) => {
                let (deleted, edited, marks) = (false, false, BTreeMap::new());
                self.messages.insert(seq, Message { from: user, text, deleted, edited, marks });
            }
            Deed::Edit(seq, text) => self.change(seq, |message| {
                message.text = text;
                message.edited = true;
            }),
            Deed::Delete(seq) => self.change(seq, |message| {
                let (text, marks) = (String::new(), BTreeMap::new());
                *message = Message { text, marks, deleted: true, edited: false, ..*message };
            }),
            Deed::Mark { seq, mark, on } => self.change(seq, |message| {
                let by = message.marks.entry(mark).or_default();
                if on {
                    by.insert(user)
                } else {
                    by.remove(&user)
                };
                message.marks.retain(|_, by| !by.is_empty());
            }),
            Deed::Leave => _ = self.roles.remove(&user),
            Deed::Invite(guest) => _ = self.invited.insert(guest),
            Deed::Kick(other) => _ = self.roles.remove(&other),
            Deed::Ban(other) => {
                self.roles.remove(&other);
                self.invited.remove(&other);
                self.banned.insert(other);
            }
            Deed::Unban(other) => _ = self.banned.remove(&other),
            Deed::Mute(other) => _ = self.muted.insert(other),
            Deed::Unmute(other) => _ = self.muted.remove(&other),
            Deed::Role(other, role) => _ = self.roles.insert(other, role),
            Deed::Transfer(other) => {
                self.roles.extend([(user, "moderator"), (other, "owner")]);
            }
        }
    }

    fn change(&mut self, seq: u64, change: impl FnOnce(&mut Message)) {
        if let Some(message) = self.messages.get_mut(&seq) {
            change(message);
        }
    }

    /// Whether the messages have all numbers from the first on.
    pub(crate) fn is_whole(&self) -> bool {
        self.messages.keys().copied().eq(1..=self.end())
    }

    /// All messages, as somebody sees them.
    pub(crate) fn said(&self, reader: Who, people: &[Person]) -> BTreeMap<u64, Said> {
        let said = self.messages.iter().map(|(seq, message)| {
            let count = |(mark, by): (&&str, &BTreeSet<Who>)| ((*mark).to_owned(), by.len() as u64);
            let own = message.marks.iter().filter(|(_, by)| by.contains(&reader));
            let said = Said {
                from: people[message.from].id.clone(),
                text: message.text.clone(),
                deleted: message.deleted,
                edited: message.edited,
                marks: message.marks.iter().map(count).collect(),
                mine: own.map(|(mark, _)| (*mark).to_owned()).collect(),
            };
            (*seq, said)
        });
        said.collect()
    }
}
