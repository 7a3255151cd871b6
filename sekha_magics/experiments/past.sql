-- Requests that were put to a model, oldest first, each with what it came to. tokens are those of the call that
-- answered. The names in braces are filled in by the reader, never by its user.
WITH answered AS (
    SELECT
        decision_id,
        arg_max(
            {{
                'input_tokens': input_tokens,
                'output_tokens': output_tokens,
                'cached_input_tokens': cached_input_tokens,
                'provider_id': provider_id,
                'model_id': model_id
            }},
            (attempt, ts)
        ) AS call,
        bool_or(coalesce(simulated, false)) AS simulated
    FROM calls
    WHERE status IN ('ok', 'replayed', 'interrupted')
    GROUP BY decision_id
)

SELECT
    d.decision_id,
    d.ts,
    d.source,
    d.task,
    d.policy,
    d.provider_id,
    d.model_id,
    d.outcome,
    d.snapshot_id,
    d.request::VARCHAR AS request,
    a.call.provider_id AS answered_provider,
    a.call.model_id AS answered_model,
    a.call.input_tokens AS input_tokens,
    a.call.output_tokens AS output_tokens,
    coalesce(a.call.cached_input_tokens, 0) AS cached_input_tokens,
    CASE WHEN {replaying} AND d.outcome = 'replayed' THEN c.replayed_usd ELSE c.cost_usd END AS cost_usd
FROM decisions AS d
LEFT JOIN answered AS a ON d.decision_id = a.decision_id
LEFT JOIN costs AS c ON d.decision_id = c.decision_id
WHERE
    {condition}
    AND d.outcome IN ('ok', 'failed', 'interrupted', 'refused'{replayed})
    AND NOT coalesce(a.simulated, false)
ORDER BY d.ts, d.decision_id
