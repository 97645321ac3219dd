//! Who writes alone: the row that says so, and what becomes of it when a second one comes, in the
//! middle of a commit or before it.

use std::sync::Arc;
use std::time::Duration;

use chat_core::{
    Batch, BatchOutcome, ChangeKind, Cursor, LoadedRoom, Membership, Outcome, Role, Store, User,
    Write,
};
use chat_server::store::{MySqlStore, SqlStore};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use crate::bare::{batch, room};
use crate::database::Database;
use crate::database::proxy::{Command, Proxy};
use crate::house::{open, user};
use crate::{execute, tell, until};

const DEADLINE: Duration = Duration::from_secs(10);

/// Nobody writes alone for an hour.
pub(crate) const NOBODY: &str =
    "UPDATE sole_writer SET process = NULL, shared_ms = (UNIX_TIMESTAMP() + 3600) * 1000";
/// Whoever connects next may write alone.
pub(crate) const ANYBODY: &str = "UPDATE sole_writer SET shared_ms = 0";

/// The name of the lock that whoever writes alone holds.
const LOCK: &str = "CONCAT('chat.', LEFT(SHA2(DATABASE(), 256), 40))";

/// Whether exactly one connection to this database is busy with such a statement.
async fn one_runs(connection: &mut MySqlConnection, like: &str) -> bool {
    let found = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
        WHERE DB = DATABASE() AND INFO LIKE ?";
    let found = sqlx::query_scalar::<_, i64>(found).bind(like);
    found.fetch_one(connection).await.expect("a count") == 1
}

/// Ends that somebody writes alone, and nobody does for an hour.
pub(crate) async fn forbid(connection: &mut MySqlConnection) {
    execute(connection, NOBODY).await;
    let holder = format!("SELECT CAST(IS_USED_LOCK({LOCK}) AS SIGNED)");
    let holder = sqlx::query_scalar::<_, Option<i64>>(AssertSqlSafe(holder));
    if let Some(holder) = holder.fetch_one(&mut *connection).await.expect("an answer") {
        execute(connection, &format!("KILL CONNECTION {holder}")).await;
    }
}

/// Which process writes alone.
async fn sole(connection: &mut MySqlConnection) -> Option<Vec<u8>> {
    let process = sqlx::query_scalar("SELECT process FROM sole_writer");
    process.fetch_one(connection).await.expect("the row is there")
}

/// So many messages behind those that the room is known to have.
fn more(room: &LoadedRoom, from: &User, messages: u64) -> Batch {
    Batch { may_follow: true, ..batch(room, from, messages) }
}

/// Writes messages, and keeps in mind where the room stands then.
async fn write(store: &MySqlStore, room: &mut LoadedRoom, from: &User, messages: u64) {
    let told = store.append(&[more(room, from, messages)]).await.expect("an answer");
    let end = room.end;
    let stored = (end.seq + 1..=end.seq + messages).map(|seq| Cursor::new(seq, end.change));
    assert_eq!(told, [BatchOutcome::Done(stored.map(Outcome::Stored).collect())]);
    room.end.seq += messages;
}

/// A store that writes alone, and a room in which it has.
async fn alone(database: &Database, url: &str) -> (Arc<MySqlStore>, LoadedRoom, User) {
    let store = open(url, DEADLINE).await;
    let me = user("me");
    let mut room = room(&store, &me, "a room").await;
    for _ in 0..3 {
        write(&store, &mut room, &me, 1).await;
    }
    assert!(sole(&mut database.connect().await).await.is_some(), "it writes alone");
    (store, room, me)
}

#[tokio::test]
async fn another_that_comes_is_noticed_by_its_first_message() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    let (one, mut room, me) = alone(&database, &database.url()).await;
    let other = open(&database.url(), DEADLINE).await;
    let mut seen = room.clone();
    write(&other, &mut seen, &user("you"), 2).await;
    assert_eq!(sole(&mut connection).await, None, "several write");

    let told = one.append(&[more(&room, &me, 1)]).await.expect("an answer").remove(0);
    let BatchOutcome::Followed { between, outcomes } = told else { panic!("{told:?}") };
    assert_eq!(between.iter().map(|message| message.seq).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(outcomes, [Outcome::Stored(Cursor::new(6, 1))]);
    room.end.seq = 6;
    // And so it goes on, until nobody else has come for a minute.
    write(&one, &mut room, &me, 3).await;
    assert_eq!(sole(&mut connection).await, None);
    drop(other);
    execute(&mut connection, ANYBODY).await;
    let next = open(&database.url(), DEADLINE).await;
    write(&next, &mut room, &me, 3).await;
    assert!(sole(&mut connection).await.is_some(), "one may write alone again");
}

