//! What is done wherever a user is known: it is called otherwise, is not to be seen by somebody, or goes
//! for good.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::deliver::{Order, ReplyTo};
use crate::error::{Code, Error, Result};
use crate::ids::{RoomId, UserId};
use crate::model::User;
use crate::room::{About, Happened, Rooms};
use crate::shared::unavailable;
use crate::store::Store;

/// How often a room is asked again that is too busy, and how long to wait before.
const ATTEMPTS: usize = 100;
const AGAIN: Duration = Duration::from_millis(100);

/// The other one sees a user come and go in their direct room from now on, or does not.
pub(super) async fn show_presence(
    rooms: &Arc<Rooms>,
    user: &User,
    to: UserId,
    shown: bool,
) -> Result<()> {
    for room in rooms.live_of(known(rooms, user.id).await?) {
        room.tell(About { user: user.clone(), what: Happened::Shown { to, shown } });
    }
    Ok(())
}

async fn known(rooms: &Arc<Rooms>, user: UserId) -> Result<Vec<RoomId>> {
    let known = rooms.shared.store.rooms_of(user).await;
    known.map_err(unavailable("find the rooms of a user"))
}

/// Calls a user by this name from now on. Answers which rooms know it.
pub(super) async fn rename(rooms: &Arc<Rooms>, user: &User) -> Result<Vec<RoomId>> {
    let shared = &rooms.shared;
    shared.running()?;
    shared.store.rename(user).await.map_err(unavailable("rename a user"))?;
    // Whatever is loaded from here on knows the name.
    let mut asked = Vec::new();
    for session in shared.connections.of(user.id, None) {
        let (asker, answer) = oneshot::channel();
        session.do_send(Order::Rename(user.clone()));
        session.do_send(Order::Rooms(asker));
        asked.push(answer);
    }
    let known = known(rooms, user.id).await?;
    let mut told: BTreeSet<_> = known.iter().copied().collect();
    for answer in asked {
        // Where it is just joining under the old name, the store does not say so yet. A session that has ended
        // does not answer.
        told.extend(answer.await.unwrap_or_default());
    }
    for room in rooms.live_of(told) {
        room.tell(About { user: user.clone(), what: Happened::Renamed });
    }
    Ok(known)
}

/// Lets a user go: this is how it is called from then on.
pub(super) async fn forget(rooms: &Arc<Rooms>, user: &User, erase: bool) -> Result<()> {
    let known: BTreeSet<_> = rename(rooms, user).await?.into_iter().collect();
    let mut done = Ok(());
    // Where it is just joining, the store does not say so yet.
    for room in rooms.live_ids().into_iter().filter(|room| !known.contains(room)) {
        done = done.and(ask(rooms, room, user, Happened::Gone).await);
    }
    // One after the other, so that the store is there for others meanwhile. A room that cannot forget it
    // keeps no other one from it.
    for room in rename(rooms, user).await? {
        let mut gone = ask(rooms, room, user, Happened::Gone).await;
        if gone.is_ok() && erase {
            gone = ask(rooms, room, user, Happened::Erased).await;
        }
        done = done.and(gone);
    }
    done
}

async fn ask(
    rooms: &Arc<Rooms>,
    id: RoomId,
    user: &User,
    what: impl Fn(ReplyTo) -> Happened,
) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let (caller, answer) = oneshot::channel();
        // Held until it has answered, so that it stays loaded.
        let room = rooms.get(id);
        room.tell(About { user: user.clone(), what: what(ReplyTo::Caller(caller, None)) });
        match answer.await.unwrap_or_else(|_| Err(Error::stopping())) {
            Err(error) => match error.code() {
                Code::NoSuchRoom => return Ok(()),
                // Forbidden: its owner by now, so what it leaves has to be somebody's first.
                Code::Busy | Code::Forbidden => {}
                _ => return Err(error),
            },
            Ok(_) => return Ok(()),
        }
        drop(room);
        rooms.shared.running()?;
        rooms.shared.clock.sleep(AGAIN).await;
    }
    Err(Error::unavailable())
}
