-- Whom people have as friends, and whom they have blocked. Column by column what migrations/mysql has; what
-- they mean stands there.

CREATE TABLE friend_groups (
    user BLOB NOT NULL,
    id   BLOB NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (user, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE friends (
    user         BLOB    NOT NULL,
    friend       BLOB    NOT NULL,
    friend_group BLOB,
    favourite    INTEGER NOT NULL,
    hidden       INTEGER NOT NULL,
    created_ms   INTEGER NOT NULL,
    PRIMARY KEY (user, friend)
) STRICT, WITHOUT ROWID;
CREATE INDEX friends_by_group ON friends (user, friend_group);
CREATE INDEX friends_by_friend ON friends (friend);

CREATE TABLE blocks (
    user       BLOB    NOT NULL,
    blocked    BLOB    NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (user, blocked)
) STRICT, WITHOUT ROWID;
CREATE INDEX blocks_by_blocked ON blocks (blocked);
