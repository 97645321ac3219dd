-- Roles and moderation: what a room's owner has set, who is kept from a room or from writing in it, and
-- who has done it.

-- invite: who may invite others, `members` or `moderators`.
-- slow_s: how many seconds must pass between two messages of one member.
-- read_only: whether only the owner and moderators may write.
ALTER TABLE rooms
    ADD COLUMN invite    VARCHAR(16) NOT NULL DEFAULT 'members',
    ADD COLUMN slow_s    BIGINT      NOT NULL DEFAULT 0,
    ADD COLUMN read_only BOOLEAN     NOT NULL DEFAULT FALSE;

-- Who is kept from being a member (`ban`) or from writing (`mute`), until a moment, or without an end if
-- that is NULL. One whose end has passed counts for nothing. A mute outlasts the membership, so that
-- nobody is rid of it by leaving and joining again.
CREATE TABLE restrictions (
    room     BIGINT      NOT NULL,
    `user`   BINARY(16)  NOT NULL,
    kind     VARCHAR(16) NOT NULL,
    until_ms BIGINT,
    PRIMARY KEY (room, `user`, kind)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- actor: who did it, if it was somebody else than the user whom it is about.
-- until_ms: when a ban or a mute ends.
-- invite, slow_s, read_only: the settings, of a change that is about these.
ALTER TABLE changes
    ADD COLUMN actor     BINARY(16),
    ADD COLUMN until_ms  BIGINT,
    ADD COLUMN invite    VARCHAR(16),
    ADD COLUMN slow_s    BIGINT,
    ADD COLUMN read_only BOOLEAN;
