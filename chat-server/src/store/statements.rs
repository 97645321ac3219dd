//! The statements over many rows, in the words of each database.

use super::background::END_ROOMS;
use super::statement::ManyRows;

/// How rooms stand for a user. Of the messages behind its position, each is looked at once.
const STANDINGS_HEAD: &str = "\
    SELECT r.id AS room, r.public_id, r.title, r.kind, r.ephemeral, r.created_ms, \
        COALESCE((SELECT l.seq FROM messages l WHERE l.room = r.id ORDER BY l.seq DESC LIMIT 1), \
            r.removed_seq) AS seq, \
        r.last_change AS number, \
        (SELECT COUNT(*) FROM members c WHERE c.room = r.id) AS members, \
        MAX(o.public_id) AS parent, MAX(t.seq) AS parent_seq, \
        COALESCE(MAX(p.seq), 0) AS read_seq, \
        COUNT(u.seq) AS unread, \
        COUNT(CASE WHEN INSTR(u.mentions, m.user) > 0 THEN 1 END) AS mentions \
    FROM members m JOIN rooms r ON r.id = m.room \
        LEFT JOIN threads t ON t.thread = r.id LEFT JOIN rooms o ON o.id = t.room \
        LEFT JOIN read_positions p ON p.room = m.room AND p.user = m.user \
        LEFT JOIN messages u ON u.room = m.room AND u.seq > COALESCE(p.seq, 0) \
            AND u.deleted = 0 AND u.sender <> m.user \
    WHERE m.user = ? AND r.ended = 0 AND (t.room IS NULL OR EXISTS \
        (SELECT 1 FROM members b WHERE b.room = t.room AND b.user = m.user)) \
        AND r.public_id IN (";

const STANDINGS_TAIL: &str = ") GROUP BY r.id";

/// What databases write differently.
pub(super) struct Syntax {
    /// What follows an insert that replaces a column of the row that is there already, if it is
    /// found by this key: made from the key's columns and the column.
    pub(super) or_replace: fn(key: &str, column: &str) -> String,
    /// What follows an insert that raises a column of the row that is there already, found likewise.
    pub(super) or_raise: fn(key: &str, column: &str) -> String,
    /// What follows an insert of names: those that are fixed stay, others are replaced.
    pub(super) or_rename: &'static str,
    /// Stands before the rows of a list that a row is looked up in.
    pub(super) rows_of_list: &'static str,
}

/// The statements over many rows, each in all its lengths.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) keys: ManyRows,
    pub(super) used_keys: ManyRows,
    pub(super) between: ManyRows,
    pub(super) users: ManyRows,
    pub(super) messages: ManyRows,
    pub(super) changes: ManyRows,
    pub(super) last_changes: ManyRows,
    pub(super) joined: ManyRows,
    pub(super) left: ManyRows,
    pub(super) invited: ManyRows,
    pub(super) came: ManyRows,
    pub(super) restricted: ManyRows,
    pub(super) lifted: ManyRows,
    pub(super) used: ManyRows,
    pub(super) marked: ManyRows,
    pub(super) unmarked: ManyRows,
    pub(super) read: ManyRows,
    pub(super) unread: ManyRows,
    /// The first parameter is a user, the others are public ids of rooms.
    pub(super) standings: ManyRows,
    /// How often each mark was given to messages. The first parameter is their room, the others are their numbers.
    pub(super) counts: ManyRows,
    /// What has been told of the threads on messages.
    pub(super) told: ManyRows,
    pub(super) ended: ManyRows,
}

/// How many kinds there are.
pub(super) const KINDS: usize = 22;

