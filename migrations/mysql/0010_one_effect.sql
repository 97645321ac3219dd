-- Whatever is done with a client's key takes effect once, be it a message, a change or the opening of a room.

-- Keys of changes and of rooms that were opened; those of messages stand with them. Kept for two days.
-- room: 0 of a key with which a room was opened.
-- user: who did it.
-- fingerprint: stands for what was done.
-- opened: the public id of the room that was opened.
CREATE TABLE used_keys (
    client_key  VARBINARY(256) NOT NULL,
    room        BIGINT         NOT NULL,
    `user`      BINARY(16)     NOT NULL,
    fingerprint BINARY(16)     NOT NULL,
    opened      BINARY(16),
    at_ms       BIGINT         NOT NULL,
    PRIMARY KEY (client_key, room, `user`),
    KEY used_keys_by_room (room, at_ms),
    KEY used_keys_by_time (at_ms)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