#[tokio::test]
async fn what_another_has_changed_is_not_overlooked() {
    let database = Database::new().await;
    let (one, room, me) = alone(&database, &database.url()).await;
    let other = open(&database.url(), DEADLINE).await;
    let guest = Membership { user: user("guest"), role: Role::Member };
    let joins = Write::Change {
        kind: ChangeKind::Joined(guest),
        by: None,
        at: room.info.created,
        key: None,
    };
    let told = other.append(&[Batch { writes: vec![joins], ..batch(&room, &me, 0) }]).await;
    let joined = Outcome::Stored(Cursor::new(3, 2));
    assert_eq!(told.expect("an answer"), [BatchOutcome::Done(vec![joined])]);
    let told = one.append(&[more(&room, &me, 1)]).await.expect("an answer");
    assert_eq!(told, [BatchOutcome::Fenced]);
}

#[tokio::test]
async fn nothing_is_written_to_a_room_that_has_ended() {
    // By another process, and by this one.
    for by_other in [true, false] {
        let database = Database::new().await;
        let (one, room, me) = alone(&database, &database.url()).await;
        let other = open(&database.url(), DEADLINE).await;
        let ends = if by_other { &other } else { &one };
        ends.delete_room(room.key).await.expect("it is deleted");
        let told = one.append(&[more(&room, &me, 1)]).await.expect("an answer");
        assert_eq!(told, [BatchOutcome::Gone], "by another: {by_other}");
        let left = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM messages");
        let left = left.fetch_one(&mut database.connect().await).await.expect("a count");
        assert_eq!(left, 0, "by another: {by_other}");
    }
}

/// A commit that is under way when another one comes is ended, and begun again behind that.
#[tokio::test]
async fn a_commit_under_way_is_ended() {
    let database = Database::new().await;
    let (one, room, me) = alone(&database, &database.url()).await;
    let other = open(&database.url(), DEADLINE).await;
    // Somebody has the next message's place, and has not decided whether to keep it.
    let mut holder = database.connect().await;
    let mut held = holder.begin().await.expect("a transaction");
    let take = "INSERT INTO messages (room, seq, sender, text, at_ms) \
        SELECT id, 4, x'00000000000000000000000000000000', '', 0 FROM rooms";
    execute(&mut held, take).await;
    let mut watching = database.connect().await;
    let first = async { one.append(&[more(&room, &me, 1)]).await };
    let second = async {
        until("the first one waits", async || {
            one_runs(&mut watching, "INSERT INTO messages%").await
        })
        .await;
        let write = async { other.append(&[more(&room, &user("you"), 1)]).await };
        let decide = async {
            until("the first one is ended", async || sole(&mut watching).await.is_none()).await;
            held.rollback().await.expect("it gives the place up");
        };
        tokio::join!(write, decide).0
    };
    let (first, second) = tokio::join!(first, second);
    let mut places: Vec<_> = [first, second]
        .map(|told| match told.expect("an answer").remove(0) {
            BatchOutcome::Done(outcomes) => (0, outcomes),
            BatchOutcome::Followed { between, outcomes } => (between.len(), outcomes),
            told => panic!("{told:?}"),
        })
        .into();
    places.sort_by_key(|(between, _)| *between);
    let stored = |seq| vec![Outcome::Stored(Cursor::new(seq, 1))];
    assert_eq!(places, [(0, stored(4)), (1, stored(5))]);
}

