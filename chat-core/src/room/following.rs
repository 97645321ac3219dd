//! Who follows a thread: members of its parent's room, each of them as that room has it, at every moment. Whoever is
//! no member there any more is put out; whom that room does not know, another process may have let in.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix::WeakRecipient;
use actix::fut::wrap_future;
use actix::prelude::{ActorFutureExt, AsyncContext, Context};
use tokio::sync::oneshot;

use crate::error::{Code, Error, Result};
use crate::event::{Event, OwnChange};
use crate::ids::{RoomId, UserId};
use crate::model::{Kind, Membership, Role, User};
use crate::room::access::Access;
use crate::room::threads::{Adopt, Doubt, FromParent, News};
use crate::room::writes::{UnderWay, What};
use crate::room::{Hosted, RoomActor, RoomRef, Rooms};
use crate::roster::newcomer;
use crate::store::LoadedRoom;

/// A thread's parent. It is held as long as the thread lives.
pub(super) struct Bond {
    room: RoomRef,
    access: Arc<Access>,
}

impl Bond {
    /// Asks a room to let its thread know who may do what.
    pub(super) async fn form(
        rooms: &Arc<Rooms>,
        room: RoomId,
        thread: &LoadedRoom,
        address: WeakRecipient<FromParent>,
    ) -> Result<Self> {
        let (followers, thread) = (&thread.members, thread.info.id);
        let room = rooms.get(room);
        let (answer, adopted) = oneshot::channel();
        room.tell(Adopt { thread, address, answer });
        let access = adopted.await.unwrap_or_else(|_| Err(Error::stopping()))?;
        let bond = Self { room, access };
        if !followers.iter().all(|one| bond.access.role(one.user.id).is_some()) {
            // Also if it does not answer: what it knows is all there is to go by.
            bond.look().await.ok();
        }
        Ok(bond)
    }

    /// Lets the room read what the store has of it.
    fn look(&self) -> oneshot::Receiver<()> {
        ask_to_look(&self.room)
    }
}

fn ask_to_look(room: &RoomRef) -> oneshot::Receiver<()> {
    let (answer, looked) = oneshot::channel();
    room.tell(Doubt(answer));
    looked
}

/// What is known of a follower whom the parent's room does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubted {
    /// That room is just reading what the store has of it.
    Looking,
    /// It has, and does not know the follower.
    Known,
}

/// How a thread follows its parent's room.
pub(super) struct Following {
    room: RoomRef,
    access: Arc<Access>,
    /// Which version of that has been copied.
    seen: Option<u64>,
    /// Whose memberships have begun since: they are looked at also if nothing is otherwise.
    newcomers: HashSet<UserId>,
    /// Nothing has been copied yet, and the room knows what the store had when the thread was loaded.
    is_new: bool,
    /// Those who are members of the parent's room no more: gone for everybody, and the store is yet to be told.
    expelled: HashMap<UserId, Membership>,
    /// Followers whom the parent's room did not know when they came.
    doubts: HashMap<UserId, Doubted>,
    /// Those whom another process has let in, with the last message before that, though as far as is known here they
    /// are members of the parent's room no more: perhaps they are again.
    returned: HashMap<UserId, u64>,
}

impl Following {
    pub(super) fn new(bond: Bond) -> Self {
        let Bond { room, access } = bond;
        let (newcomers, expelled, doubts, returned) = Default::default();
        Self { room, access, seen: None, newcomers, is_new: true, expelled, doubts, returned }
    }

    /// To be held during a step of the thread.
    pub(super) fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access)
    }

    /// Whether the parent's room, as it was when the thread was loaded, still lives.
    pub(super) fn is_bound(&self) -> bool {
        self.room.is_alive()
    }

    /// Tells the parent's room what the thread has come to.
    pub(super) fn tell(&self, news: News) {
        self.room.tell(news);
    }

    /// Somebody has another name.
    pub(super) fn rename(&mut self, user: &User) {
        if let Some(membership) = self.expelled.get_mut(&user.id) {
            membership.user.clone_from(user);
        }
    }
}

impl Hosted {
    /// Whether a user may be a member here because it is one of the parent's room. Of a room that is no thread,
    /// whether it is a member.
    pub(super) fn belongs(&self, user: UserId) -> bool {
        match &self.following {
            Some(parent) => parent.access.role(user).is_some(),
            None => self.roster.membership(user).is_some(),
        }
    }

