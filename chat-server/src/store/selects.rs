//! The texts of what is selected, the same for every database. Each is named after the row in
//! [`rows`](super::rows) that it yields; the parameters are in the order of the question marks.

use sqlx::SqlStr;

/// A live room and where it stands. The last message is found by one dive into an index: no counter
/// of messages is kept. (`MAX(seq)` says the same, but for several rooms MariaDB then reads all of
/// their messages.) Parameter: public id.
pub(super) const ROOM: SqlStr = SqlStr::from_static(
    "\
    SELECT r.id AS room, r.public_id, r.title, r.kind, r.ephemeral, r.created_ms, \
        r.invite, r.slow_s, r.read_only, \
        COALESCE((SELECT m.seq FROM messages m WHERE m.room = r.id ORDER BY m.seq DESC LIMIT 1), r.removed_seq) AS seq, \
        r.last_change AS number, r.removed_seq, p.public_id AS parent, t.seq AS parent_seq \
    FROM rooms r LEFT JOIN threads t ON t.thread = r.id LEFT JOIN rooms p ON p.id = t.room \
    WHERE r.public_id = ? AND r.ended = 0",
);

/// A room's members. Parameter: room.
pub(super) const MEMBERS: SqlStr = SqlStr::from_static(
    "\
    SELECT m.user, u.name, m.role \
    FROM members m LEFT JOIN users u ON u.id = m.user WHERE m.room = ?",
);

/// How far a room's members have read. Parameter: room.
pub(super) const READINGS: SqlStr = SqlStr::from_static(
    "\
    SELECT p.user, p.seq FROM read_positions p \
    JOIN members m ON m.room = p.room AND m.user = p.user WHERE p.room = ?",
);

/// The rooms of a user, those first in which something was written last; of threads, those whose parent's room is one of them. Parameters: user; whether threads are
/// among them, as 0 or 1; the moment and the public id before which they are, the moment twice; how many at most.
pub(super) const ACTIVE: SqlStr = SqlStr::from_static(
    "\
    SELECT a.public_id, a.at_ms FROM ( \
        SELECT r.public_id, COALESCE((SELECT l.at_ms FROM messages l WHERE l.room = r.id \
            ORDER BY l.seq DESC LIMIT 1), r.created_ms) AS at_ms \
        FROM members m JOIN rooms r ON r.id = m.room LEFT JOIN threads t ON t.thread = r.id \
        WHERE m.user = ? AND r.ended = 0 AND (t.room IS NULL OR ? = 1 AND EXISTS \
            (SELECT 1 FROM members p WHERE p.room = t.room AND p.user = m.user))) a \
    WHERE a.at_ms < ? OR (a.at_ms = ? AND a.public_id < ?) \
    ORDER BY a.at_ms DESC, a.public_id DESC LIMIT ?",
);

/// Who has been invited to a room. Parameter: room.
pub(super) const INVITED: SqlStr = SqlStr::from_static(
    "\
    SELECT i.user, u.name \
    FROM invitations i LEFT JOIN users u ON u.id = i.user WHERE i.room = ?",
);

/// Who is kept from a room, or from writing in it. Parameter: room.
pub(super) const RESTRICTIONS: SqlStr = SqlStr::from_static(
    "\
    SELECT x.user, u.name, x.kind, x.until_ms \
    FROM restrictions x LEFT JOIN users u ON u.id = x.user WHERE x.room = ?",
);

/// The direct room of two users. Parameter: their ids.
pub(super) const DIRECT: SqlStr =
    SqlStr::from_static("SELECT public_id FROM rooms WHERE pair = ? AND ended = 0");

/// The thread on a message. Parameters: public id of the message's room, seq.
pub(super) const THREAD_ON: SqlStr = SqlStr::from_static(
    "\
    SELECT r.public_id FROM rooms p JOIN threads t ON t.room = p.id JOIN rooms r ON r.id = t.thread \
    WHERE p.public_id = ? AND t.seq = ? AND p.ended = 0 AND r.ended = 0",
);

/// What a thread has come to by now, where it stands with it, and whether its parent's room has been told.
/// Parameter: room.
pub(super) const THREAD: SqlStr = SqlStr::from_static(
    "\
    SELECT r.public_id, \
        (SELECT COUNT(*) FROM messages d WHERE d.room = r.id AND d.deleted = 0) AS replies, \
        l.seq AS last_seq, l.sender AS last_user, l.at_ms AS last_ms, u.name AS last_name, \
        COALESCE((SELECT m.seq FROM messages m WHERE m.room = r.id ORDER BY m.seq DESC LIMIT 1), r.removed_seq) \
            AS upto_seq, \
        r.last_change AS upto_change, t.told_seq, \
        EXISTS (SELECT 1 FROM messages n WHERE n.room = r.id AND n.seq > t.told_seq) AS has_new, \
        EXISTS (SELECT 1 FROM changes c WHERE c.room = r.id AND c.number > t.told_change \
            AND c.kind IN ('deleted', 'erased')) AS has_deleted \
    FROM threads t JOIN rooms r ON r.id = t.thread \
        LEFT JOIN messages l ON l.room = r.id AND l.seq = \
            (SELECT k.seq FROM messages k WHERE k.room = r.id AND k.deleted = 0 ORDER BY k.seq DESC LIMIT 1) \
        LEFT JOIN users u ON u.id = l.sender \
    WHERE t.thread = ? AND r.ended = 0",
);

