-- What makes writing faster: keys in the order of time, and one process that knows it is the only one.

-- A user's key counts once in a room. With the key first, those that begin with the time, as UUIDs of
-- version 7 do, are added at the end of the index and not each in a place of its own.
ALTER TABLE messages
    DROP KEY messages_by_key,
    ADD UNIQUE KEY messages_by_key (client_key, room, sender);

-- One row: which process writes alone, so that its commits need not make sure of every room that nobody
-- else has written to it.
-- process: who it is; NULL if several write, or none.
-- shared_ms: when a second one last came.
CREATE TABLE sole_writer (
    id        TINYINT NOT NULL PRIMARY KEY,
    process   BINARY(16),
    shared_ms BIGINT  NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO sole_writer (id, process, shared_ms) VALUES (1, NULL, 0);
