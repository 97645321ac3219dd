-- How people are called and what they say of themselves, and whom everybody has to forget.

-- fixed: the name is what it was changed to, whatever later writes call the user. 1 of whoever has an
-- account, whose name only its owner changes.
ALTER TABLE users ADD COLUMN fixed BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE users SET fixed = TRUE WHERE id IN (SELECT `user` FROM accounts);

-- status: what a user says of itself, in a line.
-- renamed_ms: when the nickname last changed, so that tokens of before are not believed about it.
ALTER TABLE accounts
    ADD COLUMN status     VARCHAR(140) NOT NULL DEFAULT '',
    ADD COLUMN renamed_ms BIGINT,
    ADD KEY accounts_by_renaming (renamed_ms);

-- The rooms that know a user: whoever has been a member, or invited, or banned, is in one of their changes.
ALTER TABLE changes ADD KEY changes_by_user (`user`, room);

-- Whose accounts are deleted and who is not forgotten by all rooms yet. That is done in the background,
-- and goes on after a restart.
-- erase: whether what the user has written is deleted too.
CREATE TABLE departures (
    `user`   BINARY(16) NOT NULL PRIMARY KEY,
    erase    BOOLEAN    NOT NULL,
    since_ms BIGINT     NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
