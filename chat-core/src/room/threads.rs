//! What a room does about the threads on its messages: it opens them, lets them know who may do what
//! ([`Access`]), and shows with each message what its thread has come to. Threads tell it that; what they tell
//! is gathered, as marks are, and written as one change of each message at most every
//! [`Limits::marks_every`](crate::Limits::marks_every).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix::WeakRecipient;
use actix::prelude::{Context, Message as ActorMessage};
use tokio::sync::oneshot;

use crate::command::{self, Reply, RoomCommand, ThreadPage, ThreadQuery};
use crate::deliver::ReplyTo;
use crate::error::{Code, Error, Result};
use crate::ids::{RoomId, UserId};
use crate::limits;
use crate::model::{Change, Kind, Message, Parent, ReadPosition, RoomInfo, Thread, User};
use crate::page;
use crate::room::access::{Access, Ended, Standing};
use crate::room::writes::{UnderWay, What};
use crate::room::{AGAIN, Asker, Hosted, RoomActor};
use crate::roster::newcomer;
use crate::shared::unavailable;
use crate::store::Store;

/// Up to so many threads are noted before those are dropped that live no more.
const FEW: usize = 64;

/// A thread lives, and asks its parent's room who may do what.
#[derive(ActorMessage)]
#[rtype(result = "()")]
pub(crate) struct Adopt {
    pub(super) thread: RoomId,
    /// Weak: the thread holds the room, and not the other way.
    pub(super) address: WeakRecipient<FromParent>,
    pub(super) answer: oneshot::Sender<Result<Arc<Access>>>,
}

/// What a room says to its live threads.
#[derive(Clone, Copy, ActorMessage)]
#[rtype(result = "()")]
pub(crate) enum FromParent {
    /// Somebody is a member no longer.
    Ended,
    /// The room is gone.
    Gone,
}

/// What a thread says to its parent's room.
#[derive(ActorMessage)]
#[rtype(result = "()")]
pub(crate) struct News {
    /// The message that it is on.
    pub(super) seq: u64,
    /// What it has come to.
    pub(super) thread: Thread,
    /// By whom.
    pub(super) by: User,
}

/// A thread has a follower whom its parent's room does not know. Another process may have let it into both:
/// answered when the room has read since what the store has of it.
#[derive(ActorMessage)]
#[rtype(result = "()")]
pub(crate) struct Doubt(pub(super) oneshot::Sender<()>);

/// What a room knows of its threads.
#[derive(Default)]
pub(super) struct Threads {
    /// Who waits for the room to read what the store has of it; and who waits for what is being read.
    doubts: (Vec<oneshot::Sender<()>>, Vec<oneshot::Sender<()>>),
    live: HashMap<RoomId, WeakRecipient<FromParent>>,
    /// How many are noted when those are dropped that live no more.
    full: usize,
    /// Since there has been a thread that lives.
    access: Option<Arc<Access>>,
    /// What is to be written, by message. Of each thread there is one at most.
    news: BTreeMap<u64, News>,
    /// When the next may be written.
    next: Duration,
}

impl Threads {
    /// When news are to be written, if there are some.
    pub(super) fn due(&self) -> Option<Duration> {
        (!self.news.is_empty()).then_some(self.next)
    }

    /// Tells every thread that lives.
    pub(super) fn tell(&self, what: FromParent) {
        for thread in self.live.values().filter_map(WeakRecipient::upgrade) {
            thread.do_send(what);
        }
    }

    fn adopt(&mut self, thread: RoomId, address: WeakRecipient<FromParent>) {
        if self.live.len() >= self.full.max(FEW) {
            self.live.retain(|_, address| address.upgrade().is_some());
            self.full = 2 * self.live.len();
        }
        self.live.insert(thread, address);
    }
}

