-- The last 50 successful calls at each provider and model, oldest first.
SELECT
    provider_id,
    model_id,
    list(latency_ms ORDER BY ts) AS milliseconds
FROM (
    SELECT provider_id, model_id, latency_ms, ts
    FROM calls
    WHERE status = 'ok' AND NOT coalesce(simulated, false) AND latency_ms IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY provider_id, model_id ORDER BY ts DESC) <= 50
)
GROUP BY provider_id, model_id
ORDER BY provider_id, model_id;
