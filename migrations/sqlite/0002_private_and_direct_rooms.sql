-- Private rooms, which are entered by invitation, and direct rooms, of which two users have one.

-- The two members of a direct room: their ids, the lesser one first, 32 bytes. Two users have one
-- direct room, however many open it at once.
ALTER TABLE rooms ADD COLUMN pair BLOB;
CREATE UNIQUE INDEX rooms_by_pair ON rooms (pair) WHERE pair IS NOT NULL AND ended = 0;

-- Who has been invited and has not joined since.
CREATE TABLE invitations (
    room INTEGER NOT NULL,
    user BLOB    NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;
