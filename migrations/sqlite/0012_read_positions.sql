-- How far members have read. Column by column what migrations/mysql has; what they mean stands there.

CREATE TABLE read_positions (
    room INTEGER NOT NULL,
    user BLOB    NOT NULL,
    seq  INTEGER NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

INSERT INTO read_positions (room, user, seq)
SELECT m.room, m.user,
    COALESCE((SELECT s.seq FROM messages s WHERE s.room = m.room ORDER BY s.seq DESC LIMIT 1), r.removed_seq)
FROM members m JOIN rooms r ON r.id = m.room;

CREATE INDEX members_by_user ON members (user, room);
