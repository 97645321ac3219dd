-- Threads: rooms whose parent is a message of another room. Column by column what migrations/mysql has; what they
-- mean stands there.
CREATE TABLE threads (
    room        INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    thread      INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL,
    replies     INTEGER NOT NULL DEFAULT 0,
    last_seq    INTEGER,
    last_user   BLOB,
    last_ms     INTEGER,
    told_seq    INTEGER,
    told_change INTEGER,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX threads_by_thread ON threads (thread);
CREATE INDEX threads_by_time ON threads (room, at_ms, seq);
