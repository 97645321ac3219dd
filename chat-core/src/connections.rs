//! Who is connected: every session of an engine, by its user, so that all of a user's sessions can
//! be told something, and all sessions of the engine when it stops.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::Recipient;
use tokio::sync::Notify;

use crate::deliver::{Fanout, Line, Order, Parcel};
use crate::event::{Event, OwnChange};
use crate::ids::{ConnectionId, GrantId, UserId};
use crate::model::{Presence, RoomInfo};

/// The connections of an engine.
#[derive(Default)]
pub(crate) struct Connections {
    all: Mutex<All>,
    none_left: Notify,
    somebody_changed: Notify,
}

#[derive(Default)]
struct All {
    connected: BTreeMap<(UserId, ConnectionId), Connected>,
    /// Users who are seen otherwise than when that was last asked for, once it has been.
    changed: Option<HashSet<UserId>>,
}

struct Connected {
    fanout: Fanout,
    session: Recipient<Order>,
    /// What entitles it, if that may be withdrawn.
    grant: Option<GrantId>,
    /// Whether nobody is at its keyboard.
    away: bool,
}

fn of_user(user: UserId) -> RangeInclusive<(UserId, ConnectionId)> {
    (user, ConnectionId::FIRST)..=(user, ConnectionId::LAST)
}

impl All {
    /// Whether a user is there, on whichever session.
    fn presence(&self, user: UserId) -> Presence {
        let mut of_user = self.connected.range(of_user(user)).map(|(_, connected)| connected.away);
        match of_user.next() {
            None => Presence::Offline,
            Some(away) if away && of_user.all(|away| away) => Presence::Away,
            Some(_) => Presence::Online,
        }
    }
}

impl Connections {
    fn all(&self) -> MutexGuard<'_, All> {
        // Nothing that runs under the lock leaves the map half-changed.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something about a user's sessions, and takes note if that makes it be seen otherwise.
    fn change<T>(
        &self,
        user: UserId,
        change: impl FnOnce(&mut BTreeMap<(UserId, ConnectionId), Connected>) -> T,
    ) -> T {
        let mut all = self.all();
        if all.changed.is_none() {
            return change(&mut all.connected);
        }
        let before = all.presence(user);
        let done = change(&mut all.connected);
        if all.presence(user) != before
            && let Some(changed) = &mut all.changed
        {
            changed.insert(user);
            drop(all);
            self.somebody_changed.notify_one();
        }
        done
    }

    /// From here on it is noted who comes and goes.
    pub(crate) fn watch(&self) {
        self.all().changed.get_or_insert_default();
    }

    /// Those who have come, gone, or left the keyboard since this was last asked; waits until somebody
    /// has.
    pub(crate) async fn changed(&self) -> HashSet<UserId> {
        loop {
            let changed = self.somebody_changed.notified();
            let users = self.all().changed.as_mut().map(std::mem::take).unwrap_or_default();
            if !users.is_empty() {
                return users;
            }
            changed.await;
        }
    }

    /// A session has begun, unless its user has `most` already. Answers whether it has.
    pub(crate) fn add(
        &self,
        user: UserId,
        line: Line,
        session: Recipient<Order>,
        most: usize,
    ) -> bool {
        let Line { connection, fanout } = line;
        self.change(user, |connected| {
            // Few limits are large, and none is counted in full that is.
            let room = most == usize::MAX || connected.range(of_user(user)).nth(most - 1).is_none();
            if room {
                let session = Connected { fanout, session, grant: None, away: false };
                connected.insert((user, connection), session);
            }
            room
        })
    }

    /// Notes what entitles a session from here on.
    pub(crate) fn entitle(&self, user: UserId, connection: ConnectionId, grant: Option<GrantId>) {
        if let Some(connected) = self.all().connected.get_mut(&(user, connection)) {
            connected.grant = grant;
        }
    }

    /// Notes whether somebody is at a session's keyboard.
    pub(crate) fn set_away(&self, user: UserId, connection: ConnectionId, away: bool) {
        self.change(user, |connected| {
            if let Some(connected) = connected.get_mut(&(user, connection)) {
                connected.away = away;
            }
        });
    }

    /// Whether a user is there, on whichever session.
    pub(crate) fn presence(&self, user: UserId) -> Presence {
        self.all().presence(user)
    }

    /// The sessions of a user that this grant entitles, or all of them.
    pub(crate) fn of(&self, user: UserId, grant: Option<GrantId>) -> Vec<Recipient<Order>> {
        let all = self.all();
        let of_user = all.connected.range(of_user(user)).map(|(_, connected)| connected);
        let entitled = of_user.filter(|connected| grant.is_none() || connected.grant == grant);
        entitled.map(|connected| connected.session.clone()).collect()
    }

    /// A session has ended.
    pub(crate) fn remove(&self, user: UserId, connection: ConnectionId) {
        let none_left = self.change(user, |connected| {
            connected.remove(&(user, connection));
            connected.is_empty()
        });
        if none_left {
            self.none_left.notify_waiters();
        }
    }

    /// Tells an event to every session of a user.
    pub(crate) fn tell(&self, user: UserId, event: &Event, at: Duration) {
        for Line { connection, fanout } in self.elsewhere(user, |_| false) {
            let event = event.clone();
            fanout.deliver(at, None, vec![Parcel::One { connection, hears: None, event }]);
        }
    }

    /// The ways to those connections of a user that are not here.
    pub(crate) fn elsewhere(
        &self,
        user: UserId,
        is_here: impl Fn(ConnectionId) -> bool,
    ) -> Vec<Line> {
        let all = self.all();
        let of_user = all.connected.range(of_user(user));
        let elsewhere = of_user.filter(|((_, connection), _)| !is_here(*connection));
        let line = |(&(_, connection), connected): (_, &Connected)| Line {
            connection,
            fanout: connected.fanout.clone(),
        };
        elsewhere.map(line).collect()
    }

    /// Tells those connections of a user that are not the one which has done it that the user is a member of
    /// a room that is new.
    pub(crate) fn tell_opened(
        &self,
        user: UserId,
        by: Option<ConnectionId>,
        room: &RoomInfo,
        at: Duration,
    ) {
        for Line { connection, fanout } in self.elsewhere(user, |other| by == Some(other)) {
            let event = Event::Mine { room: room.id, change: OwnChange::Joined(room.clone()) };
            fanout.deliver(at, Some(room.id), vec![Parcel::One { connection, hears: None, event }]);
        }
    }

    /// Every session.
    pub(crate) fn sessions(&self) -> Vec<Recipient<Order>> {
        self.all().connected.values().map(|connected| connected.session.clone()).collect()
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.all().connected.len()
    }

    /// Returns once there is no session.
    pub(crate) async fn ended(&self) {
        loop {
            let none_left = self.none_left.notified();
            if self.len() == 0 {
                return;
            }
            none_left.await;
        }
    }
}
