-- What lets old messages go, keeps writers of several processes apart, and tells how far replicas are.

-- last_change: the number of the room's last change. Who writes to a room makes sure that it is still
-- what it believes, which also tells whether the room has ended.
-- removed_seq: messages up to this `seq` have been removed because of their age or their number. A
-- room of which all messages are gone goes on counting from here.
ALTER TABLE rooms
    ADD COLUMN last_change BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN removed_seq BIGINT NOT NULL DEFAULT 0;

-- Each running process counts here, once a second, if its database has replicas: the number that a
-- replica shows tells how far it has come.
CREATE TABLE beats (
    process BINARY(16) NOT NULL PRIMARY KEY,
    beat    BIGINT     NOT NULL,
    at_ms   BIGINT     NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
