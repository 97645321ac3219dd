-- Accounts, and what keeps people signed in. Column by column what migrations/mysql has; what they mean
-- stands there.

CREATE TABLE accounts (
    user            BLOB    NOT NULL PRIMARY KEY,
    username        BLOB    NOT NULL,
    username_key    BLOB    NOT NULL,
    nickname_folded BLOB    NOT NULL,
    password        TEXT,
    was_guest       INTEGER NOT NULL,
    created_ms      INTEGER NOT NULL,
    deleted_ms      INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX accounts_by_key ON accounts (username_key);
CREATE INDEX accounts_by_username ON accounts (username);
CREATE INDEX accounts_by_nickname ON accounts (nickname_folded);
CREATE INDEX accounts_by_time ON accounts (was_guest, created_ms);

CREATE TABLE logins (
    id         BLOB    NOT NULL PRIMARY KEY,
    user       BLOB    NOT NULL,
    created_ms INTEGER NOT NULL,
    ended_ms   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX logins_by_user ON logins (user);
CREATE INDEX logins_by_end ON logins (ended_ms);

CREATE TABLE refresh_tokens (
    hash       BLOB    NOT NULL PRIMARY KEY,
    login      BLOB    NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_login ON refresh_tokens (login);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_ms);
