-- What lets old messages go, keeps writers of several processes apart, and tells how far replicas are.

-- The number of the room's last change. Who writes to a room makes sure that it is still what it
-- believes, which also tells whether the room has ended.
ALTER TABLE rooms ADD COLUMN last_change INTEGER NOT NULL DEFAULT 0;
UPDATE rooms SET last_change =
    COALESCE((SELECT MAX(number) FROM changes WHERE changes.room = rooms.id), 0);

-- Messages up to this `seq` have been removed because of their age or their number. A room of which
-- all messages are gone goes on counting from here.
ALTER TABLE rooms ADD COLUMN removed_seq INTEGER NOT NULL DEFAULT 0;

-- Each running process counts here, once a second, if its database has replicas: the number that a
-- replica shows tells how far it has come. An SQLite file has none; the table is here so that both
-- databases have the same ones.
CREATE TABLE beats (
    process BLOB    NOT NULL PRIMARY KEY,
    beat    INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
