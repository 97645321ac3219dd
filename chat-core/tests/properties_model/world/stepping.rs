//! How each step is done.

use std::time::Duration;

use chat_core::testkit::{Broken, View};
use chat_core::{
    Clock, Code, Command, Error, LoadedRoom, NewRoom, Parent, Presence, Role, RoomCommand, RoomId,
    UserId,
};

use proptest::sample::Index;

use super::super::client::Asked;
use super::super::steps::{CLIENTS, Step};
use super::super::writes::{Deed, Expect, MARKS, moderation};
use super::{TRIES, World};

fn author(room: &LoadedRoom, seq: u64) -> Option<UserId> {
    let message = room.messages.iter().find(|message| message.seq == seq);
    message.map(|message| message.from.id)
}

fn with_role(room: &LoadedRoom, role: Role) -> Option<UserId> {
    let member = room.members.iter().find(|member| member.role == role);
    member.map(|member| member.user.id)
}

impl World {
    pub(crate) async fn step(&mut self, step: Step) -> Result<(), Broken> {
        let rooms = self.rooms.clone();
        // The chosen room, if there is any yet.
        let pick = |index: Index| {
            let room = (!rooms.is_empty()).then(|| *index.get(&rooms));
            room.into_iter()
        };
        match step {
            Step::Open { client, kind, with } => {
                let title = format!("room {}", self.rooms.len());
                let new = match kind {
                    0 => NewRoom::open(title),
                    1 => NewRoom::private(title),
                    2 => NewRoom::open(title).map(NewRoom::ephemeral),
                    _ => Ok(NewRoom::direct(self.clients[with].user.clone())),
                };
                self.submit(client, Asked::Room, Command::Open(new.expect("a good title")));
            }
            Step::Join { client, room, afresh } => {
                pick(room).for_each(|room| self.join(client, room, afresh));
            }
            Step::Leave { client, room, keyed } => {
                pick(room).for_each(|room| self.do_new(client, room, Deed::Leave, keyed));
            }
            Step::Send { client, room, keyed } => {
                pick(room).for_each(|room| self.send(client, room, keyed));
            }
            Step::Burst { client, room, count } => {
                for room in pick(room) {
                    (0..count).for_each(|_| self.send(client, room, false));
                }
            }
            Step::Invite { client, room, guest, keyed } => {
                let invite = Deed::Invite(self.clients[guest].user.clone());
                pick(room).for_each(|room| self.do_new(client, room, invite.clone(), keyed));
            }
            Step::Moderate { client, room, user, act, by_owner, keyed } => {
                let user = self.clients[user].user.id;
                let act = Deed::Moderate(moderation(act, user, self.clock.now()));
                for room in pick(room) {
                    // Order is kept in the room that a thread is in.
                    let parent = self.threads.get(&room).filter(|_| by_owner);
                    let room = parent.map_or(room, |parent| parent.room);
                    let owner = self.client_of(room, |room| with_role(room, Role::Owner));
                    let owner = owner.filter(|_| by_owner);
                    self.do_new(owner.unwrap_or(client), room, act.clone(), keyed);
                }
            }
            Step::Amend { client, room, seq, delete, keyed, by, calmly } => {
                for room in pick(room) {
                    let seq = self.some_seq(room, seq);
                    let by = self.client_of(room, |room| match by {
                        0 | 1 => author(room, seq),
                        2 => with_role(room, Role::Moderator),
                        _ => None,
                    });
                    let client = by.unwrap_or(client);
                    let text = self.writes.text();
                    let deed = if delete { Deed::Delete(seq) } else { Deed::Edit(seq, text) };
                    if calmly {
                        self.amend_calmly(client, room, deed, keyed).await?;
                    } else {
                        self.do_new(client, room, deed, keyed);
                    }
                }
            }
            Step::Mark { client, room, seq, mark, on, keyed } => {
                for room in pick(room) {
                    let mark = Deed::Mark(self.some_seq(room, seq), MARKS[mark], on);
                    self.do_new(client, room, mark, keyed);
                }
            }
            Step::Thread { client, room, seq, crowd, calmly } => {
                for room in pick(room) {
                    let seq = self.some_seq(room, seq);
                    if calmly {
                        self.open_calmly(client, Parent { room, seq }).await?;
                    }
                    let clients = if crowd { 0..CLIENTS } else { client..client + 1 };
                    for client in clients {
                        let asked = Asked::Thread(Parent { room, seq });
                        self.ask_room(client, asked, room, RoomCommand::Thread { seq });
                    }
                }
            }
            Step::Repeat { write, device } => {
                let write = self.pick_keyed(write, |_| true);
                write.into_iter().for_each(|write| self.repeat(write, device));
            }
            Step::Clash { write, what } => {
                self.rest().await?;
                let done = |expect| matches!(expect, Expect::AsBefore);
                if let Some(first) = self.pick_keyed(write, done) {
                    let (write, expect) = self.writes.clash(&first, what);
                    self.ask_surely(write, expect).await?;
                }
            }
            Step::Typing { client, room } => {
                for room in pick(room) {
                    self.ask_room(client, Asked::Other, room, RoomCommand::Typing(true));
                }
            }
            Step::HaveRead { client, room, seq } => {
                for room in pick(room) {
                    let seq = self.some_seq(room, seq);
                    let view = self.clients[client].views.get(&room);
                    let heard = view.and_then(View::cursor).unwrap_or_default().seq;
                    let asked = Asked::HaveRead(room, seq, heard);
                    self.ask_room(client, asked, room, RoomCommand::Read { seq });
                }
            }
            Step::Away { client, away } => {
                let presence = if away { Presence::Away } else { Presence::Online };
                self.submit(client, Asked::Other, Command::Presence(presence));
            }
            Step::Read { client } => _ = self.read(client)?,
            Step::Disconnect { client } => self.disconnect(client),
            Step::Hold { reads, commits } => {
                self.running.faults.hold_reads(reads);
                self.running.faults.hold_commits(commits);
            }
            Step::FailCommits(count) => self.running.faults.fail_commits(count),
            Step::LoseAnswers(count) => self.running.faults.lose_answers(count),
            Step::Pass(seconds) => self.clock.advance(Duration::from_secs(seconds)),
            Step::Rest => self.rest().await?,
            Step::Restart => self.restart(false).await?,
            Step::Crash => self.restart(true).await?,
        }
        Ok(())
    }

