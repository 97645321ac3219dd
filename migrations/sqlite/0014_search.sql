-- What is found when messages are searched. Column by column what migrations/mysql has; what
-- they mean stands there.

CREATE TABLE search_grams (
    room  INTEGER NOT NULL,
    era   INTEGER NOT NULL,
    gram  BLOB    NOT NULL,
    block INTEGER NOT NULL,
    bits  INTEGER NOT NULL,
    PRIMARY KEY (room, era, gram, block)
) STRICT, WITHOUT ROWID;

CREATE TABLE search_progress (
    room   INTEGER NOT NULL PRIMARY KEY,
    seq    INTEGER NOT NULL DEFAULT 0,
    number INTEGER NOT NULL DEFAULT 0,
    stale  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX search_progress_by_staleness ON search_progress (room) WHERE stale = 1;

INSERT INTO search_progress (room) SELECT id FROM rooms WHERE ended = 0;
