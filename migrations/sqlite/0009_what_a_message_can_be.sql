-- What a message says besides its text, and what becomes of it after it has been written. Column by column what
-- migrations/mysql has; what they mean stands there.

ALTER TABLE messages ADD COLUMN reply_to INTEGER;
ALTER TABLE messages ADD COLUMN mentions BLOB;
ALTER TABLE messages ADD COLUMN files BLOB;
ALTER TABLE messages ADD COLUMN edited_ms INTEGER;
ALTER TABLE messages ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
UPDATE messages SET deleted = 1 WHERE text = '';

ALTER TABLE changes ADD COLUMN target INTEGER;

CREATE TABLE revisions (
    room   INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    number INTEGER NOT NULL,
    text   TEXT    NOT NULL,
    at_ms  INTEGER NOT NULL,
    PRIMARY KEY (room, seq, number)
) STRICT, WITHOUT ROWID;
