-- Rooms, who is in them, what was said in them, and what else happened in them.
--
-- Times are milliseconds since 1970-01-01 00:00 UTC. Public ids are UUIDs of version 7 as 16 bytes,
-- so that they sort by the time they were made. Inside, a room is a short integer.
--
-- No table names another with REFERENCES. A foreign key would look its parents up again for every
-- row, and the writer, which is alone while it writes, has just made sure of them itself: of the
-- room by reading its end, of the author by writing the name down first. Rooms are deleted in
-- pieces, which a cascade could not do.

-- Everybody who was ever a member or wrote something; the name is the last one seen. Who leaves
-- stays here, because messages take their author's name from here.
CREATE TABLE users (
    id   BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT, so that a deleted room's number is never given to another room: a process that has
-- not yet heard of the deletion may still write under the old number, and must be told that the
-- room is gone.
CREATE TABLE rooms (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id    BLOB    NOT NULL UNIQUE,
    title        TEXT    NOT NULL,
    -- The title in lower case, folded by the server: SQLite's own functions fold ASCII only.
    title_folded TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    ephemeral    INTEGER NOT NULL,
    created_ms   INTEGER NOT NULL,
    -- 1 from the moment of deletion, while what belongs to the room is being removed: nobody sees
    -- the room any more.
    ended        INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What is asked for when the server starts. Few rooms are in either index.
CREATE INDEX rooms_ended ON rooms (id) WHERE ended = 1;
CREATE INDEX rooms_ephemeral ON rooms (id) WHERE ephemeral = 1 AND ended = 0;

-- Who is a member now.
CREATE TABLE members (
    room INTEGER NOT NULL,
    user BLOB    NOT NULL,
    role TEXT    NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

-- `seq` is 1, 2, 3 ... in each room without a gap, and the first half of a room's cursor. A table
-- in the order of writing with an index beside it takes new messages of many rooms faster than one
-- in the order of (room, seq).
CREATE TABLE messages (
    room        INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    sender      BLOB    NOT NULL,
    text        TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    -- The client's key: bytes, because keys are the same only if every byte is.
    client_key  BLOB,
    -- What stands for the contents of the message that came with the key: 16 bytes.
    fingerprint BLOB,
    -- Whatever else goes wrong, a number is given once.
    UNIQUE (room, seq)
) STRICT;

-- A user's key counts once in a room.
CREATE UNIQUE INDEX messages_by_key ON messages (room, sender, client_key)
    WHERE client_key IS NOT NULL;

-- What happened besides messages. `number` is 1, 2, 3 ... in each room without a gap, and the
-- second half of a room's cursor; `seq` is the last message before the change.
CREATE TABLE changes (
    room   INTEGER NOT NULL,
    number INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    user   BLOB    NOT NULL,
    role   TEXT    NOT NULL,
    at_ms  INTEGER NOT NULL,
    PRIMARY KEY (room, number)
) STRICT, WITHOUT ROWID;
