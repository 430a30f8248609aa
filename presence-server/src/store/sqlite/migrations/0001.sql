-- The store of the presence server. Times are Unix milliseconds. Where a table names a room or a person by a number, the
-- views at the end name them by their ids.

CREATE TABLE people (
    person         INTEGER PRIMARY KEY, -- what the other tables call them
    id             TEXT NOT NULL UNIQUE, -- the user's id
    username       TEXT, -- the name they chose
    color          TEXT, -- the colour they chose
    avatar         TEXT,
    email          TEXT,
    last_online    INTEGER, -- when they were last seen online
    changed_at     INTEGER, -- when the above but last_online last changed; NULL: nothing is known of them but the id
    revision_floor INTEGER NOT NULL DEFAULT 0 -- the highest revision of a document that they deleted
) STRICT;

CREATE TABLE rooms (
    room      INTEGER PRIMARY KEY, -- what the other tables call it
    id        TEXT NOT NULL UNIQUE, -- the room's id; '@ann' is ann's inbox
    newest    INTEGER NOT NULL DEFAULT 0, -- seq of the newest message that there ever was
    oldest    INTEGER NOT NULL DEFAULT 1, -- seq of the oldest message that is held; newest + 1 if none is
    oldest_at INTEGER, -- when that was taken in
    bytes     INTEGER NOT NULL DEFAULT 0, -- of the bodies that are held
    receivers INTEGER NOT NULL DEFAULT 0, -- how many cursors there are
    behind    INTEGER NOT NULL DEFAULT 0 -- how many of them have missed messages: they stand before oldest - 1
) STRICT;

CREATE INDEX rooms_by_age ON rooms (oldest_at, id) WHERE oldest_at IS NOT NULL;

CREATE TABLE messages (
    room        INTEGER NOT NULL REFERENCES rooms,
    seq         INTEGER NOT NULL, -- 1, 2, 3 … in its room
    kind        TEXT NOT NULL, -- 'message' or 'invitation'
    sender      INTEGER NOT NULL REFERENCES people,
    sender_name TEXT NOT NULL, -- as others saw it at that time
    id          TEXT NOT NULL, -- what the sender calls it
    body        TEXT NOT NULL, -- JSON
    correlation TEXT NOT NULL, -- what the logs call it
    at          INTEGER NOT NULL, -- when it was taken in
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;

-- Messages that are gone, by overflow or age. Together the gaps of a room are all that lies before its oldest message.
CREATE TABLE gaps (
    room   INTEGER NOT NULL REFERENCES rooms,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    reason TEXT NOT NULL, -- 'overflow' or 'expired'
    PRIMARY KEY (room, first)
) STRICT, WITHOUT ROWID;

-- Who has sent what under which id, so that the same id again is the same message. Outlives the message for a while.
CREATE TABLE sent_ids (
    sender INTEGER NOT NULL REFERENCES people,
    id     TEXT NOT NULL,
    room   INTEGER NOT NULL REFERENCES rooms,
    seq    INTEGER NOT NULL,
    digest INTEGER NOT NULL, -- of the body
    at     INTEGER NOT NULL, -- when it was first taken in
    PRIMARY KEY (sender, id)
) STRICT, WITHOUT ROWID;

-- The ids of messages that are gone, in the order in which they will be forgotten.
CREATE TABLE gone_ids (
    place     INTEGER PRIMARY KEY,
    sender    INTEGER NOT NULL REFERENCES people,
    id        TEXT NOT NULL,
    forget_at INTEGER NOT NULL
) STRICT;

-- Who receives which room's messages, and how far they are. Everybody on a roster is here, the owner of an inbox, and
-- who is in a room without being on its roster.
CREATE TABLE cursors (
    room   INTEGER NOT NULL REFERENCES rooms,
    person INTEGER NOT NULL REFERENCES people,
    seq    INTEGER NOT NULL, -- everything up to here is dealt with
    PRIMARY KEY (room, person)
) STRICT, WITHOUT ROWID;

CREATE INDEX cursors_by_person ON cursors (person, room);
CREATE INDEX cursors_by_seq ON cursors (room, seq);

-- The rosters.
CREATE TABLE members (
    room      INTEGER NOT NULL REFERENCES rooms,
    person    INTEGER NOT NULL REFERENCES people,
    joined_at INTEGER NOT NULL,
    PRIMARY KEY (room, person)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_by_person ON members (person, room);

-- Invitations that have not been answered.
CREATE TABLE invitations (
    room       INTEGER NOT NULL REFERENCES rooms,
    person     INTEGER NOT NULL REFERENCES people, -- who is invited
    invited_by INTEGER NOT NULL REFERENCES people,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (room, person)
) STRICT, WITHOUT ROWID;

CREATE INDEX invitations_by_person ON invitations (person, room);

-- People's own documents.
CREATE TABLE documents (
    person     INTEGER NOT NULL REFERENCES people,
    key        TEXT NOT NULL,
    body       TEXT NOT NULL, -- JSON
    revision   INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (person, key)
) STRICT, WITHOUT ROWID;

-- What backends are still to be told, the oldest first.
CREATE TABLE notices (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    body   TEXT NOT NULL
) STRICT;

-- One row: what became of all messages, each counted once for every receiver that its room had when it was taken in.
-- What is not acked, expired, dropped, dead-lettered or purged still waits.
CREATE TABLE balance (
    accepted      INTEGER NOT NULL DEFAULT 0,
    acked         INTEGER NOT NULL DEFAULT 0,
    expired       INTEGER NOT NULL DEFAULT 0,
    dropped       INTEGER NOT NULL DEFAULT 0,
    dead_lettered INTEGER NOT NULL DEFAULT 0,
    purged        INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO balance DEFAULT VALUES;

CREATE VIEW messages_by_name AS
SELECT rooms.id AS room, seq, kind, people.id AS sender, sender_name, messages.id AS id, body, correlation,
    datetime(at / 1000, 'unixepoch') AS at
FROM messages JOIN rooms USING (room) JOIN people ON people.person = sender;

CREATE VIEW cursors_by_name AS
SELECT rooms.id AS room, people.id AS person, seq, newest, newest - max(seq, oldest - 1) AS waiting
FROM cursors JOIN rooms USING (room) JOIN people USING (person);

CREATE VIEW members_by_name AS
SELECT rooms.id AS room, people.id AS person, username, datetime(joined_at / 1000, 'unixepoch') AS joined_at
FROM members JOIN rooms USING (room) JOIN people USING (person);

CREATE VIEW documents_by_name AS
SELECT people.id AS person, key, body, revision, datetime(documents.changed_at / 1000, 'unixepoch') AS changed_at
FROM documents JOIN people USING (person);
