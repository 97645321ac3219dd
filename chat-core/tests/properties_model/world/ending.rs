//! How everything comes to rest, and what is compared then.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chat_core::testkit::Broken;
use chat_core::{Clock, Code, MemberQuery, Message, OwnRoomQuery, Parent, RoomId, Standing, Store};
use futures_util::FutureExt;

use super::super::client::Client;
use super::super::steps::{CLIENTS, USERS};
use super::super::writes::{Expect, Seen};
use super::World;

/// How often it is looked whether everything rests.
const ROUNDS: usize = 5_000;

impl World {
    /// Lets everything come to rest, and compares.
    pub(crate) async fn end(mut self) -> Result<(), Broken> {
        self.settle().await?;
        self.check()?;
        self.check_access().await?;
        self.check_own_rooms().await?;
        self.running.engine.stop().await;
        Ok(())
    }

    /// The store works again, everybody is connected and reads, and what nobody was sure of is asked
    /// again.
    async fn settle(&mut self) -> Result<(), Broken> {
        self.release();
        self.find_threads()?;
        self.running.faults.fail_commits(0);
        self.running.faults.lose_answers(0);
        (0..CLIENTS).for_each(|client| self.connect(client));
        for write in std::mem::take(&mut self.unsure) {
            let expect = self.expect(&write);
            self.ask_surely(write, expect).await?;
        }
        self.quieten().await?;
        self.ask_all_again().await
    }

    /// Whether all is done that was asked by connections that have been dropped since: nobody is told of it, but
    /// it may still be on its way to a room, or from there to the store.
    async fn is_drained(&self) -> bool {
        for room in &self.rooms {
            // Stands behind whatever has been asked of the room.
            self.running.engine.room(*room).view(&self.clients[0].user).await.ok();
        }
        let stats = self.running.engine.stats();
        let connected = self.clients.iter().filter(|client| client.line.is_some()).count();
        stats.sessions == connected && stats.waiting_writes == 0
    }