    /// The role that counts here, of members and of others: in a thread, that in the parent's room.
    pub(super) fn role_of(&self, user: UserId) -> Option<Role> {
        match &self.following {
            Some(parent) => parent.access.role(user),
            None => self.roster.role(user),
        }
    }

    /// In which role somebody may read here, and keep order among messages, if it may: of a thread, also without
    /// following it.
    pub(super) fn reading_role(&self, user: UserId) -> Option<Role> {
        // A follower may have been let into both rooms by another process, and be unknown to the parent's yet.
        self.roster.role(user).or_else(|| self.role_of(user))
    }

    /// An error unless somebody may read here.
    pub(super) fn may_read(&self, user: UserId) -> Result<()> {
        match self.reading_role(user) {
            Some(_) => Ok(()),
            None => Err(self.not_a_member(user)),
        }
    }

    /// The membership of somebody who joins.
    pub(super) fn as_newcomer(&self, user: User) -> Membership {
        let role = self.following.as_ref().and_then(|parent| parent.access.role(user.id));
        Membership { role: role.unwrap_or(Role::Member), ..newcomer(user) }
    }

    /// What somebody is told who may not enter a thread: of one in a room that not everybody sees, nothing.
    pub(super) fn no_entry_to_thread(&self) -> Option<Error> {
        let parent = self.following.as_ref()?;
        Some(match parent.access.kind {
            Kind::Open => {
                let message =
                    "you are not a member of the room that this thread is in; join that first";
                Error::new(Code::NotAMember, message)
            }
            _ => Error::no_such_room(),
        })
    }

    /// In a thread, nobody keeps order but in the parent's room.
    pub(super) fn keeps_order_itself(&self) -> Result<()> {
        match self.info.kind {
            Kind::Thread => Err(Error::forbidden(
                "a thread has the members, roles, bans and settings of the room that it is in; do this there",
            )),
            _ => Ok(()),
        }
    }

    /// Lets everything be as the parent's room has it. Whoever is no member there is none here from now on, and
    /// hears nothing more.
    pub(super) fn follow_parent(&mut self, ctx: &mut Context<RoomActor>) {
        let Some(thread) = &mut self.following else { return };
        let version = thread.access.version();
        let (is_other, newcomers) =
            (thread.seen != Some(version), std::mem::take(&mut thread.newcomers));
        if !is_other && newcomers.is_empty() {
            return self.end_expelled();
        }
        thread.seen = Some(version);
        let access = Arc::clone(&thread.access);
        let standing = access.standing();
        let followers: Vec<_> = if is_other {
            self.mutes = standing.mutes.clone();
            if self.settings.slow_s != standing.settings.slow_s {
                self.slow.set(standing.settings.slow_s, self.timeline.kept());
            }
            self.settings = standing.settings;
            self.roster.memberships().cloned().collect()
        } else {
            newcomers.into_iter().filter_map(|user| self.roster.membership(user)).cloned().collect()
        };
        let (mut gone, mut doubted) = (Vec::new(), Vec::new());
        let Some(thread) = &mut self.following else { return };
        thread.doubts.retain(|user, _| !standing.roles.contains_key(user));
        let role = |user: &UserId| Some((*user, *standing.roles.get(user)?));
        let back: Vec<_> = thread.returned.keys().filter_map(role).collect();
        let is_known = |thread: &Following, user: &UserId| {
            let doubt = thread.doubts.get(user);
            standing.ended.contains(*user) || doubt == Some(&Doubted::Known)
        };
        let (is_new, mut unknown) = (std::mem::replace(&mut thread.is_new, false), Vec::new());
        for membership in &followers {
            let user = membership.user.id;
            if standing.roles.contains_key(&user) || is_new || is_known(thread, &user) {
                continue;
            }
            unknown.push(user);
            if thread.doubts.insert(user, Doubted::Looking).is_none() {
                doubted.push(user);
            }
        }
        for membership in followers {
            let user = membership.user.id;
            match standing.roles.get(&user) {
                Some(role) if *role != membership.role => self.roster.set_role(user, *role),
                Some(_) => {}
                None if unknown.contains(&user) => {}
                None => gone.push(membership),
            }
            if standing.unseen.contains(&user) != self.roster.is_unseen(user) {
                self.show_presence(user, !standing.unseen.contains(&user));
            }
        }
        drop(standing);
        for (user, role) in back {
            self.take_back(user, role);
        }
        for membership in gone {
            let user = membership.user.id;
            self.expel(membership);
            doubted.extend(self.may_be_back(user).then_some(user));
        }
        self.end_expelled();
        self.look_into(doubted, ctx);
        // What may be done no more is not written, though it was asked before. While the store is looked at, that
        // waits for what it says.
        if is_other && self.writes.unsure.is_none() && self.writes.under_way != UnderWay::Check {
            self.look_again(ctx);
        }
    }

