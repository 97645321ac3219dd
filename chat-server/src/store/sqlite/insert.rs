//! Writes a commit's rows with as few statements as their number allows: each is one step to the
//! connection's thread and back.

use chat_core::{Name, RoomKey, UserId};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use crate::store::plan::Rows;
use crate::store::rows::{id_bytes, signed};
use crate::store::statement::ManyRows;

/// The statements over many rows, each in all its lengths.
#[derive(Debug)]
pub(super) struct Statements {
    /// Finds messages by client key.
    pub(super) keys: ManyRows,
    users: ManyRows,
    messages: ManyRows,
    changes: ManyRows,
    joined: ManyRows,
    left: ManyRows,
    invited: ManyRows,
    came: ManyRows,
}

impl Statements {
    pub(super) fn new() -> Self {
        Self {
            keys: ManyRows::new(
                "SELECT room, sender, client_key, fingerprint, seq, at_ms FROM messages \
                 WHERE client_key IS NOT NULL AND (room, sender, client_key) IN (VALUES",
                "(?, ?, ?)",
                ")",
            ),
            users: ManyRows::new(
                "INSERT INTO users (id, name) VALUES",
                "(?, ?)",
                "ON CONFLICT (id) DO UPDATE SET name = excluded.name",
            ),
            messages: ManyRows::new(
                "INSERT INTO messages \
                 (room, seq, sender, text, at_ms, client_key, fingerprint) VALUES",
                "(?, ?, ?, ?, ?, ?, ?)",
                "",
            ),
            changes: ManyRows::new(
                "INSERT INTO changes (room, number, seq, kind, user, role, at_ms) VALUES",
                "(?, ?, ?, ?, ?, ?, ?)",
                "",
            ),
            joined: ManyRows::new(
                "INSERT INTO members (room, user, role) VALUES",
                "(?, ?, ?)",
                "ON CONFLICT (room, user) DO UPDATE SET role = excluded.role",
            ),
            left: ManyRows::new("DELETE FROM members WHERE (room, user) IN (VALUES", "(?, ?)", ")"),
            invited: ManyRows::new(
                "INSERT INTO invitations (room, user) VALUES",
                "(?, ?)",
                "ON CONFLICT (room, user) DO NOTHING",
            ),
            came: ManyRows::new(
                "DELETE FROM invitations WHERE (room, user) IN (VALUES",
                "(?, ?)",
                ")",
            ),
        }
    }

    /// Writes the names that `users` may lack, and all rows.
    pub(super) async fn insert(
        &self,
        connection: &mut SqliteConnection,
        names: &[(UserId, &Name)],
        rows: &Rows<'_>,
    ) -> Result<(), sqlx::Error> {
        execute(connection, &self.users, names, |query, (id, name)| {
            query.bind(id_bytes(id.uuid())).bind(&***name)
        })
        .await?;
        execute(connection, &self.messages, &rows.messages, |query, message| {
            let (key, fingerprint) = message.key.unzip();
            query
                .bind(message.room.0)
                .bind(signed(message.seq))
                .bind(id_bytes(message.from.id.uuid()))
                .bind(&**message.text)
                .bind(message.at.timestamp_millis())
                .bind(key.map(|key| key.as_str().as_bytes()))
                .bind(fingerprint.map(|fingerprint| fingerprint.0.to_vec()))
        })
        .await?;
        execute(connection, &self.changes, &rows.changes, |query, new| {
            let membership = new.change.kind.membership();
            query
                .bind(new.room.0)
                .bind(signed(new.change.cursor.change))
                .bind(signed(new.change.cursor.seq))
                .bind(new.change.kind.as_str())
                .bind(id_bytes(membership.user.id.uuid()))
                .bind(membership.role.as_str())
                .bind(new.change.at.timestamp_millis())
        })
        .await?;
        let members = rows.members.iter();
        let joined: Vec<_> =
            members.clone().filter_map(|(member, role)| Some((member, (*role)?))).collect();
        execute(connection, &self.joined, &joined, |query, ((room, user), role)| {
            query.bind(room.0).bind(id_bytes(user.uuid())).bind(role.as_str())
        })
        .await?;
        let left: Vec<_> =
            members.filter(|(_, role)| role.is_none()).map(|(member, _)| member).collect();
        execute(connection, &self.left, &left, bind_member).await?;
        let invitations = rows.invited.iter();
        let (invited, came): (Vec<_>, Vec<_>) = invitations.partition(|(_, invited)| **invited);
        for (statement, users) in [(&self.invited, invited), (&self.came, came)] {
            let users: Vec<_> = users.into_iter().map(|(user, _)| user).collect();
            execute(connection, statement, &users, bind_member).await?;
        }
        Ok(())
    }
}

fn bind_member<'q>(query: Bound<'q>, (room, user): &'q &(RoomKey, UserId)) -> Bound<'q> {
    query.bind(room.0).bind(id_bytes(user.uuid()))
}

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// Executes a statement for all rows.
async fn execute<T>(
    connection: &mut SqliteConnection,
    statement: &ManyRows,
    rows: &[T],
    bind: impl for<'q> Fn(Bound<'q>, &'q T) -> Bound<'q>,
) -> Result<(), sqlx::Error> {
    for (text, piece) in statement.pieces(rows) {
        let query = piece.iter().fold(sqlx::query(AssertSqlSafe(text)), &bind);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
