-- The ledger's schema as version 1 wrote it, and a few rows of its time. Never to be changed.

CREATE TABLE records (
    key TEXT PRIMARY KEY,
    event_id TEXT,
    digest TEXT,
    type TEXT,
    subject TEXT NOT NULL,
    generation INTEGER,
    event TEXT,
    epoch INTEGER NOT NULL,
    admitted_at REAL NOT NULL,
    expires_at REAL
) STRICT;

CREATE INDEX records_subject ON records (subject, admitted_at);

CREATE INDEX records_event_id ON records (event_id);

CREATE TABLE epochs (
    key TEXT NOT NULL REFERENCES records ON DELETE CASCADE,
    epoch INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0,
    started_at REAL,
    last_error TEXT,
    last_error_attempt INTEGER NOT NULL DEFAULT 0,
    waiting_why TEXT,
    waiting_message TEXT,
    waiting_until REAL,
    finished_at REAL,
    outcome TEXT,
    reason TEXT,
    message TEXT,
    step TEXT,
    report_id TEXT,
    sequence INTEGER,
    PRIMARY KEY (key, epoch),
    CHECK ((finished_at IS NULL) = (outcome IS NULL))
) STRICT;

CREATE INDEX epochs_open ON epochs (waiting_why) WHERE finished_at IS NULL;

CREATE INDEX epochs_finished ON epochs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE objects (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (key, epoch, name),
    FOREIGN KEY (key, epoch) REFERENCES epochs ON DELETE CASCADE
) STRICT;

CREATE TABLE steps (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    step TEXT NOT NULL,
    result TEXT NOT NULL,
    at REAL NOT NULL,
    UNIQUE (key, epoch, step),
    FOREIGN KEY (key, epoch) REFERENCES epochs ON DELETE CASCADE
) STRICT;

CREATE TABLE transitions (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL REFERENCES records ON DELETE CASCADE,
    epoch INTEGER NOT NULL,
    at REAL NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX transitions_key ON transitions (key);

CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    report_id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    FOREIGN KEY (key, epoch) REFERENCES epochs
) STRICT;

CREATE INDEX outbox_key ON outbox (key, epoch);

CREATE TABLE subjects (
    subject TEXT PRIMARY KEY,
    token INTEGER NOT NULL DEFAULT 0,
    tombstone INTEGER,
    covering INTEGER,
    covering_event_id TEXT,
    deleting TEXT
) STRICT;

CREATE INDEX subjects_tombstone ON subjects (subject) WHERE tombstone IS NOT NULL;

CREATE TABLE facets (
    subject TEXT NOT NULL REFERENCES subjects,
    facet TEXT NOT NULL,
    generation INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    desired TEXT NOT NULL,
    PRIMARY KEY (subject, facet)
) STRICT;

CREATE TABLE names (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    subject TEXT NOT NULL REFERENCES subjects,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX names_subject ON names (subject);

CREATE TABLE sequences (
    counter TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    subject TEXT PRIMARY KEY REFERENCES subjects,
    key TEXT NOT NULL REFERENCES records,
    epoch INTEGER NOT NULL,
    token INTEGER NOT NULL,
    replica TEXT NOT NULL,
    generation INTEGER NOT NULL,
    until REAL NOT NULL,
    preempted_by TEXT
) STRICT;

CREATE INDEX leases_key ON leases (key);

CREATE TABLE locks (
    subject TEXT NOT NULL,
    lease TEXT NOT NULL REFERENCES leases ON DELETE CASCADE,
    mode TEXT NOT NULL CHECK (mode IN ('read', 'write')),
    PRIMARY KEY (subject, lease)
) STRICT, WITHOUT ROWID;

CREATE INDEX locks_lease ON locks (lease);

PRAGMA application_id = 1634167908;
PRAGMA user_version = 1;

INSERT INTO records VALUES
    ('event/old', 'old', 'sha256:1', 'conveyor.project.create.v1', 'project/1', 1, '{}', 2, 1000.0, 2000.0),
    ('event/running', 'running', 'sha256:2', 'conveyor.project.update.v1', 'project/1', 2, '{}', 1, 1001.0, NULL),
    ('message/m-1', NULL, NULL, NULL, '', NULL, 'no event', 1, 1002.0, NULL);

INSERT INTO epochs VALUES
    ('event/old', 1, 2, 1, 1000.5, 'throttled', 1, NULL, NULL, NULL, 1001.5, 'failed', 'access_denied', 'no right', 'create', 'r-1', 3),
    ('event/old', 2, 1, 1, 1002.5, NULL, 0, NULL, NULL, NULL, 1003.5, 'succeeded', NULL, '', NULL, 'r-2', 5),
    ('event/running', 1, 1, 0, 1004.5, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('message/m-1', 1, 0, 0, NULL, NULL, 0, NULL, NULL, NULL, 1002.0, 'rejected', 'malformed', 'no JSON', NULL, 'r-3', 1);

INSERT INTO objects VALUES (1, 'event/old', 2, 'ecr:repository/alpha');
INSERT INTO steps VALUES (1, 'event/running', 1, 'create', '{"uri":"x"}', 1004.75);
INSERT INTO transitions VALUES (1, 'event/old', 1, 1000.0, 'admitted', 'conveyor.project.create.v1');
INSERT INTO outbox VALUES (7, 'r-2', 'event/old', 2);
INSERT INTO subjects VALUES ('project/1', 4, NULL, NULL, NULL, NULL), ('project/2', 2, 9, 9, 'gone', NULL);
INSERT INTO facets VALUES ('project/1', 'spec', 2, 'running', '{"name":"alpha"}');
INSERT INTO names VALUES ('project', 'alpha', 'project/1');
INSERT INTO sequences VALUES ('project/1', 6), ('message/m-1', 1);
INSERT INTO leases VALUES ('project/1', 'event/running', 1, 4, 'a', 2, 1064.5, NULL);
INSERT INTO locks VALUES ('project/3', 'project/1', 'read');