    /// Lets everybody hear everything.
    async fn quieten(&mut self) -> Result<(), Broken> {
        let (mut still, mut left) = (0, Ok(()));
        for round in 1..ROUNDS {
            if round % 20 == 0 {
                // What is told by a summary, or read again because it failed, waits for the clock.
                self.clock.advance(Duration::from_secs(1));
            }
            let mut quiet = true;
            for client in 0..CLIENTS {
                quiet &= !self.read(client)? && self.clients[client].asked.is_empty();
            }
            self.find_threads()?;
            // Also loads threads: then those go whose parent's room they have left meanwhile.
            let drained = quiet && self.is_drained().await;
            left = self.is_complete();
            // A room may look something up between two of its writes.
            still = if drained && left.is_ok() { still + 1 } else { 0 };
            if still == 3 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let asked = self.clients.iter().map(|client| &client.asked).collect::<Vec<_>>();
        Err(format!("it never comes to rest: {left:?}, and {asked:?} wait for answers"))
    }

    /// Whatever was done with a key is answered as before, and nothing else is done with that key.
    async fn ask_all_again(&mut self) -> Result<(), Broken> {
        let before = self.ends();
        let keyed: Vec<_> = self.writes.keyed().cloned().collect();
        for (what, write) in (0..3).cycle().zip(keyed) {
            if let Expect::AsBefore = self.expect(&write) {
                let (other, conflict) = self.writes.clash(&write, what);
                self.ask_surely(other, conflict).await?;
                self.ask_surely(write, Expect::AsBefore).await?;
            }
        }
        let after = self.ends();
        if before == after {
            return Ok(());
        }
        Err(format!("what was done before is done again: {before:?} is now {after:?}"))
    }

    /// Where the rooms stand that nobody is taken out of because it is away.
    fn ends(&self) -> Vec<chat_core::Cursor> {
        let rooms = self.rooms.iter().filter(|room| !self.may_end(**room));
        rooms.filter_map(|room| self.stored(*room)).map(|room| room.end).collect()
    }

    /// Whether rooms are as they should be, and every client that hears one has heard all of it.
    fn is_complete(&self) -> Result<(), Broken> {
        self.rooms.iter().try_for_each(|room| self.has_settled(*room))?;
        self.clients.iter().try_for_each(|client| self.has_heard(client))
    }

    /// Whether a room knows what its threads have come to, and has nobody who is no member of its parent's room.
    fn has_settled(&self, room: RoomId) -> Result<(), Broken> {
        let Some(stored) = self.stored(room) else { return Ok(()) };
        if !stored.untold.is_empty() {
            return Err(format!("{:?} have not told {room} all", stored.untold));
        }
        let Some(parent) = self.threads.get(&room) else { return Ok(()) };
        let members = self.stored(parent.room).map_or(Vec::new(), |parent| parent.members);
        let belongs = |user| members.iter().any(|member| member.user.id == user);
        match stored.members.iter().find(|member| !belongs(member.user.id)) {
            Some(member) => Err(format!("{member:?} follows the thread {room} still")),
            None => Ok(()),
        }
    }

    fn has_heard(&self, client: &Client) -> Result<(), Broken> {
        let (big, user) = (self.limits.big_room < CLIENTS, client.user.id);
        for (room, view) in client.views.iter().filter(|(_, view)| view.hears()) {
            // In a big room nothing but the messages says whether all changes of these were heard, and
            // nothing but the members whether it is still to hear of its own end.
            // What was read and is not known to be kept is kept behind all that was heard.
            let is_complete = self.stored(*room).is_some_and(|stored| {
                let is_member = stored.members.iter().any(|member| member.user.id == user);
                is_member
                    && view.has_heard(stored.end)
                    && (!big || view.compare(&stored).is_ok())
                    && view.has_read(&stored)
            });
            if !is_complete {
                let stored = self.stored(*room).map(|stored| (stored.end, stored.members));
                return Err(format!("{user} has heard {view:?}, the room is {stored:?}"));
            }
        }
        Ok(())
    }

    /// What the engine says of everybody's rooms, most of which are live, is what the store counts.
    async fn check_own_rooms(&self) -> Result<(), Broken> {
        for client in &self.clients {
            let user = &client.user;
            let own = self.running.engine.own_rooms(user, OwnRoomQuery::default()).await;
            let own = own.map_err(|error| format!("the rooms of {user:?}: {error:?}"))?.rooms;
            let ids: Vec<_> = own.iter().map(|standing| standing.room.info.id).collect();
            let counted = self.store.standings(user.id, &ids).now_or_never();
            let counted = counted.expect("memory does not wait").expect("it answers");
            let mut active =
                self.store.active_rooms(user.id, &OwnRoomQuery::default()).now_or_never();
            let active = active.take().expect("memory does not wait").expect("it answers");
            if !active.iter().map(|active| active.room).eq(ids) {
                return Err(format!("{own:?} are in another order than {active:?}"));
            }
            for (own, counted) in own.into_iter().zip(counted) {
                let counted = Standing { room: own.room.clone(), ..counted };
                if own != counted {
                    return Err(format!("{own:?} is what the store counts as {counted:?}"));
                }
            }
        }
        Ok(())
    }

    /// What a message says that its thread has come to is what plain rules make of that one.
    fn check_thread(&self, room: RoomId, message: &Message) -> Result<(), Broken> {
        let parent = Parent { room, seq: message.seq };
        let thread = self.threads.iter().find(|(_, on)| **on == parent).map(|(thread, _)| *thread);
        let stored = thread.and_then(|thread| self.stored(thread));
        let come_to = match &stored {
            Some(stored) => Some((stored.info.id, self.plain(stored)?.come_to())),
            None => None,
        };
        let shown = message.thread.as_ref().map(|thread| {
            let last = thread.last.as_ref().map(|last| (last.seq, last.from.id, last.at));
            (thread.room, (thread.replies, last))
        });
        if shown == come_to {
            return Ok(());
        }
        Err(format!("the thread on {parent:?} has come to {come_to:?}, shown is {shown:?}"))
    }

    /// Whoever may read a room can, as what it is by the rules, and nobody else.
    async fn check_access(&self) -> Result<(), Broken> {
        let now = self.clock.now();
        for stored in self.rooms.iter().filter_map(|room| self.stored(*room)) {
            let (plain, room) = (self.plain(&stored)?, self.running.engine.room(stored.info.id));
            for Client { user, .. } in &self.clients {
                let query = MemberQuery { after: None, limit: USERS, online: false };
                let page = room.members(user, query).await.map_err(|error| error.code());
                let members = page.map(|page| {
                    let members = page.members.iter().map(|one| &one.membership);
                    members.map(|one| (one.user.id, one.role)).collect::<BTreeMap<_, _>>()
                });
                let expected = plain.reads_as(user.id, now).map(|_| plain.members());
                let gone = members == Err(Code::NoSuchRoom) && self.may_end(stored.info.id);
                if members != expected && !gone {
                    return Err(format!(
                        "{user:?} finds {members:?} in {:?}, where {expected:?} was expected",
                        stored.info
                    ));
                }
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Broken> {
        let stored = self.rooms.iter().map(|room| (*room, self.stored(*room)));
        let stored: HashMap<_, _> = stored.collect();
        for client in &self.clients {
            for (room, view) in client.views.iter().filter(|(_, view)| view.hears()) {
                let stored = stored[room].as_ref().ok_or("a room is heard that does not exist")?;
                view.compare(stored)?;
            }
        }
        let mut seen = Seen::default();
        for stored in stored.values().flatten() {
            let seqs = stored.messages.iter().map(|message| message.seq);
            if !seqs.eq(1..=stored.end.seq) {
                return Err(format!("the numbers of a room have a gap: {:?}", stored.messages));
            }
            let room = self.plain(stored)?;
            room.compare_members(stored)?;
            for message in &stored.messages {
                let revisions = self.store.revisions(stored.key, message.seq).now_or_never();
                let revisions = revisions.expect("memory does not wait").expect("it answers");
                room.compare(message, &revisions)?;
                self.check_thread(stored.info.id, message)?;
                self.writes.compare(stored.info.id, message, &revisions, &mut seen)?;
            }
            self.writes.compare_marks(stored)?;
            self.writes.compare_amendments(stored, &room, &mut seen)?;
        }
        self.writes.compare_done(&stored, &seen)
    }
}
