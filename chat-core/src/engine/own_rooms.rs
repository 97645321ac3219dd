//! The rooms of which a user is a member, and what it has not read in them: of live rooms from their memory as far
//! as that reaches, of all others as the store counts it, at once.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::command::{OwnRoomQuery, OwnRooms, Standing};
use crate::error::Result;
use crate::ids::{RoomId, UserId};
use crate::limits;
use crate::model::{Activity, User};
use crate::page;
use crate::room::{Glance, Rooms};
use crate::shared::unavailable;
use crate::store::Store;

pub(super) async fn own_rooms(
    rooms: &Arc<Rooms>,
    user: &User,
    query: &OwnRoomQuery,
) -> Result<OwnRooms> {
    rooms.shared.running()?;
    let (store, limit) = (&rooms.shared.store, query.limit.min(limits::PAGE));
    let listed = store.active_rooms(user.id, &OwnRoomQuery { limit: limit + 1, ..*query }).await;
    let mut listed = listed.map_err(unavailable("list the rooms of a user"))?;
    let next = page::cut(&mut listed, limit, |last| *last);
    let asked = listed.iter().map(|active| glance(rooms, user.id, active.room));
    let asked = join_all(asked).await;
    let (mut standings, mut uncounted) = (HashMap::with_capacity(listed.len()), Vec::new());
    for (Activity { room, .. }, standing) in listed.iter().zip(asked) {
        match standing {
            Some(Ok(standing)) => _ = standings.insert(*room, standing),
            // It is a member no more since the rooms were listed.
            Some(Err(_)) => {}
            None => uncounted.push(*room),
        }
    }
    if !uncounted.is_empty() {
        let counted = store.standings(user.id, &uncounted).await;
        for mut standing in counted.map_err(unavailable("count what a user has not read"))? {
            let room = standing.room.info.id;
            if let Some(counts) = rooms.counts(room) {
                standing.room.counts = counts;
            }
            standings.insert(room, standing);
        }
    }
    let rooms = listed.iter().filter_map(|active| standings.remove(&active.room)).collect();
    Ok(OwnRooms { rooms, next })
}

/// How a live room stands for a user, if its memory reaches so far.
async fn glance(rooms: &Rooms, user: UserId, room: RoomId) -> Option<Result<Standing>> {
    let (answer, standing) = oneshot::channel();
    rooms.live_room(room)?.tell(Glance { user, answer });
    standing.await.ok()
}