impl Hosted {
    /// Opens a thread, or finds the one that is there. What the store makes unique is one, however many ask.
    pub(super) fn open_thread(
        &mut self,
        asker: Asker,
        seq: u64,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        if self.info.kind == Kind::Thread {
            let message =
                "this room is a thread, and threads have none; answer the message by `reply_to`";
            return self.answer(reply, Err(Error::new(Code::BadRequest, message).field("room")));
        }
        let (user, connection) = (asker.user, asker.connection);
        let open = move |hosted: &mut Self, user: &User, message: &Message, reply: ReplyTo| {
            if let Err(error) = hosted.may_open_thread(user.id, message) {
                return hosted.answer(reply, Err(error));
            }
            let asker = Asker { user: user.clone(), connection, seat: None, away: false };
            let rooms = Arc::clone(&hosted.rooms);
            if let Some(thread) = &message.thread {
                _ = rooms.get(thread.room).ask(&rooms.shared, asker, RoomCommand::View, reply);
                return;
            }
            let info = RoomInfo {
                id: RoomId::new(),
                title: None,
                kind: Kind::Thread,
                ephemeral: false,
                created: hosted.shared.clock.now(),
                parent: Some(Parent { room: hosted.id, seq }),
            };
            let mut followers = vec![user.id, message.from.id];
            followers.dedup();
            let members = followers.into_iter().filter_map(|user| hosted.roster.membership(user));
            let members: Vec<_> = members.cloned().collect();
            let (by, access) = (asker.user.id, hosted.access());
            // The thread tells the room that it is there, as soon as it lives.
            actix_rt::spawn(async move {
                let shared = &rooms.shared;
                let opened = shared.store.create_room(&info, &members, None).await;
                let opened = opened.map_err(unavailable("open a thread"));
                match opened.and_then(|id| id.ok_or_else(Error::unavailable)) {
                    Ok(id) => {
                        // Whoever has found a thread that was there has been told before; and whoever has gone
                        // from the room meanwhile is told nothing of it any more.
                        let step = access.step();
                        let is_told = |user| id == info.id && access.role(user).is_some();
                        for member in members.iter().filter(|member| is_told(member.user.id)) {
                            let (user, now) = (member.user.id, shared.clock.elapsed());
                            let by = connection.filter(|_| user == by);
                            shared.connections.tell_opened(user, by, &info, now);
                        }
                        drop(step);
                        _ = rooms.get(id).ask(shared, asker, RoomCommand::View, reply);
                    }
                    Err(error) => reply.answer(shared.clock.elapsed(), Err(error)),
                }
            });
        };
        self.with_message(user, (seq, "seq"), reply, ctx, open);
    }

    /// Whether a member may open the thread on a message: a new one only where it may write.
    fn may_open_thread(&self, user: UserId, message: &Message) -> Result<()> {
        let Some(me) = self.roster.membership(user) else { return Err(self.not_a_member(user)) };
        if message.thread.is_some() {
            return Ok(());
        }
        if message.deleted || self.writes.is_deleting(message.seq) {
            return Err(Error::message_deleted());
        }
        self.may_write(me)
    }

    /// Reads a page of the room's threads, and how far whoever asks has read those that it follows.
    pub(super) fn threads(
        &mut self,
        user: UserId,
        mut query: ThreadQuery,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        if let Err(error) = self.may_read(user) {
            return self.answer(reply, Err(error));
        }
        let limit = query.limit.min(limits::PAGE);
        query.limit = limit + 1;
        let (store, key) = (Arc::clone(&self.shared.store), self.key);
        let read = async move {
            let mut threads = store.threads(key, &query).await?;
            let next = page::cut(&mut threads, limit, |last| last.place);
            let ids: Vec<_> = threads.iter().map(|one| one.thread.room).collect();
            let standings = match ids.is_empty() {
                true => Vec::new(),
                false => store.standings(user, &ids).await?,
            };
            let read = |one: command::Standing| {
                let position = ReadPosition { seq: one.read, unread: Some(one.unread) };
                (one.room.info.id, position)
            };
            let following = standings.into_iter().map(read).collect();
            Ok(ThreadPage { threads, following, next })
        };
        self.read(reply, ctx, read, move |hosted, read, reply, _| {
            let page = read.and_then(|page| {
                hosted.may_read(user)?;
                Ok(Reply::Threads(page))
            });
            hosted.answer(reply, page);
        });
    }

