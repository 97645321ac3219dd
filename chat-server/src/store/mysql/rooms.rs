//! Rooms come and go.

use std::collections::HashMap;

use chat_core::{ClientKey, Cursor, Fingerprint, Membership, RoomId, RoomInfo, RoomKey, UserId};
use sqlx::Connection;

use super::Inner;
use super::append::{AGAIN, CONFLICTS};
use super::pen::Fault;
use crate::store::inserts::{first_batch, insert_opened, insert_room, insert_thread, pair_bytes};
use crate::store::names::Names;
use crate::store::plan::Plan;
use crate::store::reads;
use crate::store::rows::RoomRow;
use crate::store::selects;
use crate::store::sql::{Session, Sql};

impl Inner {
    /// Opens a room, with its first members' joining as its first changes. Answers its id, or that
    /// of the room which was opened with the key, or of the direct room which its members have already, or of
    /// the thread that is there.
    pub(super) async fn insert_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Result<Option<RoomId>, sqlx::Error> {
        let key = members.first().map(|opener| opener.user.id).zip(key);
        let pair = pair_bytes(info, members);
        let mut conflicts = 0;
        loop {
            let error = match self.try_insert(info, members, pair.as_deref(), key).await {
                Ok(()) => return Ok(Some(info.id)),
                Err(error) => error,
            };
            match Fault::of(&error) {
                Fault::Duplicate => {
                    let mut connection = self.primary.acquire().await?;
                    let mut sql = Session::new(&mut *connection, &self.queries);
                    if let Some((user, (key, fingerprint))) = key
                        && let Some((first, id)) = reads::opened(&mut sql, user, key).await?
                    {
                        return Ok((first == *fingerprint).then_some(id));
                    }
                    let same = match (&pair, info.parent) {
                        (Some(pair), _) => reads::direct(&mut sql, pair).await?,
                        (None, Some(parent)) => reads::thread_on(&mut sql, parent).await?,
                        (None, None) => {
                            let id = info.id.uuid().into_bytes();
                            let own: Vec<RoomRow> = sql.select(selects::ROOM, &[id.into()]).await?;
                            (!own.is_empty()).then_some(info.id)
                        }
                    };
                    if let Some(room) = same {
                        let kept = match key {
                            Some(key) => insert_opened(&mut sql, (room, info.created), key).await,
                            None => Ok(()),
                        };
                        match kept {
                            Err(error) if Fault::of(&error) == Fault::Duplicate => {}
                            kept => return kept.map(|()| same),
                        }
                    }
                    // It has ended in between, or somebody has used the key.
                    conflicts += 1;
                }
                Fault::Conflict => conflicts += 1,
                // Whether it was committed shows when it is tried again.
                Fault::Lost => tokio::time::sleep(AGAIN).await,
                Fault::Other => return Err(error),
            }
            if conflicts > CONFLICTS {
                return Err(error);
            }
        }
    }

    async fn try_insert(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        pair: Option<&[u8]>,
        key: Option<(UserId, &(ClientKey, Fingerprint))>,
    ) -> Result<(), sqlx::Error> {
        let mut connection = self.primary.acquire().await?;
        let mut transaction = connection.begin().await?;
        let mut sql = Session::new(&mut *transaction, &self.queries);
        let nobody = Names::default();
        let names = nobody.unknown(members.iter().map(|membership| &membership.user));
        self.statements.insert_names(&mut sql, &names).await?;
        let room = insert_room(&mut sql, info, pair).await?;
        insert_thread(&mut sql, info, room).await?;
        if let Some(key) = key {
            insert_opened(&mut sql, (info.id, info.created), key).await?;
        }
        let first = [first_batch(room, info, members)];
        let plan = Plan::new(&first, HashMap::from([(room, Cursor::default())]), HashMap::new());
        self.statements.insert(&mut sql, &plan.rows).await?;
        transaction.commit().await
    }

    /// Marks a room and its threads as deleted. Answers which; none, if there is no such room. By the connection
    /// that writes, so that nothing is written to the room meanwhile that was believed to be there.
    pub(super) async fn end_room(&self, room: RoomKey) -> Result<Vec<RoomKey>, sqlx::Error> {
        let (mut ended, mut conflicts) = (false, 0);
        loop {
            let error = match self.try_end(room).await {
                Ok((found, rooms)) => return Ok(if ended || found { rooms } else { Vec::new() }),
                Err(error) => error,
            };
            match Fault::of(&error) {
                Fault::Conflict if conflicts < CONFLICTS => conflicts += 1,
                Fault::Lost => {
                    // It may have been carried out, and then is not found again.
                    ended = true;
                    tokio::time::sleep(AGAIN).await;
                }
                _ => return Err(error),
            }
        }
    }

    async fn try_end(&self, room: RoomKey) -> Result<(bool, Vec<RoomKey>), sqlx::Error> {
        let mut writer = self.writer.lend().await?;
        let (connection, known) = writer.parts();
        let mut sql = Session::new(connection, &self.queries);
        self.begin(&mut sql, &[], known).await?;
        let (found, mut rooms) = self.statements.end(&mut sql, room).await?;
        rooms.push(room);
        rooms.iter().for_each(|room| known.forget(*room));
        sql.run("COMMIT").await?;
        writer.give_back();
        Ok((found, rooms))
    }
}
