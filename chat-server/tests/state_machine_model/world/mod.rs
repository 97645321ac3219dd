//! A server, and those who use it: what they do, and how they are answered.

mod comparing;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join;
use proptest::sample::Index;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::support::http::Http;
use super::super::support::{Person, TestServer, text, until};
use super::device::{Device, with_the_clock};
use super::steps::{By, DEVICES, Plan, Step, USERS, What};
use super::view::Broken;
use super::{Deed, Judged, Room, Who, Write};

/// More messages than one answer carries.
const FLOOD: usize = 210;
/// Clients here send as fast as they can, and do not answer pings while others have their turn. However far the clock
/// goes on meanwhile, rooms do not stop, with which the keys of what changed nothing would go.
const SETTINGS: [&str; 5] = [
    "socket.commands_per_s=0",
    "socket.bytes_per_s=0",
    "socket.ping_interval_s=3600",
    "auth.access_ttl_s=86400",
    "rooms.idle_stop_s=86400",
];

/// What lasts from case to case: a server, which may be another one each time, and people with accounts.
pub(crate) struct Stage {
    pub(crate) server: Option<TestServer>,
    data: Arc<TempDir>,
    people: Vec<Person>,
    /// How many writes there have been.
    writes: usize,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let server = TestServer::with(&SETTINGS).await;
        let mut people = Vec::new();
        for name in ["ann", "bob", "cleo"] {
            people.push(server.sign_up(name).await);
        }
        let data = Arc::clone(&server.data);
        Self { server: Some(server), data, people, writes: 0 }
    }

    async fn server(&mut self) -> &TestServer {
        if self.server.is_none() {
            let server = TestServer::start_in(Arc::clone(&self.data), None, &SETTINGS).await;
            self.server = Some(server);
        }
        self.server.as_ref().expect("it has just been started")
    }
}

/// What was done with a key, and how it was answered.
#[derive(Clone, Debug)]
struct Done {
    write: Write,
    seq: u64,
    /// The number of the server's start, for what changed nothing: another one does not know it.
    only_in: Option<usize>,
}

pub(crate) struct World<'a> {
    stage: &'a mut Stage,
    rooms: Vec<Room>,
    devices: Vec<Device>,
    done: Vec<Done>,
    /// Of rooms that were opened with a key: who did, the command, and the room.
    opened: Vec<(Who, Value, usize)>,
    starts: usize,
}

fn code(reply: &Value) -> Option<String> {
    reply["error"]["code"].as_str().map(ToOwned::to_owned)
}

