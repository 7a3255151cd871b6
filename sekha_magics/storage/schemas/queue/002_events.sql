-- What is not folded yet. An id begins with its writer, so that each writer's rows stand together in their order, and a
-- commit touches one tree. The table `queue` stays: kernels with an earlier version loaded still write to it.
CREATE TABLE IF NOT EXISTS events (
    event_id TEXT PRIMARY KEY,
    payload TEXT NOT NULL,
    texts TEXT NOT NULL  -- a JSON object: bodies by hash that are not in content.sqlite yet; or empty
) WITHOUT ROWID;
