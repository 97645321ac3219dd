-- How far members have read. Whoever joins has read what was there; whose membership ends, has no row.
-- seq: the last message that was read.
CREATE TABLE read_positions (
    room   BIGINT     NOT NULL,
    `user` BINARY(16) NOT NULL,
    seq    BIGINT     NOT NULL,
    PRIMARY KEY (room, `user`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was written before this was kept counts as read.
INSERT INTO read_positions (room, `user`, seq)
SELECT m.room, m.`user`,
    COALESCE((SELECT s.seq FROM messages s WHERE s.room = m.room ORDER BY s.seq DESC LIMIT 1), r.removed_seq)
FROM members m JOIN rooms r ON r.id = m.room;

-- The rooms of a user.
CREATE INDEX members_by_user ON members (`user`, room);