    /// Finds out whether these followers, whom the parent's room does not know, are members there: another process
    /// may have let them into both rooms.
    fn look_into(&mut self, users: Vec<UserId>, ctx: &mut Context<RoomActor>) {
        let Some(thread) = self.following.as_ref().filter(|_| !users.is_empty()) else { return };
        let looked = ask_to_look(&thread.room);
        ctx.spawn(wrap_future::<_, RoomActor>(looked).map(move |_, room, ctx| {
            room.with_hosted(ctx, |hosted, _| {
                let Some(thread) = &mut hosted.following else { return };
                for user in users {
                    thread.doubts.entry(user).and_modify(|doubt| *doubt = Doubted::Known);
                    if thread.access.role(user).is_none() {
                        thread.returned.remove(&user);
                    }
                }
                thread.seen = None;
            });
        }));
    }

    /// Another process has let somebody in behind this message: perhaps into the parent's room too.
    pub(super) fn let_in_elsewhere(&mut self, user: UserId, seq: u64) {
        if let Some(thread) = &mut self.following
            && thread.access.standing().ended.contains(user)
        {
            thread.returned.insert(user, seq);
        }
    }

    /// Whether somebody who has just been put out may be a member of the parent's room again: it is put out for
    /// good when that has been looked at.
    fn may_be_back(&mut self, user: UserId) -> bool {
        let Some(thread) = &mut self.following else { return false };
        let may = thread.returned.contains_key(&user);
        if may {
            thread.doubts.insert(user, Doubted::Looking);
        }
        may
    }

    /// Somebody who was put out is a member of the parent's room after all.
    fn take_back(&mut self, user: UserId, role: Role) {
        let now = self.now();
        let Some(thread) = &mut self.following else { return };
        let read = thread.returned.remove(&user);
        thread.newcomers.insert(user);
        if let Some((seq, membership)) = read.zip(thread.expelled.remove(&user)) {
            self.roster.add(Membership { role, ..membership }, now);
            self.roster.set_read(user, seq);
        }
    }

    /// A membership has begun, and is looked at before the step ends.
    pub(super) fn look_at_newcomer(&mut self, user: UserId) {
        if let Some(thread) = &mut self.following {
            thread.newcomers.insert(user);
        }
    }

    fn expel(&mut self, membership: Membership) {
        let user = membership.user.id;
        self.tell_own(user, &OwnChange::Left);
        for (_, seat) in self.roster.remove(user) {
            self.audience.tell_one(&seat.line, Event::Closed { room: self.id });
            self.unseat(&seat);
        }
        self.typing.stop(user);
        let error = self.no_entry(user);
        self.refuse_queued(user, &error);
        if let Some(thread) = &mut self.following {
            // Whoever comes back is looked at anew.
            thread.doubts.remove(&user);
            thread.expelled.insert(user, membership);
        }
    }

    /// Takes the end of memberships for writing that have ended for everybody here, unless it is not known what
    /// is stored.
    fn end_expelled(&mut self) {
        let Some(thread) = &self.following else { return };
        if thread.expelled.is_empty() || self.writes.unsure.is_some() {
            return;
        }
        let waiting = thread
            .expelled
            .values()
            .filter(|one| !self.writes.is_moving(one.user.id) && !self.is_looked_for(one.user.id));
        let waiting: Vec<_> = waiting.cloned().collect();
        for membership in waiting {
            self.accept(What::Leave { membership, reply: None });
        }
    }

    /// Whether the parent's room is just looking whether somebody is a member there.
    pub(super) fn is_looked_for(&self, user: UserId) -> bool {
        let thread = self.following.as_ref();
        thread.is_some_and(|thread| thread.doubts.get(&user) == Some(&Doubted::Looking))
    }

    /// Whether a user's membership has ended for everybody here, and is yet to end in the store.
    pub(super) fn is_expelled(&self, user: UserId) -> bool {
        self.following.as_ref().is_some_and(|thread| thread.expelled.contains_key(&user))
    }

    /// A membership has ended in the store, or has begun anew: nothing of it is yet to be ended.
    pub(super) fn is_settled(&mut self, user: UserId) {
        if let Some(thread) = &mut self.following {
            thread.expelled.remove(&user);
            thread.returned.remove(&user);
            thread.doubts.remove(&user);
        }
    }
}
