-- Deleted text is overwritten with zeros, here and in the pages of the full-text index.
PRAGMA secure_delete = ON;
PRAGMA foreign_keys = ON;

-- Times are UTC in ISO 8601. `seq` is the order of commits and is never given twice.
CREATE TABLE IF NOT EXISTS conversations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    label TEXT,
    folder TEXT NOT NULL DEFAULT '/',
    importance INTEGER NOT NULL DEFAULT 5,
    pinned INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0,
    notebook TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

-- `importance`, `label` and `folder` are a message's own, or NULL for those of its conversation.
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    conversation INTEGER NOT NULL REFERENCES conversations (seq) ON DELETE CASCADE,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    ts TEXT NOT NULL,
    importance INTEGER,
    label TEXT,
    folder TEXT
);
CREATE INDEX IF NOT EXISTS messages_of_conversation ON messages (conversation);
-- What a search looks at of every message, without its text.
CREATE INDEX IF NOT EXISTS messages_scope ON messages (seq, conversation, folder, label);

-- `sources` is a JSON list of message ids, or of the summaries one was made from.
CREATE TABLE IF NOT EXISTS summaries (
    summary_id TEXT PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations (seq) ON DELETE CASCADE,
    level TEXT NOT NULL,
    starts_at TEXT,
    ends_at TEXT,
    content TEXT NOT NULL,
    sources TEXT NOT NULL DEFAULT '[]',
    provider_id TEXT,
    model_id TEXT,
    decision_id TEXT,
    created_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS summaries_of_conversation ON summaries (conversation, level);

CREATE VIEW IF NOT EXISTS remembered AS
SELECT m.seq, m.message_id, c.name AS conversation, m.role, m.content, m.sha256, m.ts,
    coalesce(m.importance, c.importance) AS importance, coalesce(m.label, c.label) AS label,
    coalesce(m.folder, c.folder) AS folder, c.pinned, c.archived, c.notebook
FROM messages AS m JOIN conversations AS c ON c.seq = m.conversation;

-- One row per dimension and model; `name` is that of the DuckDB file and of the table in it.
CREATE TABLE IF NOT EXISTS vector_tables (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    dimension INTEGER NOT NULL,
    model TEXT NOT NULL,
    name TEXT NOT NULL UNIQUE,
    UNIQUE (dimension, model)
);
-- Every vector that counts. `vector` is float32 in little-endian bytes, NULL once it is in the DuckDB file.
CREATE TABLE IF NOT EXISTS vectors (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    table_id INTEGER NOT NULL REFERENCES vector_tables (id),
    message INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
    content_hash INTEGER NOT NULL,
    vector BLOB,
    UNIQUE (message, table_id)
);
CREATE INDEX IF NOT EXISTS vectors_of_table ON vectors (table_id, id, content_hash);
CREATE INDEX IF NOT EXISTS vectors_pending ON vectors (table_id, id) WHERE vector IS NOT NULL;

-- Messages that wait for a vector. `holder` is the kernel that will see to it, `batch` the call that added them.
CREATE TABLE IF NOT EXISTS unembedded (
    message INTEGER PRIMARY KEY REFERENCES messages (seq) ON DELETE CASCADE,
    batch TEXT NOT NULL,
    holder TEXT NOT NULL,
    model TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT
);
CREATE INDEX IF NOT EXISTS unembedded_of_holder ON unembedded (holder, attempts, message);

-- Counts what can not be seen from new rows alone: readers keep much of a memory in theirs.
CREATE TABLE IF NOT EXISTS changes (what TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO changes VALUES ('scopes', 0), ('vectors', 0);
-- Vector files carry this name: those of another memory at the same place are not mistaken for ours.
CREATE TABLE IF NOT EXISTS identity (one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL);
INSERT OR IGNORE INTO identity VALUES (1, lower(hex(randomblob(16))));

CREATE VIRTUAL TABLE IF NOT EXISTS messages_text USING fts5(
    content, content = 'messages', content_rowid = 'seq', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER IF NOT EXISTS message_added AFTER INSERT ON messages BEGIN
    INSERT INTO messages_text (rowid, content) VALUES (new.seq, new.content);
END;
CREATE TRIGGER IF NOT EXISTS message_deleted AFTER DELETE ON messages BEGIN
    INSERT INTO messages_text (messages_text, rowid, content) VALUES ('delete', old.seq, old.content);
    UPDATE changes SET count = count + 1 WHERE what = 'scopes';
END;
CREATE TRIGGER IF NOT EXISTS message_rewritten AFTER UPDATE OF content ON messages
WHEN new.content IS NOT old.content BEGIN
    INSERT INTO messages_text (messages_text, rowid, content) VALUES ('delete', old.seq, old.content);
    INSERT INTO messages_text (rowid, content) VALUES (new.seq, new.content);
    DELETE FROM vectors WHERE message = old.seq;
END;
CREATE TRIGGER IF NOT EXISTS message_moved AFTER UPDATE OF conversation, folder, label ON messages BEGIN
    UPDATE changes SET count = count + 1 WHERE what = 'scopes';
END;
CREATE TRIGGER IF NOT EXISTS conversation_moved AFTER UPDATE OF name, folder, label, archived ON conversations BEGIN
    UPDATE changes SET count = count + 1 WHERE what = 'scopes';
END;
CREATE TRIGGER IF NOT EXISTS vector_deleted AFTER DELETE ON vectors BEGIN
    UPDATE changes SET count = count + 1 WHERE what = 'vectors';
END;
