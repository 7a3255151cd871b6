-- What is wrong with the ledger's rows: a fault, the table it is in, which row, and in words. `sekha_kept` holds the hashes
-- of the texts that are there, with those of its messages where one is a prompt; `sekha_committed` what this process wrote.

WITH numbers AS (
    SELECT writer, number AS first, number AS last FROM receipts
    UNION ALL
    SELECT writer, first, last FROM pruned
    UNION ALL
    SELECT writer, committed + 1 AS first, committed + 1 AS last FROM sekha_committed
),

steps AS (
    SELECT
        writer,
        first,
        coalesce(
            max(last) OVER (PARTITION BY writer ORDER BY first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0
        ) AS before
    FROM numbers
),

-- A request may be logged more than once as ended; the first such row stays. Its calls that ended before are each in an
-- append of their own.
logged AS (
    SELECT
        decision_id,
        max(decisions) AS decisions,
        max(candidates) AS candidates,
        coalesce(sum(calls) FILTER (decisions = 0), 0) + coalesce(max(calls) FILTER (decisions > 0), 0) AS calls,
        bool_and(texts) AS texts
    FROM receipts
    GROUP BY decision_id
),

present AS (
    SELECT decision_id, max(d) AS decisions, count(DISTINCT c) AS candidates, count(DISTINCT k) AS calls
    FROM (
        SELECT decision_id, 1 AS d, NULL::BIGINT AS c, NULL::VARCHAR AS k FROM decisions
        UNION ALL
        SELECT decision_id, 0, position, NULL FROM candidates
        UNION ALL
        SELECT decision_id, 0, NULL, call_id FROM calls
    )
    GROUP BY decision_id
),

counted AS (
    SELECT l.decision_id, 'decisions' AS tab, l.decisions AS logged, coalesce(p.decisions, 0) AS present
    FROM logged AS l LEFT JOIN present AS p ON l.decision_id = p.decision_id
    UNION ALL
    SELECT l.decision_id, 'candidates', l.candidates, coalesce(p.candidates, 0)
    FROM logged AS l LEFT JOIN present AS p ON l.decision_id = p.decision_id
    UNION ALL
    SELECT l.decision_id, 'calls', l.calls, coalesce(p.calls, 0)
    FROM logged AS l LEFT JOIN present AS p ON l.decision_id = p.decision_id
),

asked AS (
    SELECT c.call_id, c.prompt_sha256, c.response_sha256
    FROM calls AS c INNER JOIN logged AS l ON c.decision_id = l.decision_id
    WHERE l.texts
),

wanted AS (
    SELECT call_id, 'prompt' AS part, prompt_sha256 AS sha256 FROM asked
    UNION ALL
    SELECT call_id, 'response', response_sha256 FROM asked
    UNION ALL
    SELECT a.call_id, 'message', unnest(k.members)
    FROM asked AS a INNER JOIN sekha_kept AS k ON a.prompt_sha256 = k.sha256
),

found AS (
    SELECT
        'gap' AS fault,
        'receipts' AS tab,
        writer AS id,
        CASE
            WHEN first - 1 = before + 1 THEN 'append ' || (before + 1) || ' of this writer is missing'
            ELSE 'appends ' || (before + 1) || ' to ' || (first - 1) || ' of this writer are missing'
        END AS detail
    FROM steps
    WHERE first > before + 1

    UNION ALL
    SELECT 'missing', tab, decision_id, (logged - present) || ' of the ' || logged || ' rows logged for it'
    FROM counted
    WHERE present < logged

    UNION ALL
    SELECT 'added', tab, decision_id, present || ' rows are here, ' || logged || ' were logged for it'
    FROM counted
    WHERE present > logged

    UNION ALL
    SELECT 'missing', 'calls', d.decision_id, 'the decision was answered, and no call of it is here'
    FROM decisions AS d ANTI JOIN calls AS c ON d.decision_id = c.decision_id
    WHERE d.outcome = 'ok'

    UNION ALL
    SELECT 'orphan', 'candidates', c.decision_id, 'a candidate of a decision that is not here'
    FROM candidates AS c ANTI JOIN decisions AS d ON c.decision_id = d.decision_id

    UNION ALL
    SELECT 'missing', 'snapshots', d.snapshot_id, 'decision ' || any_value(left(d.decision_id, 8)) || ' was made with it'
    FROM decisions AS d ANTI JOIN snapshots AS s ON d.snapshot_id = s.snapshot_id
    WHERE d.snapshot_id IS NOT NULL
    GROUP BY d.snapshot_id

    UNION ALL
    SELECT 'missing', 'snapshots', s.catalogue_id, 'models and prices of snapshot ' || any_value(left(s.snapshot_id, 8))
    FROM snapshots AS s ANTI JOIN snapshots AS c ON s.catalogue_id = c.snapshot_id
    GROUP BY s.catalogue_id

    UNION ALL
    SELECT 'missing', 'contents', sha256, any_value(part) || ' of call ' || any_value(left(call_id, 8))
    FROM wanted AS w
    WHERE w.sha256 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sekha_kept AS k WHERE k.sha256 = w.sha256)
    GROUP BY sha256
)

SELECT DISTINCT fault, tab AS "table", id, detail FROM found ORDER BY ALL LIMIT $1
