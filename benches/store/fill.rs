//! Rooms that are filled past the engine, a full batch with each commit.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::{
    Batch, BatchOutcome, Cursor, Draft, Kind, Membership, Name, Role, RoomId, RoomInfo, RoomKey,
    Title, User, UserId, Write,
};
use chat_server::store::SqlStore;
use chrono::Utc;
use shared::Outcome;

use crate::bench::Bench;
use crate::closed_loop::{Key, TEXT_BYTES};
use crate::history::PAGE;

/// How many messages a commit has.
const BATCH: u64 = 512;
/// How many users write them.
const USERS: usize = 64;
/// So many bytes of the disk stay free.
const LEFT_FREE: u64 = 8 << 30;
/// After how many commits it is looked at, and the database's log is cut.
const LOOK: u64 = 500;

/// When a room is full.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Rows(u64),
    Time(Duration),
}

/// A room that is full.
pub(crate) struct Filled {
    pub(crate) key: RoomKey,
    pub(crate) rows: u64,
    /// Messages a second, while it was filled.
    pub(crate) rate: f64,
}

/// Opens a room and fills it.
pub(crate) async fn room(bench: &Bench, store: &Arc<dyn SqlStore>, end: End) -> Outcome<Filled> {
    let user = |n| Ok(User::new(UserId::new(), Name::new(format!("member {n}"))?));
    let users: Vec<User> = (0..USERS).map(user).collect::<Outcome<_>>()?;
    let info = RoomInfo {
        id: RoomId::new(),
        title: Some(Title::new("filled")?),
        kind: Kind::Open,
        ephemeral: false,
        created: Utc::now(),
        parent: None,
    };
    let owner = Membership { user: users[0].clone(), role: Role::Owner };
    let id = store.create_room(&info, &[owner], None).await?.ok_or("the room has no id")?;
    let room = store.load_room(id, 0).await?.ok_or("the room is not there")?;
    let (began, mut rows, mut commits) = (Instant::now(), 0, 0_u64);
    loop {
        let most = match end {
            End::Rows(most) => most - rows,
            End::Time(time) if rows < 2 * PAGE || began.elapsed() < time => BATCH,
            End::Time(_) => 0,
        };
        if most == 0 || (commits.is_multiple_of(LOOK) && !has_space(bench).await?) {
            break;
        }
        let count = BATCH.min(most);
        let writes = (rows..rows + count).map(|nth| write(&users, nth)).collect::<Outcome<_>>()?;
        let after = Cursor::new(rows, room.end.change);
        let batch = Batch { room: room.key, after, may_follow: true, writes };
        match &store.append(&[batch]).await?[..] {
            [BatchOutcome::Done(_)] => (rows, commits) = (rows + count, commits + 1),
            outcome => return Err(format!("a batch was not taken: {outcome:?}").into()),
        }
    }
    Ok(Filled { key: room.key, rows, rate: rows as f64 / began.elapsed().as_secs_f64() })
}

fn write(users: &[User], nth: u64) -> Outcome<Write> {
    let sender = (nth % users.len() as u64) as usize;
    let text = format!("{nth:0TEXT_BYTES$}");
    let draft = Draft::text(text)?.key(Key::new(sender, nth).0.to_string())?;
    let fingerprint = draft.fingerprint();
    let key = draft.key.map(|key| (key, fingerprint));
    Ok(Write::Message { from: users[sender].clone(), body: draft.body, at: Utc::now(), key })
}

/// Whether the disk has space for more, once the database's log is cut.
async fn has_space(bench: &Bench) -> Outcome<bool> {
    bench.mariadb.forget_log().await?;
    let enough = free(&bench.scratch)? >= LEFT_FREE;
    if !enough {
        bench.say("the disk is nearly full: no more is written");
    }
    Ok(enough)
}

/// Bytes of the disk that nobody has.
fn free(folder: &Path) -> Outcome<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail * disk.f_frsize)
}
