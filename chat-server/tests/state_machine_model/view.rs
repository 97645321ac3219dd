//! What one connection knows of a room, rebuilt from nothing but the JSON that it was answered and told. It
//! finds a gap, a double, something out of order, and something heard that should not be.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::Cursor;
use serde_json::Value;

/// What is not as it should be, in words.
pub(crate) type Broken = String;

/// A message, as whoever reads it sees it now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) from: String,
    pub(crate) text: String,
    pub(crate) deleted: bool,
    pub(crate) edited: bool,
    /// How often each mark was given.
    pub(crate) marks: BTreeMap<String, u64>,
    /// What the reader has given itself.
    pub(crate) mine: BTreeSet<String>,
}

impl Said {
    pub(crate) fn of(message: &Value) -> Self {
        let mut said = Self {
            from: text(&message["from"]["id"]),
            text: text(&message["text"]),
            deleted: message["deleted"] == true,
            edited: message["edited"].is_string(),
            ..Self::default()
        };
        said.mark(&message["marks"], true);
        said
    }

    fn mark(&mut self, marks: &Value, mine: bool) {
        let marks: Vec<_> = marks.as_array().into_iter().flatten().collect();
        let counts = marks.iter().map(|one| (text(&one["mark"]), one["count"].as_u64()));
        self.marks = counts.map(|(mark, count)| (mark, count.unwrap_or_default())).collect();
        if mine {
            let mine = marks.iter().filter(|one| one["mine"] == true);
            self.mine = mine.map(|one| text(&one["mark"])).collect();
        }
    }

    fn delete(&mut self) {
        *self = Self { from: self.from.clone(), deleted: true, ..Self::default() };
    }
}

/// A member: its role, whether it is there, and with how many connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) role: String,
    pub(crate) state: String,
    pub(crate) devices: u64,
}

impl Seen {
    pub(crate) fn absent(role: &str) -> Self {
        Self { role: role.to_owned(), state: "offline".to_owned(), devices: 0 }
    }

    /// A member of a page, and its id.
    pub(crate) fn of(member: &Value) -> (String, Self) {
        let devices = member["devices"].as_u64().unwrap_or_default();
        let (role, state) = (text(&member["role"]), text(&member["state"]));
        (text(&member["id"]), Self { role, state, devices })
    }
}

/// Members by id.
pub(crate) type Members = BTreeMap<String, Seen>;

