"""Tables of a run's `ledger.sqlite`."""

SCHEMA_VERSION = 1

TABLES = """
CREATE TABLE IF NOT EXISTS meta (
    key TEXT PRIMARY KEY, value TEXT NOT NULL
) WITHOUT ROWID;

-- Every answered call, once. `key` hashes all that could change the answer.
CREATE TABLE IF NOT EXISTS calls (
    key BLOB PRIMARY KEY,
    role TEXT NOT NULL,          -- target, judge, ...
    model TEXT NOT NULL,         -- spec
    request TEXT NOT NULL,       -- JSON, images by hash
    reply TEXT NOT NULL,         -- JSON
    cost REAL,                   -- US dollars; null where the price is unknown
    at REAL NOT NULL,            -- Unix time of the answer
    reused_from TEXT             -- run that paid for it, if not this one
);

-- How each record ended: kept by the last stage, dropped or quarantined by some stage.
CREATE TABLE IF NOT EXISTS outcomes (
    record TEXT PRIMARY KEY,
    stage TEXT NOT NULL,
    kind TEXT NOT NULL,          -- keep, drop, quarantine
    reason TEXT NOT NULL,
    value TEXT NOT NULL,         -- JSON
    at REAL NOT NULL
);

-- How often a record was sent back to a stage on request: numbers its later draws.
CREATE TABLE IF NOT EXISTS retries (
    record TEXT NOT NULL, stage TEXT NOT NULL, epoch INTEGER NOT NULL,
    PRIMARY KEY (record, stage)
) WITHOUT ROWID;

-- Rows of the source that were left out, and why.
CREATE TABLE IF NOT EXISTS left_out (file TEXT NOT NULL, row TEXT NOT NULL, reason TEXT NOT NULL);

-- Batch jobs at providers. A row is written before the provider hears of the batch.
CREATE TABLE IF NOT EXISTS batches (
    name TEXT PRIMARY KEY,       -- ours; in the batch's metadata as `vlsbench`
    model TEXT NOT NULL,         -- spec
    state TEXT NOT NULL,         -- prepared, uploaded, the provider's word, merged, ...
    requests INTEGER NOT NULL,
    file TEXT,                   -- the provider's id of the uploaded file
    remote TEXT,                 -- the provider's id of the batch
    answered INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    at REAL NOT NULL,            -- Unix time of the last change
    detail TEXT NOT NULL
);

-- What each batch asks, until it is merged.
CREATE TABLE IF NOT EXISTS batched (
    batch TEXT NOT NULL, key BLOB NOT NULL,
    role TEXT NOT NULL, request TEXT NOT NULL,  -- as in `calls`
    PRIMARY KEY (batch, key)
) WITHOUT ROWID;

-- What happened to the run: started, resumed, stopped, finished; unanswered calls.
CREATE TABLE IF NOT EXISTS events (at REAL NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL);
"""
