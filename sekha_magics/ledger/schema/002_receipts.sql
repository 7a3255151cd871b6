-- A receipt for each append: what it added, so that a row that is missing can be named. A writer is a ledger in one process
-- and numbers its appends from 1. texts says whether prompts and answers were kept with it.
CREATE TABLE IF NOT EXISTS receipts (
    writer VARCHAR,
    number BIGINT,
    decision_id VARCHAR,
    decisions BIGINT,
    candidates BIGINT,
    calls BIGINT,
    texts BOOLEAN
);

-- Numbers, from first to last, that are gone on purpose since ts.
CREATE TABLE IF NOT EXISTS pruned (
    writer VARCHAR,
    first BIGINT,
    last BIGINT,
    ts TIMESTAMPTZ
);
