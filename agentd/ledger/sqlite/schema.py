"""The tables, as an ordered list of migrations. A migration that has been released is never edited; add one below it."""

import sqlite3
from collections.abc import Sequence

from agentd.core import PermanentError, Reason

# SQLite's own mark of whose file it is: "agld".
APPLICATION_ID = 0x61676C64

VERSION_1 = (
    """
    CREATE TABLE records (
        key TEXT PRIMARY KEY,
        event_id TEXT,
        digest TEXT,
        type TEXT,
        subject TEXT NOT NULL,
        generation INTEGER,
        event TEXT,
        epoch INTEGER NOT NULL, -- the current one
        admitted_at REAL NOT NULL,
        expires_at REAL
    ) STRICT
    """,
    "CREATE INDEX records_subject ON records (subject, admitted_at)",
    "CREATE INDEX records_event_id ON records (event_id)",
    """
    CREATE TABLE epochs (
        key TEXT NOT NULL REFERENCES records ON DELETE CASCADE,
        epoch INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        changed INTEGER NOT NULL DEFAULT 0,
        started_at REAL,
        last_error TEXT,
        last_error_attempt INTEGER NOT NULL DEFAULT 0, -- below `attempts`: the last attempt ended without a word
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
    ) STRICT
    """,
    "CREATE INDEX epochs_open ON epochs (waiting_why) WHERE finished_at IS NULL",
    "CREATE INDEX epochs_finished ON epochs (finished_at) WHERE finished_at IS NOT NULL",
    """
    CREATE TABLE objects (
        position INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        name TEXT NOT NULL,
        UNIQUE (key, epoch, name),
        FOREIGN KEY (key, epoch) REFERENCES epochs ON DELETE CASCADE
    ) STRICT
    """,
    """
    CREATE TABLE steps (
        position INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        step TEXT NOT NULL,
        result TEXT NOT NULL,
        at REAL NOT NULL,
        UNIQUE (key, epoch, step),
        FOREIGN KEY (key, epoch) REFERENCES epochs ON DELETE CASCADE
    ) STRICT
    """,
    """
    CREATE TABLE transitions (
        position INTEGER PRIMARY KEY,
        key TEXT NOT NULL REFERENCES records ON DELETE CASCADE,
        epoch INTEGER NOT NULL,
        at REAL NOT NULL,
        what TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX transitions_key ON transitions (key)",
    """
    CREATE TABLE outbox (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        report_id TEXT NOT NULL UNIQUE,
        key TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        FOREIGN KEY (key, epoch) REFERENCES epochs
    ) STRICT
    """,
    "CREATE INDEX outbox_key ON outbox (key, epoch)",
    """
    CREATE TABLE subjects (
        subject TEXT PRIMARY KEY,
        token INTEGER NOT NULL DEFAULT 0, -- grows for ever
        tombstone INTEGER,                -- generation of the delete that succeeded
        covering INTEGER,                 -- generation of the newest delete claimed
        covering_event_id TEXT,
        deleting TEXT                     -- key of the delete that has been claimed and has not ended
    ) STRICT
    """,
    "CREATE INDEX subjects_tombstone ON subjects (subject) WHERE tombstone IS NOT NULL",
    """
    CREATE TABLE facets (
        subject TEXT NOT NULL REFERENCES subjects,
        facet TEXT NOT NULL,
        generation INTEGER NOT NULL,
        event_id TEXT NOT NULL,
        desired TEXT NOT NULL,
        PRIMARY KEY (subject, facet)
    ) STRICT
    """,
    """
    CREATE TABLE names (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        subject TEXT NOT NULL REFERENCES subjects,
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX names_subject ON names (subject)",
    """
    CREATE TABLE sequences (
        counter TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE leases (
        subject TEXT PRIMARY KEY REFERENCES subjects,
        key TEXT NOT NULL REFERENCES records,
        epoch INTEGER NOT NULL,
        token INTEGER NOT NULL,
        replica TEXT NOT NULL,
        generation INTEGER NOT NULL,
        until REAL NOT NULL,
        preempted_by TEXT
    ) STRICT
    """,
    "CREATE INDEX leases_key ON leases (key)",
    """
    CREATE TABLE locks (
        subject TEXT NOT NULL,
        lease TEXT NOT NULL REFERENCES leases ON DELETE CASCADE,
        mode TEXT NOT NULL CHECK (mode IN ('read', 'write')),
        PRIMARY KEY (subject, lease)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX locks_lease ON locks (lease)",
)

# One row an event and one a subject: what one operation reads and writes is together, as each statement costs more than
# what it moves. `history`, `objects` and `steps` are JSON values, each followed by a comma, so that they grow by appending.
VERSION_2 = (
    """
    CREATE TABLE variables (
        name TEXT PRIMARY KEY,
        value TEXT,               -- JSON; null once unset: versions go on
        version INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE clock (ticks INTEGER NOT NULL) STRICT -- grows with each transaction that notes something
    """,
    "INSERT INTO clock SELECT coalesce(max(position), 0) / 1000000 + 1 FROM transitions",
    """
    CREATE TABLE events (
        key TEXT PRIMARY KEY,
        event_id TEXT,
        digest TEXT,
        type TEXT,
        subject TEXT NOT NULL,
        generation INTEGER,
        event TEXT,               -- null when it is large: then in `texts`
        admitted_at REAL NOT NULL,
        expires_at REAL,
        epoch INTEGER NOT NULL,   -- the current one; what follows is of it
        attempts INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        started_at REAL,
        last_error TEXT,
        last_error_attempt INTEGER NOT NULL, -- below `attempts`: the last attempt ended without a word
        waiting_why TEXT,
        waiting_message TEXT,
        waiting_until REAL,
        finished_at REAL,
        outcome TEXT,
        reason TEXT,
        message TEXT,
        step TEXT,
        result TEXT,              -- JSON
        report_id TEXT,
        sequence INTEGER,
        objects TEXT NOT NULL,    -- names
        steps TEXT NOT NULL,      -- [step, result, at]
        token INTEGER NOT NULL,   -- the subject's at the last claim; 0 before the first
        history TEXT NOT NULL,    -- of all epochs: [position, at, epoch, what, detail]
        CHECK ((finished_at IS NULL) = (outcome IS NULL))
    ) STRICT
    """,
    """
    INSERT INTO events
    SELECT records.key, event_id, digest, type, subject, generation,
        iif(length(event) > 8192, NULL, event), admitted_at, expires_at,
        records.epoch, attempts, changed, started_at, last_error, last_error_attempt,
        waiting_why, waiting_message, waiting_until, finished_at, outcome, reason, message, step, NULL, report_id, sequence,
        (SELECT coalesce(group_concat(json_quote(name) || ',', ''), '') FROM
            (SELECT name FROM objects WHERE key = records.key AND epoch = records.epoch ORDER BY position)),
        (SELECT coalesce(group_concat(json_array(step, json(result), at) || ',', ''), '') FROM
            (SELECT * FROM steps WHERE key = records.key AND epoch = records.epoch ORDER BY position)),
        0,
        (SELECT coalesce(group_concat(json_array(position, at, epoch, what, detail) || ',', ''), '') FROM
            (SELECT * FROM transitions WHERE key = records.key ORDER BY position))
    FROM records JOIN epochs ON epochs.key = records.key AND epochs.epoch = records.epoch
    """,
    """
    CREATE TABLE past_epochs (    -- of redriven events
        key TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        started_at REAL,
        last_error TEXT,
        last_error_attempt INTEGER NOT NULL,
        finished_at REAL NOT NULL,
        outcome TEXT NOT NULL,
        reason TEXT,
        message TEXT,
        step TEXT,
        result TEXT,
        report_id TEXT,
        sequence INTEGER,
        objects TEXT NOT NULL,
        PRIMARY KEY (key, epoch)
    ) STRICT, WITHOUT ROWID
    """,
    """
    INSERT INTO past_epochs
    SELECT epochs.key, epochs.epoch, attempts, changed, started_at, last_error, last_error_attempt,
        finished_at, outcome, reason, message, step, NULL, report_id, sequence,
        (SELECT coalesce(group_concat(json_quote(name) || ',', ''), '') FROM
            (SELECT name FROM objects WHERE key = epochs.key AND epoch = epochs.epoch ORDER BY position))
    FROM epochs JOIN records ON records.key = epochs.key AND epochs.epoch < records.epoch
    """,
    "CREATE TABLE texts (key TEXT PRIMARY KEY, event TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "INSERT INTO texts SELECT key, event FROM records WHERE length(event) > 8192",
    """
    CREATE TABLE reports (        -- those that wait to be sent
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        report_id TEXT NOT NULL UNIQUE,
        key TEXT NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT
    """,
    "INSERT INTO reports SELECT position, report_id, key, epoch FROM outbox",
    """
    CREATE TABLE holdings (       -- a subject, and the lease on it
        subject TEXT PRIMARY KEY,
        token INTEGER NOT NULL,   -- grows for ever; nought before the first claim
        tombstone INTEGER,        -- generation of the delete that succeeded
        covering INTEGER,         -- generation of the newest delete claimed
        covering_event_id TEXT,
        deleting TEXT,            -- key of the delete that has been claimed and has not ended
        sequence INTEGER NOT NULL,
        facets TEXT NOT NULL,     -- JSON: facet to [generation, event id, desired]
        lease_key TEXT,           -- null: no lease
        lease_epoch INTEGER,
        lease_replica TEXT,
        lease_generation INTEGER,
        lease_until REAL,
        preempted_by TEXT,
        lease_locks INTEGER NOT NULL -- how many locks live and die with the lease
    ) STRICT, WITHOUT ROWID
    """,
    """
    INSERT INTO holdings
    SELECT subjects.subject, subjects.token, tombstone, covering, covering_event_id, deleting,
        coalesce((SELECT value FROM sequences WHERE counter = subjects.subject), 0),
        (SELECT json_group_object(facet, json_array(generation, event_id, json(desired)))
            FROM facets WHERE subject = subjects.subject),
        key, epoch, replica, generation, until, preempted_by,
        (SELECT count(*) FROM locks WHERE lease = subjects.subject)
    FROM subjects LEFT JOIN leases ON leases.subject = subjects.subject
    """,
    """
    INSERT INTO holdings (subject, token, sequence, facets, lease_locks)
    SELECT counter, 0, value, '{}', 0 FROM sequences
    WHERE counter NOT IN (SELECT subject FROM subjects) AND counter NOT IN (SELECT key FROM records)
    """,
    """
    CREATE TABLE held_locks (
        subject TEXT NOT NULL,
        lease TEXT NOT NULL,      -- the subject whose lease has it
        mode TEXT NOT NULL CHECK (mode IN ('read', 'write')),
        PRIMARY KEY (subject, lease)
    ) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO held_locks SELECT subject, lease, mode FROM locks",
    """
    CREATE TABLE reserved_names (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        subject TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO reserved_names SELECT kind, name, subject FROM names",
    *(
        f"DROP TABLE {table}"
        for table in (
            "locks",
            "leases",
            "names",
            "facets",
            "subjects",
            "sequences",
            "outbox",
            "steps",
            "objects",
            "transitions",
            "epochs",
            "records",
        )
    ),
    "CREATE INDEX events_subject ON events (subject, admitted_at)",
    "CREATE INDEX events_unverified ON events (event_id) WHERE key >= 'message/'",
    "CREATE INDEX events_open ON events (admitted_at) WHERE finished_at IS NULL",
    "CREATE INDEX events_finished ON events (finished_at) WHERE finished_at IS NOT NULL",
    "CREATE INDEX holdings_tombstone ON holdings (subject) WHERE tombstone IS NOT NULL",
    "CREATE INDEX held_locks_lease ON held_locks (lease)",
    "CREATE INDEX reserved_names_subject ON reserved_names (subject)",
    # For people who look into the file.
    """
    CREATE VIEW leases AS
    SELECT subject, lease_key AS key, lease_epoch AS epoch, token, lease_replica AS replica,
        lease_generation AS generation, lease_until AS until, preempted_by
    FROM holdings WHERE lease_key IS NOT NULL
    """,
    """
    CREATE VIEW transitions AS
    SELECT value ->> 0 AS position, events.key AS key, value ->> 2 AS epoch, value ->> 1 AS at, value ->> 3 AS what,
        value ->> 4 AS detail
    FROM events, json_each('[' || rtrim(history, ',') || ']')
    """,
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (VERSION_1, VERSION_2)


def version(connection: sqlite3.Connection) -> int:
    """How many migrations the file has seen. PermanentError: it is another program's file."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if owner != APPLICATION_ID and (found or tables):
        raise PermanentError(Reason.INTERNAL_ERROR, "the file is a database of another program, not a ledger")
    return found


def migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the file to the newest version, one transaction a migration. Several processes may do so at once.

    PermanentError(unsupported): the file was written by a newer program.
    """
    while (found := version(connection)) != len(migrations):
        refuse_newer(found, len(migrations))
        _apply_next(connection, migrations)


def refuse_newer(found: int, known: int) -> None:
    """PermanentError(unsupported) when the file's version is above the newest one known here."""
    if found > known:
        raise PermanentError(
            Reason.UNSUPPORTED,
            f"the ledger has schema version {found}, this program knows versions up to {known}; "
            "run the version that wrote it, or a newer one",
        )


def refuse_other(connection: sqlite3.Connection) -> None:
    """PermanentError(unsupported) unless the file has the newest version: a reader does not migrate."""
    found = version(connection)
    refuse_newer(found, len(MIGRATIONS))
    if found < len(MIGRATIONS):
        message = f"the ledger has schema version {found}; start this version of the agent once to migrate it"
        raise PermanentError(Reason.UNSUPPORTED, message)


def _apply_next(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = version(connection)  # another process may have been faster
        if found < len(migrations):
            for statement in migrations[found]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {found + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
