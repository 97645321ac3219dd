//! A connection of a user, which may be down, and what it has rebuilt of each room.

use std::collections::BTreeMap;
use std::time::Duration;

use chat_core::Cursor;
use chat_core::testkit::FakeClock;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::super::support::{Client, Frame, Person, TestServer};
use super::Who;
use super::view::{Broken, Members, Seen, View};

/// The time that marks are gathered for.
const MARKS_EVERY: Duration = Duration::from_millis(250);
/// How long nothing may come before the clock goes on for what waits for it.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits for something that may wait for the clock.
pub(crate) async fn with_the_clock<T>(clock: &FakeClock, wait: impl Future<Output = T>) -> T {
    let mut wait = std::pin::pin!(wait);
    loop {
        match timeout(PAUSE, wait.as_mut()).await {
            Ok(done) => return done,
            Err(_) => clock.advance(MARKS_EVERY),
        }
    }
}

/// A connection.
pub(crate) struct Device {
    pub(crate) user: Who,
    me: Person,
    line: Option<Client>,
    /// Whether nobody is at its keyboard.
    pub(crate) away: bool,
    /// By the id of the room.
    pub(crate) views: BTreeMap<String, View>,
    /// From where on rooms are being resumed.
    resuming: BTreeMap<String, Cursor>,
    last_id: u64,
    /// Replies that nobody has taken yet.
    replies: BTreeMap<u64, Value>,
}

