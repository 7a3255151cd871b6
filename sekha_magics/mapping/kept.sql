CREATE TABLE IF NOT EXISTS answers (
    job TEXT NOT NULL,          -- hash of the template, the schema and what else was wished for
    request TEXT NOT NULL,      -- hash of the rendered request
    answered_at TEXT NOT NULL,  -- UTC, ISO 8601
    body TEXT NOT NULL,         -- the answer as JSON
    PRIMARY KEY (job, request)
) WITHOUT ROWID;
