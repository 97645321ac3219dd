-- What is found when messages are searched.

-- Which two characters stand side by side in which messages, spaces included, and which stand alone. An index of
-- candidates: bits are added when a message is written or edited and never taken out, and whoever searches
-- looks at what the messages say now.
-- era, block: 63 neighbouring messages are a block, 64 blocks an era: message n is in block n / 63, era n / 4032.
-- gram: the characters, in lower case, in UTF-8.
-- block: within its era.
-- bits: bit n % 63 for message n. Not 64, because what comes of bits has no sign here and BIGINT has one.
CREATE TABLE search_grams (
    room  BIGINT       NOT NULL,
    era   INT          NOT NULL,
    gram  VARBINARY(8) NOT NULL,
    block TINYINT      NOT NULL,
    bits  BIGINT       NOT NULL,
    PRIMARY KEY (room, era, gram, block)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Up to which message and which change each room is in there. The row is as old as its room.
-- stale: what the room has in there is to be removed and made anew.
CREATE TABLE search_progress (
    room     BIGINT  NOT NULL PRIMARY KEY,
    seq      BIGINT  NOT NULL DEFAULT 0,
    `number` BIGINT  NOT NULL DEFAULT 0,
    stale    BOOLEAN NOT NULL DEFAULT FALSE,
    KEY search_progress_by_staleness (stale, room)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO search_progress (room) SELECT id FROM rooms WHERE ended = 0;
