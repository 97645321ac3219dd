-- Rooms, who is in them, what was said in them, and what else happened in them. Table by table and column
-- by column what migrations/sqlite has; why there are no foreign keys stands there too.
--
-- Times are milliseconds since 1970-01-01 00:00 UTC. Public ids are UUIDs of version 7 as 16 bytes, so that
-- they sort by the time they were made. Inside, a room is a short integer.
--
-- Whatever is compared is bytes (BINARY, VARBINARY) or of a few fixed words: under a collation, two texts
-- may be equal that are not the same. Text that is only kept is utf8mb4.

CREATE TABLE users (
    id   BINARY(16)  NOT NULL PRIMARY KEY,
    name VARCHAR(32) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- InnoDB never gives a number twice (MariaDB since 10.2.4, MySQL since 8.0 not even after a restart), so
-- that a process that has not yet heard of a room's deletion cannot write into another one.
CREATE TABLE rooms (
    id           BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    public_id    BINARY(16)     NOT NULL,
    title        VARCHAR(100)   NOT NULL,
    -- The title in lower case, folded by the server. 100 characters in lower case are up to 200.
    title_folded VARBINARY(800) NOT NULL,
    kind         VARCHAR(16)    NOT NULL,
    ephemeral    BOOLEAN        NOT NULL,
    created_ms   BIGINT         NOT NULL,
    -- 1 from the moment of deletion, while what belongs to the room is being removed: nobody sees the
    -- room any more.
    ended        BOOLEAN        NOT NULL DEFAULT FALSE,
    UNIQUE KEY rooms_by_public_id (public_id),
    -- What is asked for when the server starts. There is no index over a part of a table here.
    KEY rooms_ended (ended, ephemeral)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who is a member now.
CREATE TABLE members (
    room   BIGINT      NOT NULL,
    `user` BINARY(16)  NOT NULL,
    role   VARCHAR(16) NOT NULL,
    PRIMARY KEY (room, `user`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- In the order of rooms and numbers, so that a page of history is one range. `seq` is 1, 2, 3 ... in each
-- room without a gap; two writers that give the same number collide here.
CREATE TABLE messages (
    room        BIGINT     NOT NULL,
    seq         BIGINT     NOT NULL,
    sender      BINARY(16) NOT NULL,
    -- 4,000 characters of up to four bytes.
    text        TEXT       NOT NULL,
    at_ms       BIGINT     NOT NULL,
    -- The client's key: up to 64 characters. NULL counts as different from every other.
    client_key  VARBINARY(256),
    -- What stands for the contents of the message that came with the key.
    fingerprint BINARY(16),
    PRIMARY KEY (room, seq),
    -- A user's key counts once in a room.
    UNIQUE KEY messages_by_key (room, sender, client_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What happened besides messages. `number` is 1, 2, 3 ... in each room without a gap, and the second half
-- of a room's cursor; `seq` is the last message before the change.
CREATE TABLE changes (
    room   BIGINT      NOT NULL,
    number BIGINT      NOT NULL,
    seq    BIGINT      NOT NULL,
    kind   VARCHAR(16) NOT NULL,
    `user` BINARY(16)  NOT NULL,
    role   VARCHAR(16) NOT NULL,
    at_ms  BIGINT      NOT NULL,
    PRIMARY KEY (room, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
