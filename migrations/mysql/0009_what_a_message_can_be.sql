-- What a message says besides its text, and what becomes of it after it has been written.

-- reply_to: the `seq` of the message that it answers.
-- mentions, files: the ids of members who are mentioned, and of files that go with it, 16 bytes each, one
-- after the other; NULL if there are none.
-- edited_ms: when it was last edited.
-- deleted: nothing is left of it but its place, its author, what it answers and its key.
ALTER TABLE messages
    ADD COLUMN reply_to  BIGINT,
    ADD COLUMN mentions  VARBINARY(800),
    ADD COLUMN files     VARBINARY(160),
    ADD COLUMN edited_ms BIGINT,
    ADD COLUMN deleted   BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE messages SET deleted = TRUE WHERE text = '';

-- The message that a change is about. What it says after an edit is looked up there.
ALTER TABLE changes ADD COLUMN target BIGINT;

-- What messages said before they were edited, each with the number of the change that was the edit, and since
-- when it was said. Gone with its message.
CREATE TABLE revisions (
    room   BIGINT NOT NULL,
    seq    BIGINT NOT NULL,
    number BIGINT NOT NULL,
    text   TEXT   NOT NULL,
    at_ms  BIGINT NOT NULL,
    PRIMARY KEY (room, seq, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
