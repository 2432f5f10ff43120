-- The schema of the store: all of it, and nowhere else. migrations.py reads this file.
--
-- Each section below takes a store from the version before it to its own. A released section is history: never edit it,
-- add the next one. The columns of a table are the fields of the record of the same name in records.py (JSON where the
-- field is a dict), after the few the store keeps for itself.

-- migration 1: append-only facts

-- "SLMA": tells a store of ours from another program's SQLite file.
PRAGMA application_id = 0x534C4D41;

CREATE TABLE artifact (
    sha256       TEXT PRIMARY KEY NOT NULL,
    name         TEXT NOT NULL,
    model_id     TEXT,
    origin       TEXT NOT NULL,
    forged       INTEGER NOT NULL,
    architecture TEXT NOT NULL,
    quantization TEXT NOT NULL,
    params       INTEGER NOT NULL,
    size_bytes   INTEGER NOT NULL,
    tensor_bytes TEXT NOT NULL
);

CREATE TABLE host (
    id           TEXT PRIMARY KEY NOT NULL,
    cpu          TEXT NOT NULL,
    arch         TEXT NOT NULL,
    cores        INTEGER NOT NULL,
    flags        TEXT NOT NULL,
    memory_bytes INTEGER NOT NULL,
    system       TEXT NOT NULL,
    python       TEXT NOT NULL
);

-- Every attempt is kept: a failed run may be tried again, and two processes may measure the same thing at once.
CREATE TABLE run (
    id            INTEGER PRIMARY KEY,  -- the order of recording
    attempt       INTEGER NOT NULL,     -- 1, 2, ... within a key
    key           TEXT NOT NULL,
    kind          TEXT NOT NULL,
    artifact      TEXT NOT NULL REFERENCES artifact (sha256),
    host          TEXT NOT NULL REFERENCES host (id),
    engine        TEXT NOT NULL,
    settings      TEXT NOT NULL,
    replicate     INTEGER NOT NULL,
    outcome       TEXT NOT NULL,
    cause         TEXT,
    log_tail      TEXT NOT NULL,
    started_at    TEXT NOT NULL,
    elapsed_s     REAL NOT NULL,
    notes         TEXT NOT NULL,
    atlas_version TEXT NOT NULL,
    UNIQUE (key, attempt)
);

CREATE TABLE sample (
    run      INTEGER NOT NULL REFERENCES run (id),
    position INTEGER NOT NULL,          -- its place among the samples of the run, as recorded
    metric   TEXT NOT NULL,
    "index"  INTEGER NOT NULL,
    value    REAL NOT NULL,
    scope    TEXT NOT NULL,
    item     TEXT NOT NULL,
    detail   TEXT,
    PRIMARY KEY (run, position)
);

-- The one attempt of each key that counts: one that ended well before one that did not, a later one before an earlier.
CREATE VIEW best AS
    SELECT * FROM run
    WHERE id = (
        SELECT other.id FROM run AS other
        WHERE other.key = run.key
        ORDER BY other.outcome = 'ok' DESC, other.attempt DESC
        LIMIT 1
    );

CREATE TRIGGER artifact_no_update BEFORE UPDATE ON artifact BEGIN SELECT RAISE(ABORT, 'artifact is append-only'); END;
CREATE TRIGGER artifact_no_delete BEFORE DELETE ON artifact BEGIN SELECT RAISE(ABORT, 'artifact is append-only'); END;
CREATE TRIGGER host_no_update BEFORE UPDATE ON host BEGIN SELECT RAISE(ABORT, 'host is append-only'); END;
CREATE TRIGGER host_no_delete BEFORE DELETE ON host BEGIN SELECT RAISE(ABORT, 'host is append-only'); END;
CREATE TRIGGER run_no_update BEFORE UPDATE ON run BEGIN SELECT RAISE(ABORT, 'run is append-only'); END;
CREATE TRIGGER run_no_delete BEFORE DELETE ON run BEGIN SELECT RAISE(ABORT, 'run is append-only'); END;
CREATE TRIGGER sample_no_update BEFORE UPDATE ON sample BEGIN SELECT RAISE(ABORT, 'sample is append-only'); END;
CREATE TRIGGER sample_no_delete BEFORE DELETE ON sample BEGIN SELECT RAISE(ABORT, 'sample is append-only'); END;

-- migration 2: a model behind a server does not say how large it is

DROP TRIGGER artifact_no_update;
ALTER TABLE artifact ADD COLUMN params_or_null INTEGER;
ALTER TABLE artifact ADD COLUMN size_or_null INTEGER;
UPDATE artifact SET params_or_null = params, size_or_null = size_bytes;
ALTER TABLE artifact DROP COLUMN params;
ALTER TABLE artifact DROP COLUMN size_bytes;
ALTER TABLE artifact RENAME COLUMN params_or_null TO params;
ALTER TABLE artifact RENAME COLUMN size_or_null TO size_bytes;
CREATE TRIGGER artifact_no_update BEFORE UPDATE ON artifact BEGIN SELECT RAISE(ABORT, 'artifact is append-only'); END;

-- migration 3: a file made from another has that one's losses too

ALTER TABLE artifact ADD COLUMN requantized_from TEXT;

-- migration 4: answers of an evaluation in flight, so that one that was killed goes on where it was

-- No run refers to them: a task that ended has all of it in its samples.
CREATE TABLE answer (
    key         TEXT PRIMARY KEY NOT NULL,
    artifact    TEXT NOT NULL REFERENCES artifact (sha256),
    host        TEXT NOT NULL REFERENCES host (id),
    engine      TEXT NOT NULL,
    settings    TEXT NOT NULL,
    kind        TEXT NOT NULL,
    prompt_hash TEXT NOT NULL,
    value       TEXT NOT NULL,
    recorded_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER answer_no_update BEFORE UPDATE ON answer BEGIN SELECT RAISE(ABORT, 'answer is append-only'); END;
CREATE TRIGGER answer_no_delete BEFORE DELETE ON answer BEGIN SELECT RAISE(ABORT, 'answer is append-only'); END;

-- migration 5: a repeat that was disturbed itself does not stand for a run that was not

-- The attempts that ended well first, of these the undisturbed ones, of these the last.
DROP VIEW best;
CREATE VIEW best AS
    SELECT * FROM run
    WHERE id = (
        SELECT other.id FROM run AS other
        WHERE other.key = run.key
        ORDER BY
            other.outcome = 'ok' DESC,
            coalesce(json_array_length(other.notes, '$.disturbed'), 0) = 0 DESC,
            other.attempt DESC
        LIMIT 1
    );
