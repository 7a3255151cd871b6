-- Decisions in which a text stands, the newest first. `sekha_texts` and `sekha_prompts` are the hashes of texts and
-- prompts that hold it, `$text` is the text; a column is NULL where it does not stand there.
WITH tried AS (
    SELECT
        c.decision_id,
        min(c.ts) AS ts,
        arg_max(c.provider_id, c.ts) AS provider_id,
        arg_max(c.model_id, c.ts) AS model_id,
        arg_max(r.sha256, c.ts) AS answer,
        arg_max(p.sha256, c.ts) AS prompt,
        arg_max(c.error_message, c.ts) FILTER (contains(lower(c.error_message), lower($text))) AS error
    FROM calls AS c
    LEFT JOIN sekha_texts AS r ON c.response_sha256 = r.sha256
    LEFT JOIN sekha_prompts AS p ON c.prompt_sha256 = p.sha256
    WHERE r.sha256 IS NOT NULL OR p.sha256 IS NOT NULL OR contains(lower(c.error_message), lower($text))
    GROUP BY c.decision_id
)

SELECT
    coalesce(d.ts, t.ts) AS ts,
    coalesce(t.provider_id, d.provider_id) AS provider_id,
    coalesce(t.model_id, d.model_id) AS model_id,
    d.outcome,
    d.notebook,
    d.cell_id,
    d.conversation,
    d.session_id,
    coalesce(d.decision_id, t.decision_id) AS decision_id,
    t.answer,
    t.prompt,
    t.error,
    CASE WHEN contains(lower(d.conversation), lower($text)) THEN d.conversation END AS in_conversation,
    CASE WHEN contains(lower(d.notebook), lower($text)) THEN d.notebook END AS in_notebook
FROM decisions AS d
FULL OUTER JOIN tried AS t ON d.decision_id = t.decision_id
WHERE
    (
        t.decision_id IS NOT NULL
        OR contains(lower(d.conversation), lower($text))
        OR contains(lower(d.notebook), lower($text))
    )
    AND ($since IS NULL OR coalesce(d.ts, t.ts) >= $since)
ORDER BY ts DESC, decision_id
