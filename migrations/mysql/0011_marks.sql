-- How messages are marked: who has given which message which mark. Gone with its message.
CREATE TABLE marks (
    room   BIGINT         NOT NULL,
    seq    BIGINT         NOT NULL,
    mark   VARBINARY(128) NOT NULL,
    `user` BINARY(16)     NOT NULL,
    PRIMARY KEY (room, seq, mark, `user`),
    KEY marks_by_user (room, `user`, seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
