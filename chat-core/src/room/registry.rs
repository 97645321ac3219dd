//! Which rooms are live. An exact map: however many ask at once, a room is loaded once and has one
//! owner, and it may stop only while nobody holds it and nothing is on its way to it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::dev::ToEnvelope;
use actix::prelude::{Actor, Addr, Handler, Message};
use actix_rt::ArbiterHandle;

use crate::capacity::shrink_map;
use crate::command::RoomCommand;
use crate::deliver::ReplyTo;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ids::{ConnectionId, RoomId};
use crate::model::{Counts, NewRoom, RoomInfo, RoomView, User, With};
use crate::room::{Ask, Asker, Look, RoomActor};
use crate::shared::{Shared, unavailable};
use crate::store::Store;

/// A live room, held: whoever holds it keeps the room loaded. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RoomRef(Arc<Entry>);

struct Entry {
    address: Addr<RoomActor>,
    live: Arc<Live>,
}

/// What everybody may read of a live room without asking it.
#[derive(Debug)]
pub(crate) struct Live {
    /// Commands in the room's mailbox.
    queued: AtomicUsize,
    /// Members and, in the lower half, those of them that are present: one number, so that they are of one moment.
    counts: AtomicU64,
}

/// What [`Live`] has for counts while the room is being loaded.
const NOT_COUNTED: u64 = u64::MAX;

impl Default for Live {
    fn default() -> Self {
        Self { queued: AtomicUsize::default(), counts: AtomicU64::new(NOT_COUNTED) }
    }
}

/// A command on its way to a room: counted until it is dropped, and holding the room.
pub(crate) struct Queued(RoomRef);

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.0.live.queued.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    /// Publishes the room's counts.
    pub(crate) fn publish(&self, counts: Counts) {
        let half = |count| u64::from(u32::try_from(count).unwrap_or(u32::MAX - 1));
        self.counts.store(half(counts.members) << 32 | half(counts.online), Ordering::Relaxed);
    }

    fn counts(&self) -> Option<Counts> {
        let both = Some(self.counts.load(Ordering::Relaxed)).filter(|both| *both != NOT_COUNTED)?;
        let half = |count: u64| usize::try_from(count & u64::from(u32::MAX)).unwrap_or(usize::MAX);
        Some(Counts { members: half(both >> 32), online: half(both) })
    }
}

impl RoomRef {
    /// Sends the room a command, or answers it if the room's mailbox is full or the engine is
    /// stopping. Answers whether it was sent.
    pub(crate) fn ask(
        &self,
        shared: &Shared,
        asker: Asker,
        command: RoomCommand,
        reply: ReplyTo,
    ) -> bool {
        let refuse = |reply: ReplyTo, error| reply.answer(shared.clock.elapsed(), Err(error));
        if let Err(error) = shared.running() {
            refuse(reply, error);
            return false;
        }
        let queued = Queued(self.clone());
        if self.0.live.queued.fetch_add(1, Ordering::Relaxed) >= shared.limits.room_mailbox {
            refuse(reply, Error::busy());
            return false;
        }
        self.0.address.do_send(Ask { asker, command, reply, queued });
        true
    }

    /// Whether the room still takes commands.
    pub(crate) fn is_alive(&self) -> bool {
        self.0.address.connected()
    }

    /// Tells the room something that needs no answer.
    pub(crate) fn tell<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        RoomActor: Handler<M>,
        <RoomActor as Actor>::Context: ToEnvelope<RoomActor, M>,
    {
        self.0.address.do_send(message);
    }
}

/// A room that somebody has opened.
pub(crate) enum Opened {
    /// Just now.
    New(RoomView),
    /// Before: the direct room of its two members, or with the same key.
    Before(RoomId),
}

/// The live rooms of an engine.
pub(crate) struct Rooms {
    pub(crate) shared: Arc<Shared>,
    live: Mutex<HashMap<RoomId, RoomRef>>,
}

