-- Whom people have as friends, and whom they have blocked: each one's own affair, so a row says nothing
-- about the other one.

CREATE TABLE friend_groups (
    `user` BINARY(16)  NOT NULL,
    id     BINARY(16)  NOT NULL,
    name   VARCHAR(32) NOT NULL,
    PRIMARY KEY (`user`, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- friend_group: NULL for the default one, into which the friends of a group fall that is removed.
CREATE TABLE friends (
    `user`       BINARY(16) NOT NULL,
    friend       BINARY(16) NOT NULL,
    friend_group BINARY(16),
    favourite    BOOLEAN    NOT NULL,
    hidden       BOOLEAN    NOT NULL,
    created_ms   BIGINT     NOT NULL,
    PRIMARY KEY (`user`, friend),
    KEY friends_by_group (`user`, friend_group),
    KEY friends_by_friend (friend)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE blocks (
    `user`     BINARY(16) NOT NULL,
    blocked    BINARY(16) NOT NULL,
    created_ms BIGINT     NOT NULL,
    PRIMARY KEY (`user`, blocked),
    KEY blocks_by_blocked (blocked)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