    /// The number of one of a room's messages, or of one before or behind them all.
    fn some_seq(&self, room: RoomId, index: Index) -> u64 {
        let end = self.stored(room).map_or(0, |room| room.end.seq);
        index.index(end as usize + 2) as u64
    }

    /// Edits or deletes a message while everything rests: what comes of it is what the rules say.
    async fn amend_calmly(
        &mut self,
        client: usize,
        room: RoomId,
        deed: Deed,
        keyed: bool,
    ) -> Result<(), Broken> {
        self.rest().await?;
        let write = self.writes.add(&self.clients[client].user, room, deed, keyed);
        let mut said = String::new();
        for _ in 0..TRIES {
            let Some(stored) = self.stored(write.room) else { return Ok(()) };
            let expect = self.expect(&write);
            let room = self.plain(&stored)?;
            let judged = room.judge(write.user.id, &write.deed, self.clock.now());
            let expected = if let Expect::AsBefore = expect { Ok(()) } else { judged };
            let result = self.ask_at_once(&write, expect).await;
            let actual = result.as_ref().map(|_| ()).map_err(Error::code);
            self.written(write.clone(), expect, result.as_ref())?;
            if actual == expected || actual == Err(Code::NoSuchRoom) && self.may_end(write.room) {
                return Ok(());
            }
            said = format!("{write:?} was answered {actual:?}, where {expected:?} was expected");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(said)
    }

    /// Opens a thread while everything rests: what comes of it is what the rules say.
    async fn open_calmly(&mut self, client: usize, parent: Parent) -> Result<(), Broken> {
        self.rest().await?;
        let user = self.clients[client].user.clone();
        let mut said = String::new();
        for _ in 0..TRIES {
            let Some(stored) = self.stored(parent.room) else { return Ok(()) };
            let plain = self.plain(&stored)?;
            // What the room has been told: until then the thread is as good as new.
            let message = stored.messages.iter().find(|message| message.seq == parent.seq);
            let has_thread = message.is_some_and(|message| message.thread.is_some());
            let expected = plain.judge_thread(user.id, parent.seq, has_thread, self.clock.now());
            let opened = self.running.engine.room(parent.room).open_thread(&user, parent.seq).await;
            let actual = opened.as_ref().map(|_| ()).map_err(Error::code);
            if let Ok(view) = opened {
                self.note_thread(parent, view.info.id)?;
            }
            if actual == expected || actual == Err(Code::NoSuchRoom) && self.may_end(parent.room) {
                return Ok(());
            }
            said =
                format!("the thread on {parent:?} was {actual:?}, where {expected:?} was expected");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(said)
    }
}
