-- How messages are marked: who has given which message which mark. Gone with its message.
CREATE TABLE marks (
    room INTEGER NOT NULL,
    seq  INTEGER NOT NULL,
    mark BLOB    NOT NULL,
    user BLOB    NOT NULL,
    PRIMARY KEY (room, seq, mark, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_by_user ON marks (room, user, seq);