impl World<'_> {
    pub(crate) async fn new(stage: &mut Stage) -> World<'_> {
        stage.server().await;
        let device = |n: usize| Device::new(n % USERS, stage.people[n % USERS].clone());
        let devices = (0..DEVICES).map(device).collect();
        let (rooms, done, opened) = (Vec::new(), Vec::new(), Vec::new());
        World { stage, rooms, devices, done, opened, starts: 0 }
    }

    fn server(&self) -> &TestServer {
        self.stage.server.as_ref().expect("it runs but for restarts")
    }

    async fn connect(&mut self, device: usize) -> Result<(), Broken> {
        let server = self.stage.server.as_ref().expect("it runs but for restarts");
        self.devices[device].connect(server).await
    }

    fn pick(&self, room: Index) -> Option<usize> {
        (!self.rooms.is_empty()).then(|| room.index(self.rooms.len()))
    }

    /// Makes a write of a plan, and chooses who does it.
    fn write(&mut self, plan: &Plan, keyed: bool) -> Option<(usize, Write)> {
        let room = self.pick(plan.room)?;
        self.stage.writes += 1;
        let (number, end) = (self.stage.writes, self.rooms[room].end());
        let words = format!("text {number}");
        // Most of them are there.
        let seq = plan.seq.index(end as usize + 2) as u64 + u64::from(end > 0);
        let user = plan.user;
        let deed = match plan.what {
            What::Say => Deed::Say(words),
            What::Edit => Deed::Edit(seq, words),
            What::Delete => Deed::Delete(seq),
            What::Mark(mark, on) => Deed::Mark { seq, mark, on },
            What::Leave => Deed::Leave,
            What::Invite => Deed::Invite(user),
            What::Kick => Deed::Kick(user),
            // Whom the room may have forgotten is not banned.
            What::Ban if self.rooms[room].has(user) => Deed::Ban(user),
            What::Ban => Deed::Kick(user),
            What::Unban => Deed::Unban(user),
            What::Mute => Deed::Mute(user),
            What::Unmute => Deed::Unmute(user),
            What::Role(role) => Deed::Role(user, role),
            What::Transfer => Deed::Transfer(user),
        };
        let by = match plan.by {
            By::Anybody => None,
            By::Owner => self.rooms[room].with_role("owner"),
            By::Author => self.rooms[room].author(seq),
        };
        let device = by.map_or(plan.device, |user| self.device_of(user));
        let key = keyed.then(|| format!("key-{number}"));
        let user = self.devices[device].user;
        Some((device, Write { room, user, deed, key }))
    }

    fn command(&self, write: &Write) -> Value {
        write.command(&self.rooms[write.room].id, &self.stage.people)
    }

    fn judge(&self, write: &Write) -> Judged {
        self.rooms[write.room].judge(write.user, &write.deed)
    }

    /// A write has been answered: with the number that a message got, if it is one, or with a code.
    fn answered(&mut self, write: Write, judged: Judged, reply: &Value) -> Result<(), Broken> {
        let says = matches!(write.deed, Deed::Say(_));
        let (seq, code) = (reply["ok"]["seq"].as_u64(), code(reply));
        let changes = match (judged, &code) {
            (Ok(changes), None) if seq.is_some() == says => changes,
            (Err(expected), Some(code)) if code == expected => return Ok(()),
            _ => return Err(format!("{write:?} was answered {reply}, expected was {judged:?}")),
        };
        let seq = seq.unwrap_or_default();
        if changes {
            let room = &mut self.rooms[write.room];
            if says && room.author(seq).is_some() {
                return Err(format!("{write:?} got a number that was given: {reply}"));
            }
            room.apply(write.user, &write.deed, seq);
        }
        if write.key.is_some() {
            let only_in = (!changes).then_some(self.starts);
            self.done.push(Done { write, seq, only_in });
        }
        Ok(())
    }

    /// A write has been asked again that was done.
    fn answered_again(&self, done: &Done, reply: &Value) -> Result<(), Broken> {
        let says = matches!(done.write.deed, Deed::Say(_));
        // The keys of messages are looked for only when these are written.
        let refused = self.judge(&done.write).err().filter(|_| says);
        let fits = match code(reply) {
            None => reply["ok"]["seq"].as_u64().unwrap_or_default() == done.seq,
            Some(code) => refused == Some(code.as_str()),
        };
        if fits { Ok(()) } else { Err(format!("{done:?} is answered again with {reply}")) }
    }

    async fn ask(&mut self, device: usize, write: &Write) -> Result<Value, Broken> {
        self.connect(device).await?;
        let command = self.command(write);
        let clock = self.server().clock.clone();
        let device = &mut self.devices[device];
        match write.waits_for_the_clock() {
            true => with_the_clock(&clock, device.ask(command)).await,
            false => device.ask(command).await,
        }
    }

    /// Asks over HTTP, and gives the answer in the form of a reply.
    async fn call(&self, write: &Write) -> Value {
        let (method, path, body) = write.call(&self.rooms[write.room].id, &self.stage.people);
        let token = &self.stage.people[write.user].token;
        let call = self.server().call(method, &path, token, body);
        let (status, answer) = match write.waits_for_the_clock() {
            true => with_the_clock(&self.server().clock, call).await,
            false => call.await,
        };
        match (200..300).contains(&status) {
            true => json!({ "ok": answer }),
            false => json!({ "error": answer }),
        }
    }

    async fn open(&mut self, device: usize, private: bool, by_http: bool) -> Result<(), Broken> {
        self.stage.writes += 1;
        let (number, user) = (self.stage.writes, self.devices[device].user);
        let kind = if private { "private" } else { "open" };
        let key = format!("key-{number}");
        let mut new = json!({"title":format!("room {number}"),"kind":kind,"key":key});
        let room = if by_http {
            let token = &self.stage.people[user].token;
            self.server().call("POST", "/rooms", token, new.clone()).await.1
        } else {
            self.connect(device).await?;
            let mut open = new.clone();
            open["do"] = json!("open");
            self.devices[device].ask(open).await?["ok"]["room"].clone()
        };
        new["do"] = json!("open");
        self.opened.push((user, new, self.rooms.len()));
        self.rooms.push(Room::new(text(&room["id"]), private, user));
        Ok(())
    }

    async fn join(&mut self, device: usize, room: usize, afresh: bool) -> Result<(), Broken> {
        self.connect(device).await?;
        let user = self.devices[device].user;
        let judged = self.rooms[room].judge_join(user);
        let id = self.rooms[room].id.clone();
        let refused = self.devices[device].join(&id, afresh).await?;
        if refused.as_deref() != judged.err() {
            return Err(format!("joining gave {refused:?}, expected was {judged:?}"));
        }
        if judged.is_ok() {
            self.rooms[room].join(user);
        }
        Ok(())
    }

    async fn read(
        &mut self,
        device: usize,
        room: usize,
        seq: Index,
        by_http: bool,
    ) -> Result<(), Broken> {
        let user = self.devices[device].user;
        let (id, end) = (self.rooms[room].id.clone(), self.rooms[room].end());
        // The last of these is not there.
        let seq = seq.index(end as usize + 2) as u64;
        let judged = self.rooms[room].judge_read(user, seq);
        let clock = self.server().clock.clone();
        let (answer, code) = if by_http {
            let (path, body) = (format!("/rooms/{id}/read"), json!({ "seq": seq }));
            let call = self.server().call("PUT", &path, &self.stage.people[user].token, body);
            let (_, answer) = with_the_clock(&clock, call).await;
            let code = answer["code"].as_str().map(ToOwned::to_owned);
            (answer, code)
        } else {
            self.connect(device).await?;
            let read = json!({"do":"read","room":id,"seq":seq});
            let reply = with_the_clock(&clock, self.devices[device].ask(read)).await?;
            (reply["ok"].clone(), code(&reply))
        };
        let said = format!("{user} has read up to {seq}: {answer}, expected was {judged:?}");
        match (judged, code) {
            (Err(expected), Some(code)) if expected == code => return Ok(()),
            (Ok(read), None) => self.rooms[room].set_read(user, read),
            _ => return Err(said),
        }
        // Of more than the room has in memory, nothing is counted.
        let mut expected = self.rooms[room].position(user);
        if answer["unread"].is_null() {
            expected = json!({ "seq": expected["seq"] });
        }
        if answer == expected { Ok(()) } else { Err(format!("{said}; left is {expected}")) }
    }

    /// Several write and mark at once, which comes out the same in any order.
    async fn at_once(&mut self, plans: &[Plan]) -> Result<(), Broken> {
        let mut asked = BTreeMap::<_, Vec<_>>::new();
        let mut marked = Vec::new();
        for plan in plans {
            let Some((device, write)) = self.write(plan, plan.keyed) else { return Ok(()) };
            if let Deed::Mark { seq, mark, .. } = write.deed {
                let one = (write.room, write.user, seq, mark);
                // What is written meanwhile may be there by then, or not.
                if marked.contains(&one) || self.rooms[write.room].author(seq).is_none() {
                    continue;
                }
                marked.push(one);
            }
            self.connect(device).await?;
            let command = self.command(&write);
            let id = self.devices[device].submit(command).await;
            asked.entry(device).or_default().push((id, write));
        }
        let clock = self.server().clock.clone();
        for (device, (id, write)) in asked
            .into_iter()
            .flat_map(|(device, all)| all.into_iter().map(move |one| (device, one)))
        {
            let judged = self.judge(&write);
            let reply = with_the_clock(&clock, self.devices[device].reply(id)).await?;
            self.answered(write, judged, &reply)?;
        }
        Ok(())
    }

    /// The first device of a user.
    fn device_of(&self, user: Who) -> usize {
        self.devices.iter().position(|device| device.user == user).expect("each has one")
    }

    /// Some device of a user.
    fn other_device(&self, user: Who, index: Index) -> usize {
        let devices = (0..DEVICES).filter(|device| self.devices[*device].user == user);
        *index.get(&devices.collect::<Vec<_>>())
    }

    async fn cut_with(&mut self, plans: &[Plan], other: Index) -> Result<(), Broken> {
        let mut unsure = Vec::new();
        let mut cut = None;
        for plan in plans {
            // All of it on one connection.
            let plan =
                Plan { by: if plans.len() > 1 { By::Anybody } else { plan.by }, ..plan.clone() };
            let plan = Plan { device: cut.unwrap_or(plan.device), ..plan };
            let Some((device, write)) = self.write(&plan, true) else { return Ok(()) };
            self.connect(device).await?;
            let command = self.command(&write);
            self.devices[device].submit(command).await;
            cut = Some(device);
            unsure.push(write);
        }
        let Some(cut) = cut else { return Ok(()) };
        self.devices[cut].cut();
        let other = self.other_device(self.devices[cut].user, other);
        self.ask_surely(other, unsure).await?;
        // Nothing of it is on its way any more.
        self.sessions_end().await;
        Ok(())
    }

    /// Asks again what nobody knows what came of.
    async fn ask_surely(&mut self, device: usize, writes: Vec<Write>) -> Result<(), Broken> {
        for write in writes {
            let judged = self.judge(&write);
            let reply = self.ask(device, &write).await?;
            self.answered(write, judged, &reply)?;
        }
        Ok(())
    }

    async fn sessions_end(&self) {
        let connected = self.devices.iter().filter(|device| device.is_connected()).count();
        let engine = self.server().server().engine().clone();
        until("who is gone is gone", async || engine.stats().sessions == connected).await;
    }

    async fn repeat(&mut self, done: &Done, device: usize) -> Result<(), Broken> {
        if done.only_in.is_some_and(|start| start != self.starts) {
            return Ok(());
        }
        let reply = self.ask(device, &done.write).await?;
        self.answered_again(done, &reply)
    }

    /// Something else with the key of what was done.
    async fn clash(&mut self, done: &Done) -> Result<(), Broken> {
        // A message is refused before its key is looked for.
        if done.only_in.is_some() || self.judge(&done.write).is_err() {
            return Ok(());
        }
        self.stage.writes += 1;
        let deed = Deed::Say(format!("text {}", self.stage.writes));
        if self.rooms[done.write.room].judge(done.write.user, &deed).is_err() {
            return Ok(());
        }
        let device = self.device_of(done.write.user);
        let reply = self.ask(device, &Write { deed, ..done.write.clone() }).await?;
        match code(&reply).as_deref() {
            Some("key_conflict") => Ok(()),
            _ => Err(format!("{done:?}: something else with its key is answered {reply}")),
        }
    }

    async fn restart(&mut self, plans: &[Plan]) -> Result<(), Broken> {
        let mut unsure = Vec::new();
        for plan in plans {
            let Some((device, write)) = self.write(plan, true) else { continue };
            self.connect(device).await?;
            let command = self.command(&write);
            let id = self.devices[device].submit(command).await;
            unsure.push((device, id, write));
        }
        let mut server = self.stage.server.take().expect("it runs but for restarts");
        // Connections that are kept for later calls would be waited for.
        server.http = Http::default();
        let devices = &mut self.devices;
        let hear = async {
            for device in devices {
                device.hear_the_end().await?;
            }
            Ok::<_, Broken>(())
        };
        join(server.stop(), hear).await.1?;
        let mut acknowledged = Vec::new();
        for (device, id, write) in unsure {
            let reply = self.devices[device].has_reply(id);
            acknowledged.push((write, reply.and_then(|reply| reply["ok"]["seq"].as_u64())));
        }
        self.devices.iter_mut().for_each(Device::cut);
        self.stage.server().await;
        self.starts += 1;
        for (write, seq) in acknowledged {
            let device = self.device_of(write.user);
            let judged = self.judge(&write);
            let reply = self.ask(device, &write).await?;
            if seq.is_some() && reply["ok"]["seq"].as_u64() != seq {
                return Err(format!("{write:?} was acknowledged as {seq:?}, and now is {reply}"));
            }
            self.answered(write, judged, &reply)?;
        }
        Ok(())
    }

    pub(crate) async fn step(&mut self, step: Step) -> Result<(), Broken> {
        match step {
            Step::Open { device, private, by_http } => self.open(device, private, by_http).await?,
            Step::Join { device, room, afresh } => {
                if let Some(room) = self.pick(room) {
                    self.join(device, room, afresh).await?;
                }
            }
            Step::JoinByHttp { user, room } => {
                let Some(room) = self.pick(room) else { return Ok(()) };
                let judged = self.rooms[room].judge_join(user);
                let path = format!("/rooms/{}/members/me", self.rooms[room].id);
                let token = &self.stage.people[user].token;
                let (_, answer) = self.server().call("PUT", &path, token, Value::Null).await;
                if answer["code"].as_str() != judged.err() {
                    return Err(format!("joining gave {answer}, expected was {judged:?}"));
                }
                if judged.is_ok() {
                    self.rooms[room].join(user);
                }
            }
            Step::Do { plan, by_http } => {
                let Some((device, write)) = self.write(&plan, plan.keyed) else { return Ok(()) };
                let judged = self.judge(&write);
                let reply = match by_http {
                    true => self.call(&write).await,
                    false => self.ask(device, &write).await?,
                };
                let reply = match reply["error"]["code"].as_str() {
                    Some(code) => json!({ "error": { "code": code } }),
                    None => reply,
                };
                self.answered(write, judged, &reply)?;
            }
            Step::AtOnce(plans) => self.at_once(&plans).await?,
            Step::CutWith { plans, device } => self.cut_with(&plans, device).await?,
            Step::Repeat { write, device } => {
                if !self.done.is_empty() {
                    let done = write.get(&self.done).clone();
                    let device = self.other_device(done.write.user, device);
                    self.repeat(&done, device).await?;
                }
            }
            Step::Clash { write } => {
                if !self.done.is_empty() {
                    let done = write.get(&self.done).clone();
                    self.clash(&done).await?;
                }
            }
            Step::Read { device, room, seq, by_http } => {
                if let Some(room) = self.pick(room) {
                    self.read(device, room, seq, by_http).await?;
                }
            }
            Step::Away { device, away } => {
                self.connect(device).await?;
                let state = if away { "away" } else { "online" };
                let reply =
                    self.devices[device].ask(json!({"do":"presence","state":state})).await?;
                self.devices[device].away = away;
                if code(&reply).is_some() {
                    return Err(format!("{state} is answered {reply}"));
                }
            }
            Step::Cut { device } => self.devices[device].cut(),
            Step::Back { device } => self.connect(device).await?,
            Step::Flood { device, room } => self.flood(device, room).await?,
            Step::Restart(plans) => self.restart(&plans).await?,
            Step::Check => self.check().await?,
        }
        Ok(())
    }

    /// Somebody writes more than one answer carries.
    async fn flood(&mut self, device: usize, room: Index) -> Result<(), Broken> {
        let (what, by) = (What::Say, By::Anybody);
        let plan = Plan { device, room, what, user: 0, seq: room, by, keyed: false };
        self.connect(device).await?;
        for _ in 0..FLOOD / 30 {
            let mut asked = Vec::new();
            for _ in 0..30 {
                let Some((_, write)) = self.write(&plan, false) else { return Ok(()) };
                let command = self.command(&write);
                asked.push((self.devices[device].submit(command).await, write));
            }
            for (id, write) in asked {
                let judged = self.judge(&write);
                let reply = self.devices[device].reply(id).await?;
                self.answered(write, judged, &reply)?;
            }
        }
        Ok(())
    }

    /// Everything comes to rest, is compared, and ends.
    pub(crate) async fn end(mut self) -> Result<(), Broken> {
        self.settle().await?;
        self.devices.iter_mut().for_each(Device::cut);
        self.sessions_end().await;
        Ok(())
    }

    /// In the end everybody is back; whatever was done with a key is answered as before, and has no other
    /// effect.
    async fn settle(&mut self) -> Result<(), Broken> {
        for device in 0..DEVICES {
            self.connect(device).await?;
        }
        self.check().await?;
        for done in self.done.clone() {
            let device = self.device_of(done.write.user);
            self.repeat(&done, device).await?;
        }
        for (user, open, room) in self.opened.clone() {
            let device = self.device_of(user);
            let reply = self.devices[device].ask(open).await?;
            let room = &self.rooms[room];
            // Of a private room, whoever has left it hears nothing.
            let fits = match code(&reply) {
                Some(code) => !room.has(user) && room.no_member(user) == code,
                None => reply["ok"]["room"]["id"] == json!(room.id),
            };
            if !fits {
                return Err(format!("{room:?} is opened again: {reply}"));
            }
        }
        self.check().await
    }
}
