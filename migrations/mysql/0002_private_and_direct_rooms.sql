-- Private rooms, which are entered by invitation, and direct rooms, of which two users have one.

-- The two members of a direct room: their ids, the lesser one first. NULL once the room has ended, because
-- there is no unique index over a part of a table here.
ALTER TABLE rooms ADD COLUMN pair BINARY(32), ADD UNIQUE KEY rooms_by_pair (pair);

-- Who has been invited and has not joined since.
CREATE TABLE invitations (
    room   BIGINT     NOT NULL,
    `user` BINARY(16) NOT NULL,
    PRIMARY KEY (room, `user`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
