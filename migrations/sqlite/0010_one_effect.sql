-- Whatever is done with a client's key takes effect once, be it a message, a change or the opening of a room. Column by
-- column what migrations/mysql has; what they mean stands there.

CREATE TABLE used_keys (
    client_key  BLOB    NOT NULL,
    room        INTEGER NOT NULL,
    user        BLOB    NOT NULL,
    fingerprint BLOB    NOT NULL,
    opened      BLOB,
    at_ms       INTEGER NOT NULL,
    PRIMARY KEY (client_key, room, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_keys_by_room ON used_keys (room, at_ms);
CREATE INDEX used_keys_by_time ON used_keys (at_ms);
