-- Hashes of texts that are gone on purpose, so that nobody calls them lost.
CREATE TABLE IF NOT EXISTS forgotten (sha256 TEXT PRIMARY KEY) WITHOUT ROWID;
