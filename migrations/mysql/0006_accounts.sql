-- Accounts, and what keeps people signed in.

-- username: in lower case, as it is shown; empty of a deleted account.
-- username_key: alike for all usernames that look alike. It stays when an account is deleted, so that
-- nobody can take its place.
-- nickname_folded: the nickname (`users.name`) in lower case, to be searched by its beginning.
-- password: argon2id in the PHC string format; NULL of a deleted account.
-- was_guest: had a token without an account before.
CREATE TABLE accounts (
    `user`          BINARY(16)     NOT NULL PRIMARY KEY,
    username        VARBINARY(128) NOT NULL,
    username_key    VARBINARY(512) NOT NULL,
    nickname_folded VARBINARY(256) NOT NULL,
    password        VARCHAR(255),
    was_guest       BOOLEAN        NOT NULL,
    created_ms      BIGINT         NOT NULL,
    deleted_ms      BIGINT,
    UNIQUE KEY accounts_by_key (username_key),
    KEY accounts_by_username (username),
    KEY accounts_by_nickname (nickname_folded),
    KEY accounts_by_time (was_guest, created_ms)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A sign-in, with all that it leads to. ended_ms: since when its tokens are void.
CREATE TABLE logins (
    id         BINARY(16) NOT NULL PRIMARY KEY,
    `user`     BINARY(16) NOT NULL,
    created_ms BIGINT     NOT NULL,
    ended_ms   BIGINT,
    KEY logins_by_user (`user`),
    KEY logins_by_end (ended_ms)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What logins are prolonged with: hashes only. used_ms: when it was exchanged for the next one.
CREATE TABLE refresh_tokens (
    hash       BINARY(32) NOT NULL PRIMARY KEY,
    login      BINARY(16) NOT NULL,
    expires_ms BIGINT     NOT NULL,
    used_ms    BIGINT,
    KEY refresh_tokens_by_login (login),
    KEY refresh_tokens_by_end (expires_ms)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