impl Statements {
    pub(super) fn new(syntax: &Syntax) -> Self {
        let Syntax { or_replace, or_raise, or_rename, rows_of_list } = syntax;
        let among =
            |head: &str, row: &str| ManyRows::new(&format!("{head} IN ({rows_of_list}"), row, ")");
        Self {
            keys: ManyRows::new(
                &format!(
                    "SELECT room, sender, client_key, fingerprint, seq, at_ms FROM messages \
                     WHERE client_key IS NOT NULL AND (room, sender, client_key) IN ({rows_of_list}"
                ),
                "(?, ?, ?)",
                ")",
            ),
            used_keys: ManyRows::new(
                &format!(
                    "SELECT room, user, client_key, fingerprint, opened FROM used_keys \
                     WHERE (room, user, client_key) IN ({rows_of_list}"
                ),
                "(?, ?, ?)",
                ")",
            ),
            between: ManyRows::with(|list| {
                format!(
                    "SELECT m.room, m.seq, m.sender, u.name, m.text, m.at_ms, \
                        m.reply_to, m.mentions, m.files, m.edited_ms, m.deleted \
                     FROM messages m LEFT JOIN users u ON u.id = m.sender WHERE {} \
                     ORDER BY m.room, m.seq",
                    list("(m.room = ? AND m.seq > ? AND m.seq <= ?)", " OR ")
                )
            }),
            users: ManyRows::new("INSERT INTO users (id, name) VALUES", "(?, ?)", or_rename),
            messages: ManyRows::new(
                "INSERT INTO messages \
                    (room, seq, sender, text, at_ms, client_key, fingerprint, \
                     reply_to, mentions, files) VALUES",
                "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                "",
            ),
            changes: ManyRows::new(
                "INSERT INTO changes (room, number, seq, kind, user, role, at_ms, \
                    actor, until_ms, invite, slow_s, read_only, target) VALUES",
                "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                "",
            ),
            last_changes: ManyRows::with(|list| {
                format!(
                    "UPDATE rooms SET last_change = CASE id {} ELSE last_change END \
                     WHERE id IN ({})",
                    list("WHEN ? THEN ?", " "),
                    list("?", ", ")
                )
            }),
            joined: ManyRows::new(
                "INSERT INTO members (room, user, role) VALUES",
                "(?, ?, ?)",
                &or_replace("room, user", "role"),
            ),
            left: among("DELETE FROM members WHERE (room, user)", "(?, ?)"),
            invited: ManyRows::new(
                "INSERT INTO invitations (room, user) VALUES",
                "(?, ?)",
                // Who is invited already stays so.
                &or_replace("room, user", "user"),
            ),
            came: among("DELETE FROM invitations WHERE (room, user)", "(?, ?)"),
            restricted: ManyRows::new(
                "INSERT INTO restrictions (room, user, kind, until_ms) VALUES",
                "(?, ?, ?, ?)",
                &or_replace("room, user, kind", "until_ms"),
            ),
            used: ManyRows::new(
                "INSERT INTO used_keys (client_key, room, user, fingerprint, opened, at_ms) VALUES",
                "(?, ?, ?, ?, ?, ?)",
                "",
            ),
            marked: ManyRows::new(
                "INSERT INTO marks (room, seq, mark, user) VALUES",
                "(?, ?, ?, ?)",
                // What is given already stays so.
                &or_replace("room, seq, mark, user", "user"),
            ),
            unmarked: among("DELETE FROM marks WHERE (room, seq, mark, user)", "(?, ?, ?, ?)"),
            read: ManyRows::new(
                "INSERT INTO read_positions (room, user, seq) VALUES",
                "(?, ?, ?)",
                &or_raise("room, user", "seq"),
            ),
            unread: among("DELETE FROM read_positions WHERE (room, user)", "(?, ?)"),
            standings: ManyRows::new(STANDINGS_HEAD, "?", STANDINGS_TAIL),
            counts: ManyRows::new(
                "SELECT seq, mark, COUNT(*) AS count FROM marks WHERE room = ? AND seq IN (",
                "?",
                ") GROUP BY seq, mark ORDER BY seq, mark",
            ),
            told: ManyRows::with(|list| {
                format!(
                    "SELECT t.room, t.seq, t.at_ms, r.public_id, t.replies, t.last_seq, t.last_user, \
                        t.last_ms, u.name AS last_name, t.told_seq AS upto_seq, \
                        t.told_change AS upto_change \
                     FROM threads t JOIN rooms r ON r.id = t.thread \
                        LEFT JOIN users u ON u.id = t.last_user \
                     WHERE t.told_seq IS NOT NULL AND ({})",
                    list("(t.room = ? AND t.seq = ?)", " OR ")
                )
            }),
            ended: ManyRows::new(END_ROOMS, "?", ")"),
            lifted: among("DELETE FROM restrictions WHERE (room, user, kind)", "(?, ?, ?)"),
        }
    }
}