/// A statement that was on its way when its process had given it up, or when another process had come,
/// does nothing if it arrives after all.
#[tokio::test]
async fn nothing_is_written_late() {
    for by_other in [true, false] {
        let database = Database::new().await;
        let proxy = Proxy::new(&database.url());
        let deadline = if by_other { DEADLINE } else { Duration::from_secs(3) };
        let store = open(&proxy.url(), deadline).await;
        let (me, mut connection) = (user("me"), database.connect().await);
        let mut room = room(&store, &me, "a room").await;
        write(&store, &mut room, &me, 3).await;
        assert!(sole(&mut connection).await.is_some(), "it writes alone");
        let mut kept = proxy.keep_back(Command::Execute);
        let late = async { store.append(&[more(&room, &me, 1)]).await };
        let next = async {
            kept.has_come().await;
            if by_other {
                let other = open(&database.url(), DEADLINE).await;
                write(&other, &mut room.clone(), &user("you"), 2).await;
            }
        };
        let (late, ()) = tokio::join!(late, next);
        if by_other {
            let told = late.expect("an answer").remove(0);
            assert!(matches!(told, BatchOutcome::Followed { .. }), "{told:?}");
            room.end.seq += 3;
        } else {
            late.expect_err("nobody knows what has become of it");
        }
        write(&store, &mut room, &me, 1).await;
        kept.carry_on();
        write(&store, &mut room, &me, 1).await;
        let loaded = store.load_room(room.info.id, 1_000).await.expect("an answer");
        let stored = loaded.expect("a room").messages;
        let seqs: Vec<_> = stored.iter().map(|message| message.seq).collect();
        assert_eq!(seqs, (1..=room.end.seq).collect::<Vec<_>>(), "by another: {by_other}");
    }
}

/// Who comes back while another one is displacing it must not take the lock that this one waits for and then
/// wait for the row that this one holds.
#[tokio::test]
async fn who_comes_back_waits_for_nobody_with_the_lock_in_its_hand() {
    let database = Database::new().await;
    let proxy = Proxy::new(&database.url());
    let (one, mut room, me) = alone(&database, &proxy.url()).await;
    let mut holder = database.connect().await;
    let mut held = holder.begin().await.expect("a transaction");
    execute(&mut held, "SELECT id FROM sole_writer FOR UPDATE").await;
    proxy.cut().await;
    let mut watching = database.connect().await;
    let back = async { write(&one, &mut room, &me, 1).await };
    let look = async {
        until("it waits to write beside others", async || {
            one_runs(&mut watching, "SELECT process FROM sole_writer%").await
        })
        .await;
        let free = AssertSqlSafe(format!("SELECT IS_FREE_LOCK({LOCK})"));
        let free = sqlx::query_scalar::<_, i64>(free).fetch_one(&mut watching).await;
        assert_eq!(free.expect("an answer"), 1);
        held.rollback().await.expect("it ends");
    };
    tokio::join!(back, look);
}

/// A store that is closed leaves the row free, so that the next one need not wait for a minute.
#[tokio::test]
async fn who_ends_lets_the_next_one_write_alone() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    let (one, mut room, me) = alone(&database, &database.url()).await;
    let first = sole(&mut connection).await;
    one.close().await;
    assert_eq!(sole(&mut connection).await, None);
    let next = open(&database.url(), DEADLINE).await;
    write(&next, &mut room, &me, 1).await;
    let second = sole(&mut connection).await;
    assert!(second.is_some() && second != first);
}

/// The one statement, each of several, and their answers: what has no key is not doubled either.
#[tokio::test]
async fn whatever_is_lost_of_a_commit_takes_effect_once() {
    let mut faults = Vec::new();
    // More than one statement carries, too.
    for messages in [1, 2, 100] {
        for answer in [false, true] {
            for command in [Command::Execute, Command::Commit] {
                let several = messages == 100;
                if matches!(command, Command::Commit) && !several {
                    continue;
                }
                let database = Database::new().await;
                let proxy = Proxy::new(&database.url());
                let (store, mut room, me) = alone(&database, &proxy.url()).await;
                let lose = if answer { Proxy::lose_answer } else { Proxy::lose_command };
                let loss = lose(&proxy, command, 1);
                write(&store, &mut room, &me, messages).await;
                if !loss.has_happened() {
                    faults.push(format!("{command:?} of {messages} was not lost"));
                }
                write(&store, &mut room, &me, 1).await;
                let loaded = store.load_room(room.info.id, 1_000).await.expect("an answer");
                let stored = loaded.expect("a room").messages;
                let seqs = stored.iter().map(|message| message.seq);
                if !seqs.eq(1..=4 + messages) {
                    let found: Vec<_> = stored.iter().map(|message| message.seq).collect();
                    faults.push(format!("{command:?} of {messages}, answer {answer}: {found:?}"));
                }
            }
        }
    }
    tell(&faults);
}