/// A room's threads of which it has not been told all. Parameter: room.
pub(super) const UNTOLD: SqlStr = SqlStr::from_static(
    "\
    SELECT r.public_id FROM threads t JOIN rooms r ON r.id = t.thread \
    WHERE t.room = ? AND r.ended = 0 AND (t.told_seq IS NULL \
        OR EXISTS (SELECT 1 FROM messages n WHERE n.room = t.thread AND n.seq > t.told_seq) \
        OR (r.last_change > t.told_change AND EXISTS (SELECT 1 FROM changes c WHERE c.room = t.thread \
            AND c.number > t.told_change AND c.kind IN ('deleted', 'erased'))))",
);

/// What has been told of the threads on a range of messages. Parameters: room, above, up to and including.
pub(super) const THREADS: SqlStr = SqlStr::from_static(
    "\
    SELECT t.seq, t.at_ms, r.public_id, t.replies, t.last_seq, t.last_user, t.last_ms, \
        u.name AS last_name, t.told_seq AS upto_seq, t.told_change AS upto_change \
    FROM threads t JOIN rooms r ON r.id = t.thread LEFT JOIN users u ON u.id = t.last_user \
    WHERE t.room = ? AND t.seq > ? AND t.seq <= ? AND t.told_seq IS NOT NULL",
);

/// A page of a room's threads, the one that was written in last first. Parameters: room; before this moment,
/// or in it, and on a message before this one; how many at most.
pub(super) const LISTED_THREADS: SqlStr = SqlStr::from_static(
    "\
    SELECT t.seq, t.at_ms, r.public_id, t.replies, t.last_seq, t.last_user, t.last_ms, \
        u.name AS last_name, t.told_seq AS upto_seq, t.told_change AS upto_change \
    FROM threads t JOIN rooms r ON r.id = t.thread LEFT JOIN users u ON u.id = t.last_user \
    WHERE t.room = ? AND t.told_seq IS NOT NULL AND (t.at_ms < ? OR (t.at_ms = ? AND t.seq < ?)) \
    ORDER BY t.at_ms DESC, t.seq DESC LIMIT ?",
);

/// Numbers of a room's threads. Parameter: room.
pub(super) const ITS_THREADS: SqlStr =
    SqlStr::from_static("SELECT thread FROM threads WHERE room = ?");

/// A range of a room's messages, oldest first. An author is always in `users`; if one were missing,
/// the outer join makes that an error instead of a silent gap. Parameters: room, above, up to and
/// including.
pub(super) const MESSAGES: SqlStr = SqlStr::from_static(
    "\
    SELECT m.seq, m.sender, u.name, m.text, m.at_ms, \
        m.reply_to, m.mentions, m.files, m.edited_ms, m.deleted \
    FROM messages m LEFT JOIN users u ON u.id = m.sender \
    WHERE m.room = ? AND m.seq > ? AND m.seq <= ? ORDER BY m.seq",
);

/// How often each mark was given to a range of messages. Parameters: room, above, up to and including.
pub(super) const COUNTS: SqlStr = SqlStr::from_static(
    "\
    SELECT seq, mark, COUNT(*) AS count FROM marks \
    WHERE room = ? AND seq > ? AND seq <= ? GROUP BY seq, mark ORDER BY seq, mark",
);

/// Who has given a range of messages which marks. Parameters: room, above, up to and including.
pub(super) const MARKS: SqlStr = SqlStr::from_static(
    "SELECT seq, mark, user FROM marks WHERE room = ? AND seq > ? AND seq <= ?",
);

/// What a user has marked of a range of messages. Parameters: room, user, above, up to and including.
pub(super) const MARKS_OF: SqlStr = SqlStr::from_static(
    "SELECT seq, mark, user FROM marks WHERE room = ? AND user = ? AND seq > ? AND seq <= ?",
);

/// Who has given a message a mark, in the order of ids. Parameters: room, seq, mark, above this id, how many at
/// most.
pub(super) const MARKERS: SqlStr = SqlStr::from_static(
    "\
    SELECT m.user, u.name FROM marks m LEFT JOIN users u ON u.id = m.user \
    WHERE m.room = ? AND m.seq = ? AND m.mark = ? AND m.user > ? ORDER BY m.user LIMIT ?",
);

