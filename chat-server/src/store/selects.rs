//! The texts of what is selected, the same for every database. Each is named after the row in
//! [`rows`](super::rows) that it yields; the parameters are in the order of the question marks.

/// A live room and where it stands. Both ends are found by one dive into an index each: no counter
/// is kept. Parameter: public id.
pub(super) const ROOM: &str = "\
    SELECT r.id AS room, r.public_id, r.title, r.kind, r.ephemeral, r.created_ms, \
        COALESCE((SELECT MAX(m.seq) FROM messages m WHERE m.room = r.id), 0) AS seq, \
        COALESCE((SELECT MAX(c.number) FROM changes c WHERE c.room = r.id), 0) AS number \
    FROM rooms r WHERE r.public_id = ? AND r.ended = 0";

/// A room's members. Parameter: room.
pub(super) const MEMBERS: &str = "\
    SELECT m.user, u.name, m.role \
    FROM members m LEFT JOIN users u ON u.id = m.user WHERE m.room = ?";

/// Who has been invited to a room. Parameter: room.
pub(super) const INVITED: &str = "\
    SELECT i.user, u.name \
    FROM invitations i LEFT JOIN users u ON u.id = i.user WHERE i.room = ?";

/// The direct room of two users. Parameter: their ids.
pub(super) const DIRECT: &str = "SELECT public_id FROM rooms WHERE pair = ? AND ended = 0";

/// A range of a room's messages, oldest first. An author is always in `users`; if one were missing,
/// the outer join makes that an error instead of a silent gap. Parameters: room, above, up to and
/// including.
pub(super) const MESSAGES: &str = "\
    SELECT m.seq, m.sender, u.name, m.text, m.at_ms \
    FROM messages m LEFT JOIN users u ON u.id = m.sender \
    WHERE m.room = ? AND m.seq > ? AND m.seq <= ? ORDER BY m.seq";

/// A range of a room's changes, oldest first. Parameters: room, above, how many at most.
pub(super) const CHANGES: &str = "\
    SELECT c.number, c.seq, c.kind, c.user, u.name, c.role, c.at_ms \
    FROM changes c LEFT JOIN users u ON u.id = c.user \
    WHERE c.room = ? AND c.number > ? ORDER BY c.number LIMIT ?";

/// Live rooms with this in their title, newest first; members are counted for the rooms of the
/// answer only. Parameters: kind, older than this public id, folded part of the title, how many at
/// most.
pub(super) const LISTED: &str = "\
    SELECT r.public_id, r.title, r.kind, r.ephemeral, r.created_ms, \
        (SELECT COUNT(*) FROM members m WHERE m.room = r.id) AS members \
    FROM rooms r \
    WHERE r.ended = 0 AND r.kind = ? AND r.public_id < ? AND INSTR(r.title_folded, ?) > 0 \
    ORDER BY r.public_id DESC LIMIT ?";

/// Public ids of live ephemeral rooms.
pub(super) const EPHEMERAL: &str = "SELECT public_id FROM rooms WHERE ephemeral = 1 AND ended = 0";

/// Numbers of rooms whose deletion was begun.
pub(super) const ENDED: &str = "SELECT id FROM rooms WHERE ended = 1";
