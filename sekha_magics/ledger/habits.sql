-- What the calls of other sessions counted, oldest first: the last 50 of each model and task within a month.
SELECT
    c.provider_id,
    c.model_id,
    d.task,
    c.input_tokens,
    c.output_tokens,
    d.request::VARCHAR AS request
FROM calls AS c
JOIN decisions AS d USING (decision_id)
WHERE
    c.status = 'ok'
    AND NOT coalesce(c.simulated, false)
    AND c.input_tokens IS NOT NULL
    AND d.session_id IS DISTINCT FROM $1
    AND c.ts > now() - INTERVAL 30 DAY
QUALIFY row_number() OVER (PARTITION BY c.provider_id, c.model_id, d.task ORDER BY c.ts DESC) <= 50
ORDER BY c.ts, c.call_id;
