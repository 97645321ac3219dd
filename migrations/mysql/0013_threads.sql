-- Threads: rooms whose parent is a message of another room. A message has one, however many open it at once.
CREATE TABLE threads (
    -- The message that it is on.
    room        BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    -- Its own room.
    thread      BIGINT NOT NULL,
    -- When it was last written in, as far as the message's room has been told, or opened.
    at_ms       BIGINT NOT NULL,
    -- What it has come to, as far as the message's room has been told: how many messages, and the last one.
    replies     BIGINT NOT NULL DEFAULT 0,
    last_seq    BIGINT,
    last_user   BINARY(16),
    last_ms     BIGINT,
    -- How far the thread had come by then: its last message and change. NULL before the first time.
    told_seq    BIGINT,
    told_change BIGINT,
    PRIMARY KEY (room, seq),
    UNIQUE KEY threads_by_thread (thread),
    KEY threads_by_time (room, at_ms, seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
