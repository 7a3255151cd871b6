-- What the ledger knows of a notebook: its decisions by the notebook's name as it was logged, and all others of the
-- sessions in which its outputs were made.
WITH sessions AS (
    SELECT DISTINCT session_id
    FROM decisions
    WHERE decision_id IN (SELECT CAST(decision_id AS VARCHAR) FROM outputs)
),

last_calls AS (
    SELECT
        decision_id,
        arg_max(coalesce(cost_source, 'unpriced'), (attempt, ts)) AS cost_source,
        arg_max(latency_ms, (attempt, ts)) AS latency_ms
    FROM calls
    GROUP BY decision_id
)

SELECT
    c.decision_id,
    c.ts,
    c.cell_id,
    c.conversation,
    c.source,
    c.task,
    c.provider_id,
    c.model_id,
    c.outcome,
    c.cost_usd,
    c.unpriced_calls,
    c.replayed_usd,
    c.input_tokens,
    c.output_tokens,
    l.cost_source,
    l.latency_ms
FROM costs AS c
INNER JOIN last_calls AS l ON c.decision_id = l.decision_id
WHERE
    c.session_id IN (SELECT session_id FROM sessions)
    OR c.notebook IN (SELECT CAST(notebook AS VARCHAR) FROM names)
ORDER BY c.ts, c.decision_id