    /// A thread lives: from here on it is told who may do what.
    pub(super) fn adopt(
        &mut self,
        thread: RoomId,
        address: WeakRecipient<FromParent>,
    ) -> Arc<Access> {
        self.quiet_since = self.now();
        self.threads.adopt(thread, address);
        self.access()
    }

    /// Who may do what in the room, for its threads: kept up from here on.
    fn access(&mut self) -> Arc<Access> {
        let access = self.threads.access.get_or_insert_with(|| {
            let members = self.roster.memberships();
            let standing = Standing {
                roles: members.map(|member| (member.user.id, member.role)).collect(),
                ended: Ended::default(),
                mutes: self.mutes.clone(),
                settings: self.settings,
                unseen: self.roster.unseen().collect(),
            };
            Arc::new(Access::new(self.info.kind, standing))
        });
        Arc::clone(access)
    }

    /// Lets the threads know what a change means for them.
    pub(super) fn tell_threads(&mut self, change: &Change) {
        if let Some(access) = &self.threads.access
            && access.note(change, &self.mutes)
        {
            self.threads.tell(FromParent::Ended);
        }
    }

    /// Lets the threads know whether a member shows that it is there.
    pub(super) fn tell_threads_shown(&self, user: UserId, shown: bool) {
        if let Some(access) = &self.threads.access {
            access.show(user, shown);
        }
    }

    /// A thread is in doubt: the store is looked at as soon as nothing else is under way.
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        self.threads.doubts.0.push(doubt.0);
    }

    /// Sees to it that the store is looked at, if a thread is in doubt, or somebody knows what the room does not.
    pub(super) fn look_into_doubts(&mut self) {
        let ((doubts, doubted), (ahead, entering)) = (&mut self.threads.doubts, &mut self.ahead);
        let is_asked = !(doubts.is_empty() && ahead.is_empty());
        if self.writes.under_way == UnderWay::Nothing && is_asked {
            doubted.append(doubts);
            entering.append(ahead);
            self.writes.unsure.get_or_insert(self.now);
        }
    }

    /// The room has read what the store has of it: threads that have asked before know now.
    pub(super) fn end_doubts(&mut self) {
        for doubt in std::mem::take(&mut self.threads.doubts.1) {
            // A thread that does not wait any more has gone.
            doubt.send(()).ok();
        }
    }

    /// A thread has come to something else: it is gathered.
    pub(super) fn hear_of_thread(&mut self, news: News) {
        let known = self.timeline.find(news.seq).and_then(|message| message.thread.clone());
        if known.is_none_or(|known| known != news.thread) {
            self.threads.news.insert(news.seq, news);
        }
    }

    /// Takes what threads have told for writing, if it is time.
    pub(super) fn write_news(&mut self) {
        let now = self.now();
        if self.threads.due().is_none_or(|due| due > now) {
            return;
        }
        self.threads.next = now.saturating_add(self.shared.limits.marks_every);
        for (_, news) in std::mem::take(&mut self.threads.news) {
            let News { seq, thread, by } = news;
            let membership = self.roster.membership(by.id).cloned();
            let membership = membership.unwrap_or_else(|| newcomer(by));
            self.accept(What::Thread { membership, seq, thread: Box::new(thread) });
        }
    }

    /// What a thread has told is not written: it is tried again, unless the thread has told more since. That may be
    /// gathered, wait to be written, or have been refused at the same time.
    pub(super) fn keep_news(&mut self, seq: u64, thread: Thread, by: User) {
        self.threads.next = self.now().saturating_add(AGAIN);
        let gathered = self.threads.news.get(&seq).map(|news| &news.thread);
        let is_later = |other: &Thread| other.upto.reaches(thread.upto);
        if !self.writes.threads_on(seq).chain(gathered).any(is_later) {
            self.threads.news.insert(seq, News { seq, thread, by });
        }
    }
}
