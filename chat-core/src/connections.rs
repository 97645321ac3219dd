//! Who is connected: every session of an engine, by its user, so that all of a user's sessions can
//! be told something, and all sessions of the engine when it stops.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::Recipient;
use tokio::sync::Notify;

use crate::deliver::{End, Fanout, Line, Parcel};
use crate::event::Event;
use crate::ids::{ConnectionId, GrantId, UserId};
use crate::model::Presence;

/// The connections of an engine.
#[derive(Default)]
pub(crate) struct Connections {
    connected: Mutex<BTreeMap<(UserId, ConnectionId), Connected>>,
    none_left: Notify,
}

struct Connected {
    fanout: Fanout,
    session: Recipient<End>,
    /// What entitles it, if that may be withdrawn.
    grant: Option<GrantId>,
    /// Whether nobody is at its keyboard.
    away: bool,
}

fn of_user(user: UserId) -> RangeInclusive<(UserId, ConnectionId)> {
    (user, ConnectionId::FIRST)..=(user, ConnectionId::LAST)
}

impl Connections {
    fn connected(&self) -> MutexGuard<'_, BTreeMap<(UserId, ConnectionId), Connected>> {
        // Nothing that runs under the lock leaves the map half-changed.
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session has begun, unless its user has `most` already. Answers whether it has.
    pub(crate) fn add(
        &self,
        user: UserId,
        line: Line,
        session: Recipient<End>,
        most: usize,
    ) -> bool {
        let Line { connection, fanout } = line;
        let mut connected = self.connected();
        // Few limits are large, and none is counted in full that is.
        let room = most == usize::MAX || connected.range(of_user(user)).nth(most - 1).is_none();
        if room {
            connected.insert(
                (user, connection),
                Connected { fanout, session, grant: None, away: false },
            );
        }
        room
    }

    /// Notes what entitles a session from here on.
    pub(crate) fn entitle(&self, user: UserId, connection: ConnectionId, grant: Option<GrantId>) {
        if let Some(connected) = self.connected().get_mut(&(user, connection)) {
            connected.grant = grant;
        }
    }

    /// Notes whether somebody is at a session's keyboard.
    pub(crate) fn set_away(&self, user: UserId, connection: ConnectionId, away: bool) {
        if let Some(connected) = self.connected().get_mut(&(user, connection)) {
            connected.away = away;
        }
    }

    /// Whether a user is there, on whichever session.
    pub(crate) fn presence(&self, user: UserId) -> Presence {
        let connected = self.connected();
        let mut of_user = connected.range(of_user(user)).map(|(_, connected)| connected.away);
        match of_user.next() {
            None => Presence::Offline,
            Some(away) if away && of_user.all(|away| away) => Presence::Away,
            Some(_) => Presence::Online,
        }
    }

    /// The sessions of a user that this grant entitles, or all of them.
    pub(crate) fn of(&self, user: UserId, grant: Option<GrantId>) -> Vec<Recipient<End>> {
        let connected = self.connected();
        let of_user = connected.range(of_user(user)).map(|(_, connected)| connected);
        let entitled = of_user.filter(|connected| grant.is_none() || connected.grant == grant);
        entitled.map(|connected| connected.session.clone()).collect()
    }

    /// A session has ended.
    pub(crate) fn remove(&self, user: UserId, connection: ConnectionId) {
        let mut connected = self.connected();
        connected.remove(&(user, connection));
        if connected.is_empty() {
            self.none_left.notify_waiters();
        }
    }

    /// Tells an event to every session of a user.
    pub(crate) fn tell(&self, user: UserId, event: &Event, at: Duration) {
        let connected = self.connected();
        for (&(_, connection), Connected { fanout, .. }) in connected.range(of_user(user)) {
            fanout.deliver(
                at,
                None,
                vec![Parcel::One { connection, hears: None, event: event.clone() }],
            );
        }
    }

    /// Every session.
    pub(crate) fn sessions(&self) -> Vec<Recipient<End>> {
        self.connected().values().map(|connected| connected.session.clone()).collect()
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.connected().len()
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
