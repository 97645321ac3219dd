-- Roles and moderation: what a room's owner has set, who is kept from a room or from writing in it, and
-- who has done it.

-- Who may invite others: `members` or `moderators`.
ALTER TABLE rooms ADD COLUMN invite TEXT NOT NULL DEFAULT 'members';
-- How many seconds must pass between two messages of one member.
ALTER TABLE rooms ADD COLUMN slow_s INTEGER NOT NULL DEFAULT 0;
-- Whether only the owner and moderators may write.
ALTER TABLE rooms ADD COLUMN read_only INTEGER NOT NULL DEFAULT 0;

-- Who is kept from being a member (`ban`) or from writing (`mute`), until a moment, or without an end if
-- that is NULL. One whose end has passed counts for nothing. A mute outlasts the membership, so that
-- nobody is rid of it by leaving and joining again.
CREATE TABLE restrictions (
    room     INTEGER NOT NULL,
    user     BLOB    NOT NULL,
    kind     TEXT    NOT NULL,
    until_ms INTEGER,
    PRIMARY KEY (room, user, kind)
) STRICT, WITHOUT ROWID;

-- Who did it, if it was somebody else than the user whom it is about.
ALTER TABLE changes ADD COLUMN actor BLOB;
-- When a ban or a mute ends.
ALTER TABLE changes ADD COLUMN until_ms INTEGER;
-- The settings, of a change that is about these.
ALTER TABLE changes ADD COLUMN invite TEXT;
ALTER TABLE changes ADD COLUMN slow_s INTEGER;
ALTER TABLE changes ADD COLUMN read_only INTEGER;