impl Device {
    pub(crate) fn new(user: Who, me: Person) -> Self {
        Self {
            user,
            me,
            line: None,
            away: false,
            views: BTreeMap::new(),
            resuming: BTreeMap::new(),
            last_id: 0,
            replies: BTreeMap::new(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.line.is_some()
    }

    /// Whether it hears this room.
    pub(crate) fn hears(&self, room: &str) -> bool {
        self.views.get(room).is_some_and(|view| view.hears)
    }

    /// Comes back, if it is away, and hears every room again that it is still a member of.
    pub(crate) async fn connect(&mut self, server: &TestServer) -> Result<(), Broken> {
        if self.is_connected() {
            return Ok(());
        }
        self.line = Some(Client::connect(&server.address, Some(&self.me.token)).await);
        let known = self.views.iter().filter_map(|(room, view)| Some((room, view.after()?)));
        self.resuming = known.map(|(room, after)| (room.clone(), after)).collect();
        if self.resuming.is_empty() {
            return Ok(());
        }
        let rooms = self.resuming.iter();
        let rooms = rooms.map(|(room, after)| json!({"room":room,"after":after.to_string()}));
        let resume = json!({"do":"resume","rooms":rooms.collect::<Vec<_>>()});
        let reply = self.ask(resume).await?;
        let answered = reply["ok"]["resumed"].as_u64().zip(reply["ok"]["failed"].as_u64());
        match answered {
            Some((resumed, failed)) if resumed + failed == self.views.len() as u64 => {}
            _ => return Err(format!("a resume is answered {reply}")),
        }
        if !self.resuming.is_empty() {
            return Err(format!("{:?} have not answered", self.resuming));
        }
        for room in self.views.keys().cloned().collect::<Vec<_>>() {
            self.catch_up(&room).await?;
        }
        Ok(())
    }

    /// The connection is gone, without a goodbye.
    pub(crate) fn cut(&mut self) {
        self.line = None;
        self.away = false;
        self.replies.clear();
        self.resuming.clear();
        for view in self.views.values_mut() {
            view.hears = false;
        }
    }

    /// Hears everything up to the end of the connection, which is near.
    pub(crate) async fn hear_the_end(&mut self) -> Result<(), Broken> {
        while let Some(line) = &mut self.line {
            match line.next().await {
                Frame::Json(frame) => self.hear(frame)?,
                Frame::Close(_) | Frame::End => self.line = None,
            }
        }
        Ok(())
    }

    /// Sends a command, and does not wait for its reply.
    pub(crate) async fn submit(&mut self, mut command: Value) -> u64 {
        self.last_id += 1;
        command["id"] = json!(self.last_id);
        if let Some(line) = &mut self.line {
            line.try_send(&command).await;
        }
        self.last_id
    }

    /// A reply that has come already.
    pub(crate) fn has_reply(&mut self, id: u64) -> Option<Value> {
        self.replies.remove(&id)
    }

    /// Waits for a reply; what comes before it is heard.
    pub(crate) async fn reply(&mut self, id: u64) -> Result<Value, Broken> {
        loop {
            if let Some(reply) = self.has_reply(id) {
                return Ok(reply);
            }
            let line = self.line.as_mut().ok_or("a reply is awaited without a connection")?;
            match line.next().await {
                Frame::Json(frame) => self.hear(frame)?,
                end => return Err(format!("the connection ended: {end:?}")),
            }
        }
    }

    pub(crate) async fn ask(&mut self, command: Value) -> Result<Value, Broken> {
        let id = self.submit(command).await;
        self.reply(id).await
    }

    /// Joins a room, from its cursor on or afresh. Gives the code if that is refused.
    pub(crate) async fn join(
        &mut self,
        room: &str,
        afresh: bool,
    ) -> Result<Option<String>, Broken> {
        let after = self.views.get(room).and_then(View::after).filter(|_| !afresh);
        let mut join = json!({"do":"join","room":room,"limit":200});
        if let Some(after) = after {
            join["after"] = json!(after.to_string());
        }
        let reply = self.ask(join).await?;
        let Some(joined) = reply.get("ok") else {
            return Ok(Some(reply["error"]["code"].as_str().unwrap_or_default().to_owned()));
        };
        let view = self.views.entry(room.to_owned()).or_insert_with(|| View::new(&self.me.id));
        view.joined(after, joined)?;
        if after.is_none() || joined["reset"] == true {
            // Who is no longer there is not in the answer.
            let members = self.members(room).await?;
            self.views.get_mut(room).into_iter().for_each(|view| view.members = members.clone());
        }
        self.catch_up(room).await?;
        Ok(None)
    }

    /// Reads the messages that it is behind with.
    async fn catch_up(&mut self, room: &str) -> Result<(), Broken> {
        while let Some((after, until)) = self.views.get(room).and_then(|view| view.missing) {
            let limit = (until - after).min(200);
            let history = json!({"do":"history","room":room,"after":after,"limit":limit});
            let reply = self.ask(history).await?;
            if let Some(view) = self.views.get_mut(room) {
                view.paged(&reply["ok"])?;
            }
        }
        Ok(())
    }

    /// The members, as the room says: whatever the room has told before is heard then.
    pub(crate) async fn members(&mut self, room: &str) -> Result<Members, Broken> {
        let mut members = Members::new();
        let mut query = json!({"do":"members","room":room,"limit":200});
        loop {
            let reply = self.ask(query.clone()).await?;
            let page = reply.get("ok").ok_or_else(|| format!("no members, but {reply}"))?;
            members.extend(page["members"].as_array().into_iter().flatten().map(Seen::of));
            if page["next"].is_null() {
                return Ok(members);
            }
            query["after"] = page["next"].clone();
        }
    }

    fn hear(&mut self, frame: Value) -> Result<(), Broken> {
        if let Some(id) = frame["id"].as_u64() {
            self.replies.insert(id, frame);
            return Ok(());
        }
        let event = frame["event"].as_str().unwrap_or_default();
        let room = frame["room"].as_str().unwrap_or_default();
        match event {
            // Of a room that need not be heard.
            "invited" | "closing" => Ok(()),
            "mine" if self.hears(room) => Err(format!("{frame} is of a room that is heard")),
            "mine" => Ok(()),
            "resumed" => {
                let after = self.resuming.remove(room).ok_or("resumed without having asked")?;
                let view = self.views.get_mut(room).ok_or("a room that is not known")?;
                frame.get("ok").map_or(Ok(()), |joined| view.joined(Some(after), joined))
            }
            _ => {
                let view = self.views.get_mut(room);
                let view = view.ok_or_else(|| format!("{frame} is of a room that is not known"))?;
                view.heard(&frame).map_err(|broken| format!("{broken}; it was {frame}"))
            }
        }
    }
}