impl Rooms {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, live: Mutex::default() }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<RoomId, RoomRef>> {
        // Nothing that runs under the lock leaves the map half-changed.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A room, loaded if it is not live. Rooms spread over the threads by id.
    pub(crate) fn get(self: &Arc<Self>, id: RoomId) -> RoomRef {
        let mut live = self.live();
        // Only a fault of ours ends a room that is on the map.
        if live.get(&id).is_some_and(|room| !room.is_alive()) {
            live.remove(&id);
        }
        let room = live.entry(id).or_insert_with(|| {
            let live = Arc::<Live>::default();
            let room = RoomActor::new(Arc::clone(self), id, Arc::clone(&live));
            let address = RoomActor::start_in_arbiter(self.thread(id), |_| room);
            RoomRef(Arc::new(Entry { address, live }))
        });
        room.clone()
    }

    /// The thread of a room.
    pub(crate) fn thread(&self, id: RoomId) -> &ArbiterHandle {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        self.shared.thread(usize::try_from(hasher.finish() >> 33).unwrap_or_default())
    }

    /// Loads a room, and waits until it is.
    pub(crate) async fn load(self: &Arc<Self>, id: RoomId) -> Result<()> {
        let room = self.get(id);
        room.0.address.send(Look).await.unwrap_or_else(|_| Err(Error::stopping()))
    }

    /// Opens a room, or finds the direct room that is there already; `by` is the connection that has
    /// asked for it, if one has. To be called by
    /// [`Shared::run`], which goes on to the end even if nobody waits for it any more, so that no
    /// room is left behind of which nobody knows.
    pub(crate) async fn open(
        self: &Arc<Self>,
        user: &User,
        new: &NewRoom,
        by: Option<ConnectionId>,
    ) -> Result<Opened> {
        let members = new.members(user)?;
        let key = new.once();
        let NewRoom { title, kind, ephemeral, with, .. } = new.clone();
        let (id, created) = (RoomId::new(), self.shared.clock.now());
        let info = RoomInfo { id, title, kind, ephemeral, created, parent: None };
        let opened = self.shared.store.create_room(&info, &members, key.as_ref()).await;
        if ephemeral {
            // Loaded, so that it begins to wait for its first member; also if nobody knows whether
            // it is there.
            self.get(id);
        }
        let there = opened.map_err(unavailable("open a room"))?.ok_or_else(Error::key_conflict)?;
        if there != id {
            return Ok(Opened::Before(there));
        }
        let Shared { connections, clock, .. } = &*self.shared;
        if let Some(With::User(with)) = with {
            let event = Event::Invited { room: info.clone() };
            connections.tell(with.id, &event, clock.elapsed());
        }
        connections.tell_opened(user.id, by, &info, clock.elapsed());
        let counts = Counts { members: members.len(), online: 0 };
        Ok(Opened::New(RoomView { info, counts }))
    }

    /// Takes a room, which calls this itself, off the map if nobody but the map holds it. Everybody
    /// else gets hold of it under this lock, so nothing can be on its way to it afterwards.
    pub(crate) fn retire(&self, id: RoomId) -> bool {
        let mut rooms = self.live();
        let unheld = rooms.get(&id).is_none_or(|RoomRef(entry)| Arc::strong_count(entry) == 1);
        if unheld {
            rooms.remove(&id);
            shrink_map(&mut rooms);
        }
        unheld
    }

    /// Those of these rooms that are live, held.
    pub(crate) fn live_of(&self, ids: impl IntoIterator<Item = RoomId>) -> Vec<RoomRef> {
        let live = self.live();
        ids.into_iter().filter_map(|id| live.get(&id).cloned()).collect()
    }

    /// The rooms that are live.
    pub(crate) fn live_ids(&self) -> Vec<RoomId> {
        self.live().keys().copied().collect()
    }

    /// A room, if it is live.
    pub(crate) fn live_room(&self, id: RoomId) -> Option<RoomRef> {
        self.live().get(&id).cloned()
    }

    /// A live room's counts, once it has been loaded.
    pub(crate) fn counts(&self, id: RoomId) -> Option<Counts> {
        self.live().get(&id).and_then(|room| room.0.live.counts())
    }

    /// How many rooms are live.
    pub(crate) fn len(&self) -> usize {
        self.live().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_that_have_gone_leave_no_memory_behind() {
        actix_rt::System::new().block_on(async {
            let rooms = Arc::new(Rooms::new(Shared::on_this_thread()));
            for _ in 0..1_000 {
                rooms.get(RoomId::new());
            }
            assert!(rooms.live().capacity() >= 1_000);
            while rooms.len() > 0 {
                tokio::task::yield_now().await;
            }
            assert!(rooms.live().capacity() < 100);
        });
    }
}
