//! What clients hear, and how they are answered.

use std::sync::Arc;

use chat_core::testkit::{Broken, View};
use chat_core::{After, ChangeKind, Code, Error, Event, MemberQuery, Reply, RoomCommand, RoomId};
use futures_util::{FutureExt, StreamExt};

use super::super::client::{Asked, Client, Frame};
use super::super::steps::CLIENTS;
use super::World;

/// Whether a thread may ever be refused like this. A thread has none.
fn may_be_refused(code: Code, on_thread: bool) -> bool {
    let passing =
        matches!(code, Code::Unavailable | Code::Stopping | Code::Busy | Code::NoSuchRoom);
    let no_member = matches!(code, Code::NotAMember | Code::Banned);
    let no_message = matches!(code, Code::NoSuchMessage | Code::MessageDeleted);
    let silence = matches!(code, Code::Muted | Code::ReadOnly);
    match on_thread {
        true => passing || code == Code::BadRequest,
        false => passing || no_member || no_message || silence,
    }
}

impl World {
    /// Takes what waits for a client. Answers whether there was anything.
    pub(super) fn read(&mut self, client: usize) -> Result<bool, Broken> {
        let mut any = false;
        loop {
            let Some((_, inbox)) = &mut self.clients[client].line else { return Ok(any) };
            match inbox.next().now_or_never() {
                None => return Ok(any),
                Some(None) => {
                    self.disconnect(client);
                    return Ok(true);
                }
                Some(Some(frame)) => {
                    any = true;
                    let said = format!("client {client} gets {frame:?}");
                    self.take(client, frame).map_err(|broken| format!("{broken}; {said}"))?;
                }
            }
        }
    }

    fn take(&mut self, client: usize, frame: Frame) -> Result<(), Broken> {
        match frame {
            Frame::Event(event) => self.hear(client, &event),
            Frame::Reply(tag, result) => {
                let asked = self.clients[client].asked.remove(&tag);
                let asked = asked.ok_or_else(|| format!("a second reply to {tag}"))?;
                self.answered(client, asked, &result)
            }
        }
    }

    fn hear(&mut self, client: usize, event: &Event) -> Result<(), Broken> {
        let Client { views, resuming, .. } = &mut self.clients[client];
        if let Event::Resumed { room, result } = event {
            let after = resuming.remove(room).ok_or("resumed without having asked")?;
            return match result {
                Ok(joined) => self.entered(client, *room, after, joined),
                Err(_) => Ok(()),
            };
        }
        views.values_mut().try_for_each(|view| view.heard(event))?;
        self.may_hear(client, event)?;
        if let Event::Behind { room, .. } = event {
            self.join(client, *room, false);
        }
        Ok(())
    }

    /// Whoever has heard that it is a member no more hears nothing of the room's threads, unless it has come back.
    fn may_hear(&mut self, client: usize, event: &Event) -> Result<(), Broken> {
        let Client { user, ended, .. } = &mut self.clients[client];
        let (Event::Message { room, .. }
        | Event::Change { room, .. }
        | Event::Presence { room, .. }
        | Event::Summary { room, .. }
        | Event::Receipts { room, .. }
        | Event::Read { room, .. }
        | Event::Typing { room, .. }) = event
        else {
            return Ok(());
        };
        let me = user.id;
        if let Event::Change { change, .. } = event
            && change.kind.ends_membership()
            && change.kind.membership().user.id == me
        {
            ended.insert(*room, change.cursor.change);
        }
        let Some(parent) = self.threads.get(room) else { return Ok(()) };
        let Some(end) = self.clients[client].ended.get(&parent.room) else { return Ok(()) };
        let Some(stored) = self.stored(parent.room) else { return Ok(()) };
        let back = stored.changes[*end as usize..].iter().any(|change| match &change.kind {
            ChangeKind::Joined(membership) => membership.user.id == me,
            _ => false,
        });
        if back { Ok(()) } else { Err("it has gone from the room that this thread is in".into()) }
    }

    fn entered(
        &mut self,
        client: usize,
        room: RoomId,
        after: After,
        joined: &chat_core::Joined,
    ) -> Result<(), Broken> {
        let big = self.limits.big_room < CLIENTS;
        let Client { views, user, .. } = &mut self.clients[client];
        let view = views.entry(room).or_insert_with(|| {
            let view = View::new(room, user.id);
            if big { view.big() } else { view }
        });
        view.joined(after, joined)?;
        self.ask_for_more(client, room);
        Ok(())
    }

    /// Asks for the members and messages that a client knows it does not know.
    fn ask_for_more(&mut self, client: usize, room: RoomId) {
        let Some(view) = self.clients[client].views.get(&room) else { return };
        if let Some(after) = view.next_members() {
            let query = MemberQuery { after, limit: 2, online: false };
            self.ask_room(client, Asked::Members(room), room, RoomCommand::Members(query));
        } else if let Some(query) = view.missing() {
            self.ask_room(client, Asked::History(room), room, RoomCommand::History(query));
        }
    }

    fn answered(
        &mut self,
        client: usize,
        asked: Asked,
        result: &Result<Arc<Reply>, Error>,
    ) -> Result<(), Broken> {
        match (asked, result.as_ref().map(|reply| &**reply)) {
            (Asked::Room, Ok(Reply::Room(view))) => self.rooms.push(view.info.id),
            (Asked::Thread(parent), Ok(Reply::Room(view))) => {
                if view.info.parent != Some(parent) {
                    return Err(format!("the thread on {parent:?} is {:?}", view.info));
                }
                self.note_thread(parent, view.info.id)?;
                self.join(client, view.info.id, false);
            }
            (Asked::Thread(parent), Err(error))
                if !may_be_refused(error.code(), self.threads.contains_key(&parent.room)) =>
            {
                return Err(format!("the thread on {parent:?} is refused: {error:?}"));
            }
            (Asked::Join(room, after), Ok(Reply::Joined(joined))) => {
                return self.entered(client, room, after, joined);
            }
            (Asked::Members(room), Ok(Reply::Members(page))) => {
                if let Some(view) = self.clients[client].views.get_mut(&room) {
                    view.members(page)?;
                }
                self.ask_for_more(client, room);
            }
            (Asked::History(room), Ok(Reply::History(history))) => {
                if let Some(view) = self.clients[client].views.get_mut(&room) {
                    view.paged(history)?;
                }
                self.ask_for_more(client, room);
            }
            (Asked::HaveRead(room, seq, _), Ok(Reply::Read(position))) => {
                if position.seq < seq {
                    return Err(format!("{seq} has been read, the answer is {position:?}"));
                }
                if let Some(view) = self.clients[client].views.get_mut(&room) {
                    view.read_up_to(position)?;
                }
            }
            // Whoever has heard of a message has read it, if it says so.
            (Asked::HaveRead(_, seq, heard), Err(error))
                if error.code() == Code::NoSuchMessage && seq <= heard =>
            {
                return Err(format!("{seq} was heard, and is not there: {error:?}"));
            }
            (Asked::Write(write, expect), result) => return self.written(write, expect, result),
            (Asked::Room | Asked::Join(..) | Asked::Members(_) | Asked::History(_), Err(_))
            | (Asked::HaveRead(..) | Asked::Thread(_), Err(_))
            | (Asked::Resume | Asked::Other, _) => {}
            (asked, result) => return Err(format!("{asked:?} was answered {result:?}")),
        }
        Ok(())
    }
}