/// What a message said first. Parameters: room, seq, how many at most.
pub(super) const FIRST_REVISIONS: SqlStr = SqlStr::from_static(
    "SELECT number, text, at_ms FROM revisions WHERE room = ? AND seq = ? ORDER BY number LIMIT ?",
);

/// What it said last before it was edited, latest first. Parameters: room, seq, how many at most.
pub(super) const LAST_REVISIONS: SqlStr = SqlStr::from_static(
    "\
    SELECT number, text, at_ms FROM revisions \
    WHERE room = ? AND seq = ? ORDER BY number DESC LIMIT ?",
);

/// Keys of a range of a room's messages. Parameters: room, above, up to and including.
pub(super) const KEYS: SqlStr = SqlStr::from_static(
    "\
    SELECT room, sender, client_key, fingerprint, seq, at_ms FROM messages \
    WHERE room = ? AND seq > ? AND seq <= ? AND client_key IS NOT NULL",
);

/// The message that has taken a key. Parameters: key, room, user.
pub(super) const MESSAGE_KEY: SqlStr = SqlStr::from_static(
    "\
    SELECT room, sender, client_key, fingerprint, seq, at_ms FROM messages \
    WHERE client_key = ? AND room = ? AND sender = ?",
);

/// The last keys of a room's changes. Parameters: room, how many at most.
pub(super) const LAST_USED_KEYS: SqlStr = SqlStr::from_static(
    "\
    SELECT room, user, client_key, fingerprint, opened FROM used_keys \
    WHERE room = ? ORDER BY at_ms DESC LIMIT ?",
);

/// A key of a room's changes, or with 0 in place of the room, one with which a room was opened. Parameters:
/// key, room, user.
pub(super) const USED_KEY: SqlStr = SqlStr::from_static(
    "\
    SELECT room, user, client_key, fingerprint, opened FROM used_keys \
    WHERE client_key = ? AND room = ? AND user = ?",
);

/// A range of a room's changes, oldest first. What a message says that was edited is what it says now.
/// Parameters: room, above, how many at most.
pub(super) const CHANGES: SqlStr = SqlStr::from_static(
    "\
    SELECT c.number, c.seq, c.kind, c.user, u.name, c.role, c.at_ms, c.actor, \
        a.name AS actor_name, c.until_ms, c.invite, c.slow_s, c.read_only, \
        c.target, m.text, m.mentions \
    FROM changes c LEFT JOIN users u ON u.id = c.user LEFT JOIN users a ON a.id = c.actor \
        LEFT JOIN messages m ON m.room = c.room AND m.seq = c.target \
    WHERE c.room = ? AND c.number > ? ORDER BY c.number LIMIT ?",
);

/// Live rooms with this in their title, newest first; members are counted for the rooms of the
/// answer only. Parameters: kind, older than this public id, folded part of the title, how many at
/// most.
pub(super) const LISTED: SqlStr = SqlStr::from_static(
    "\
    SELECT r.public_id, r.title, r.kind, r.ephemeral, r.created_ms, \
        (SELECT COUNT(*) FROM members m WHERE m.room = r.id) AS members \
    FROM rooms r \
    WHERE r.ended = 0 AND r.kind = ? AND r.public_id < ? AND INSTR(r.title_folded, ?) > 0 \
    ORDER BY r.public_id DESC LIMIT ?",
);

/// Public ids of live ephemeral rooms.
pub(super) const EPHEMERAL: SqlStr =
    SqlStr::from_static("SELECT public_id FROM rooms WHERE ephemeral = 1 AND ended = 0");

/// Numbers of rooms whose deletion was begun.
pub(super) const ENDED: SqlStr =
    SqlStr::from_static("SELECT id FROM rooms WHERE ended = 1 ORDER BY id");

/// Live rooms by number, where their messages begin and end, and whether the first of them is older
/// than a moment. Parameters: the moment, after this number, how many at most.
pub(super) const RETAINED: SqlStr = SqlStr::from_static(
    "\
    SELECT r.id AS room, r.removed_seq, \
        COALESCE((SELECT m.seq FROM messages m WHERE m.room = r.id ORDER BY m.seq DESC LIMIT 1), r.removed_seq) AS seq, \
        EXISTS (SELECT 1 FROM messages f \
            WHERE f.room = r.id AND f.seq = r.removed_seq + 1 AND f.at_ms < ?) AS is_old \
    FROM rooms r WHERE r.ended = 0 AND r.id > ? ORDER BY r.id LIMIT ?",
);

/// The first message of a range that is not older than a moment. Parameters: room, above, up to and
/// including, the moment.
pub(super) const FIRST_YOUNG: SqlStr = SqlStr::from_static(
    "\
    SELECT MIN(seq) FROM messages WHERE room = ? AND seq > ? AND seq <= ? AND at_ms >= ?",
);
