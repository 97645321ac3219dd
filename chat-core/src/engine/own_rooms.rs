//! The rooms of which a user is a member, and what it has not read in them: of live rooms from their memory,
//! of all others as the store counts it.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::command::{OwnRoomQuery, OwnRooms, RoomCommand, Standing};
use crate::deliver::ReplyTo;
use crate::error::{Code, Error, Result};
use crate::ids::RoomId;
use crate::limits;
use crate::model::User;
use crate::page;
use crate::room::{Asker, Rooms};
use crate::shared::unavailable;
use crate::store::Store;

pub(super) async fn own_rooms(
    rooms: &Arc<Rooms>,
    user: &User,
    query: &OwnRoomQuery,
) -> Result<OwnRooms> {
    rooms.shared.running()?;
    let (store, limit) = (&rooms.shared.store, query.limit.min(limits::PAGE));
    let listed = store.active_rooms(user.id, query.before, limit + 1).await;
    let mut listed = listed.map_err(unavailable("list the rooms of a user"))?;
    let next = page::cut(&mut listed, limit, |last| *last);
    let ids = listed.iter().map(|active| active.room);
    let (live, asleep): (Vec<_>, Vec<_>) = ids.partition(|room| rooms.counts(*room).is_some());
    let asked = join_all(live.into_iter().map(|room| ask(rooms, user, room))).await;
    let mut standings = HashMap::with_capacity(listed.len());
    for standing in asked {
        match standing {
            Ok(standing) => _ = standings.insert(standing.room.info.id, standing),
            // It is a member no more, or the room has ended, since the rooms were listed.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if !asleep.is_empty() {
        let counted = store.standings(user.id, &asleep).await;
        let counted = counted.map_err(unavailable("count what a user has not read"))?;
        standings.extend(counted.into_iter().map(|standing| (standing.room.info.id, standing)));
    }
    let rooms = listed.iter().filter_map(|active| standings.remove(&active.room)).collect();
    Ok(OwnRooms { rooms, next })
}

fn is_gone(error: &Error) -> bool {
    matches!(error.code(), Code::NotAMember | Code::NoSuchRoom | Code::Banned)
}

async fn ask(rooms: &Arc<Rooms>, user: &User, room: RoomId) -> Result<Standing> {
    let (caller, answer) = oneshot::channel();
    let asker = Asker { user: user.clone(), connection: None, seat: None, away: false };
    let reply = ReplyTo::Caller(caller, None);
    rooms.get(room).ask(&rooms.shared, asker, RoomCommand::Standing, reply);
    answer.await.unwrap_or_else(|_| Err(Error::stopping()))?.standing()
}