/// A connection's view of a room.
#[derive(Clone, Debug)]
pub(crate) struct View {
    me: String,
    pub(crate) hears: bool,
    cursor: Option<Cursor>,
    pub(crate) messages: BTreeMap<u64, Said>,
    pub(crate) members: Members,
    /// How far its user has read.
    pub(crate) read: u64,
    /// Messages that it is behind with: every number above the first, up to the second.
    pub(crate) missing: Option<(u64, u64)>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn cursor(value: &Value) -> Result<Cursor, Broken> {
    let cursor = value["cursor"].as_str().and_then(|cursor| cursor.parse().ok());
    cursor.ok_or_else(|| format!("no cursor in {value}"))
}

/// A position, which is not beyond what has been said.
fn read_up_to(position: &Value, end: u64) -> Result<u64, Broken> {
    let read = position["seq"].as_u64().filter(|read| *read <= end);
    read.ok_or_else(|| format!("{position}, where the last message is {end}"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[allow(clippy::needless_pass_by_value, reason = "so that what is compared is plain to read")]
fn same<T: PartialEq + std::fmt::Debug>(what: &str, actual: T, expected: T) -> Result<(), Broken> {
    if actual == expected {
        return Ok(());
    }
    Err(format!("{what}: {actual:?}, where {expected:?} was expected"))
}

impl View {
    pub(crate) fn new(me: &str) -> Self {
        Self {
            me: me.to_owned(),
            hears: false,
            cursor: None,
            messages: BTreeMap::new(),
            members: BTreeMap::new(),
            read: 0,
            missing: None,
        }
    }

    /// The cursor to come back with.
    pub(crate) fn after(&self) -> Option<Cursor> {
        self.cursor
    }

    /// A join or a resume from this cursor on has been answered.
    pub(crate) fn joined(&mut self, asked: Option<Cursor>, joined: &Value) -> Result<(), Broken> {
        let end = cursor(joined)?;
        same("whose membership", text(&joined["me"]["id"]), self.me.clone())?;
        match asked.filter(|_| joined["reset"] != true) {
            Some(asked) => self.go_on(asked, end, joined)?,
            None => {
                *self = Self::new(&self.me);
                let first = end.seq + 1 - list(&joined["messages"]).count() as u64;
                self.keep_all(first, end.seq, &joined["messages"])?;
                same("the changes of a newcomer", list(&joined["changes"]).count(), 0)?;
            }
        }
        // What is known of those who are there is of this moment.
        for seen in self.members.values_mut() {
            *seen = Seen::absent(&seen.role);
        }
        self.members.extend(list(&joined["members"]["first"]).map(Seen::of));
        self.cursor = Some(end);
        self.hears = true;
        self.read = read_up_to(&joined["read"], end.seq)?;
        Ok(())
    }

    fn go_on(&mut self, asked: Cursor, end: Cursor, joined: &Value) -> Result<(), Broken> {
        // What has been heard between the question and the answer is in the answer too.
        let known = self.cursor.unwrap_or(asked);
        let mut first = asked.seq + 1;
        if let Some(until) = joined["behind"]["until"].as_u64() {
            same(
                "the beginning of what is missing",
                &joined["behind"]["after"],
                &asked.seq.into(),
            )?;
            self.missing = Some((asked.seq, until));
            first = until + 1;
        }
        self.keep_all(first, end.seq, &joined["messages"])?;
        let changes: Vec<_> = list(&joined["changes"]).collect();
        let numbers = changes.iter().map(|change| Ok(cursor(change)?.change));
        let numbers: Vec<u64> = numbers.collect::<Result<_, Broken>>()?;
        let expected: Vec<u64> = (asked.change + 1..=end.change).collect();
        same("the changes of an answer", numbers, expected)?;
        let new = changes.into_iter().zip(asked.change + 1..);
        new.filter(|(_, number)| *number > known.change)
            .try_for_each(|(change, _)| self.change(change, true))
    }

    /// Keeps messages, which must be these.
    fn keep_all(&mut self, first: u64, last: u64, messages: &Value) -> Result<(), Broken> {
        let seqs: Vec<_> = list(messages).map(|message| message["seq"].as_u64()).collect();
        let expected: Vec<_> = (first..=last).map(Some).collect();
        same("the numbers of messages", seqs, expected)?;
        for (seq, message) in (first..).zip(list(messages)) {
            let said = Said::of(message);
            if let Some(known) = self.messages.insert(seq, said.clone()) {
                same("who wrote what was known already", said.from, known.from)?;
            }
        }
        Ok(())
    }

    /// A page of what is missing has been answered.
    pub(crate) fn paged(&mut self, page: &Value) -> Result<(), Broken> {
        let Some((after, until)) = self.missing else { return Ok(()) };
        let last = after + list(&page["messages"]).count() as u64;
        self.keep_all(after + 1, last, &page["messages"])?;
        same("whether a page of what is missing has something", last > after, true)?;
        self.missing = (last < until).then_some((last, until));
        Ok(())
    }

    /// The connection has been told something of this room.
    pub(crate) fn heard(&mut self, event: &Value) -> Result<(), Broken> {
        same("whether the room is heard", self.hears, true)?;
        let before = self.cursor.unwrap_or_default();
        match event["event"].as_str().unwrap_or_default() {
            "message" => {
                let next = Cursor::new(before.seq + 1, before.change);
                same("the cursor of a message", cursor(event)?, next)?;
                same("the number of a message", event["seq"].as_u64(), Some(next.seq))?;
                same("a message that was known", self.messages.get(&next.seq), None)?;
                self.messages.insert(next.seq, Said::of(event));
                self.cursor = Some(next);
            }
            "member" | "edited" | "deleted" | "marks" | "settings" => {
                let next = Cursor::new(before.seq, before.change + 1);
                same("the cursor of a change", cursor(event)?, next)?;
                self.change(event, false)?;
                self.cursor = Some(next);
            }
            "marked" => {
                let (seq, mark) = (event["seq"].as_u64().unwrap_or_default(), text(&event["mark"]));
                if let Some(said) = self.messages.get_mut(&seq) {
                    match event["on"] == true {
                        true => said.mine.insert(mark),
                        false => said.mine.remove(&mark),
                    };
                }
            }
            "presence" => {
                let (id, seen) = (text(&event["user"]["id"]), self.members.clone());
                let role = seen.get(&id).map(|seen| seen.role.clone()).unwrap_or_default();
                let devices = event["devices"].as_u64().unwrap_or_default();
                self.members.insert(id, Seen { role, state: text(&event["state"]), devices });
            }
            "read" => {
                let read = read_up_to(event, before.seq)?;
                same("whether a position moves forward", read > self.read, true)?;
                self.read = read;
            }
            "receipts" => {
                for receipt in list(&event["receipts"]) {
                    read_up_to(receipt, before.seq)?;
                }
            }
            "typing" | "mentioned" => {}
            other => return Err(format!("{other} is heard: {event}")),
        }
        Ok(())
    }

    fn change(&mut self, change: &Value, answered: bool) -> Result<(), Broken> {
        let message = change["seq"].as_u64().and_then(|seq| self.messages.get_mut(&seq));
        match (change["event"].as_str().unwrap_or_default(), message) {
            ("edited", Some(said)) => {
                said.text = text(&change["text"]);
                said.edited = true;
            }
            ("deleted", Some(said)) => said.delete(),
            ("marks", Some(said)) => said.mark(&change["marks"], answered),
            ("member", _) => self.member(change),
            ("edited" | "deleted" | "marks" | "settings", _) => {}
            (other, _) => return Err(format!("{other} is no change: {change}")),
        }
        Ok(())
    }

    fn member(&mut self, change: &Value) {
        let (id, role) = (text(&change["user"]["id"]), text(&change["role"]));
        let mut set_role = |id: &str, role: &str| {
            if let Some(seen) = self.members.get_mut(id) {
                role.clone_into(&mut seen.role);
            }
        };
        match change["change"].as_str().unwrap_or_default() {
            "joined" => _ = self.members.insert(id, Seen::absent(&role)),
            "role" => set_role(&id, &role),
            "transferred" => {
                set_role(&text(&change["by"]["id"]), "moderator");
                set_role(&id, "owner");
            }
            "left" | "kicked" | "banned" => {
                self.members.remove(&id);
                self.hears &= id != self.me;
            }
            _ => {}
        }
    }
}
