-- How people are called and what they say of themselves, and whom everybody has to forget. Column by column
-- what migrations/mysql has; what they mean stands there.

ALTER TABLE users ADD COLUMN fixed INTEGER NOT NULL DEFAULT 0;
UPDATE users SET fixed = 1 WHERE id IN (SELECT user FROM accounts);

ALTER TABLE accounts ADD COLUMN status TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN renamed_ms INTEGER;
CREATE INDEX accounts_by_renaming ON accounts (renamed_ms) WHERE renamed_ms IS NOT NULL;

CREATE INDEX changes_by_user ON changes (user, room);

CREATE TABLE departures (
    user     BLOB    NOT NULL PRIMARY KEY,
    erase    INTEGER NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
