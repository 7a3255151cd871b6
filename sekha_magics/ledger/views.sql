-- One row for each decision, also for one whose end was never logged but whose calls were. cost_usd is money spent: a
-- replayed call spends none, a simulated one what its provider was really asked. It is NULL when nothing but unpriced calls was made, and
-- unpriced_calls says how many a sum leaves out: a failed call counts there only if its answer had begun, since others are
-- not billed. provider and model are those that answered last, or else those that were chosen.
CREATE OR REPLACE VIEW costs AS
WITH judged AS (
    SELECT
        *,
        coalesce(status = 'replayed', false) OR coalesce(cost_source = 'replayed', false) AS replayed,
        NOT replayed AS spends,
        cost_usd IS NULL AND (status <> 'error' OR ttft_ms IS NOT NULL) AS unpriced
    FROM calls
),

spent AS (
    SELECT
        decision_id,
        min(ts) AS ts,
        count(*) AS calls,
        sum(cost_usd) FILTER (spends) AS cost_usd,
        count(*) FILTER (spends AND unpriced) AS unpriced_calls,
        sum(cost_usd) FILTER (replayed) AS replayed_usd,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        arg_max(
            {'provider_id': provider_id, 'provider_type': provider_type, 'model_id': model_id}, (attempt, ts)
        ) FILTER (status <> 'error') AS answered,
        arg_max(
            {'provider_id': provider_id, 'provider_type': provider_type, 'model_id': model_id}, (attempt, ts)
        ) AS tried
    FROM judged
    GROUP BY decision_id
)

SELECT
    coalesce(d.decision_id, s.decision_id) AS decision_id,
    coalesce(d.ts, s.ts) AS ts,
    d.session_id,
    d.notebook,
    d.cell_id,
    d.conversation,
    d.source,
    d.task,
    d.policy,
    coalesce(s.answered.provider_id, d.provider_id, s.tried.provider_id) AS provider_id,
    coalesce(s.answered.provider_type, d.provider_type, s.tried.provider_type) AS provider_type,
    coalesce(s.answered.model_id, d.model_id, s.tried.model_id) AS model_id,
    d.outcome,
    d.experiment,
    d.arm,
    coalesce(s.calls, 0) AS calls,
    CASE
        WHEN s.cost_usd IS NULL AND s.unpriced_calls > 0 THEN NULL
        ELSE coalesce(s.cost_usd, 0)
    END AS cost_usd,
    coalesce(s.unpriced_calls, 0) AS unpriced_calls,
    s.replayed_usd,
    d.est_cost_usd,
    s.input_tokens,
    s.output_tokens
FROM decisions AS d
FULL OUTER JOIN spent AS s ON d.decision_id = s.decision_id;

-- How each model at each provider did in earnest: replayed and simulated calls are left out. Latencies and times to
-- first token are those of successful calls, tokens per second their output over their whole time. error_rate is the
-- share of calls that ended in an error; an interrupted call is none. cost_usd is as in costs.
CREATE OR REPLACE VIEW provider_stats AS
WITH earnest AS (
    SELECT
        *,
        cost_usd IS NULL AND (status <> 'error' OR ttft_ms IS NOT NULL) AS unpriced
    FROM calls
    WHERE
        status <> 'replayed'
        AND coalesce(cost_source, '') <> 'replayed'
        AND NOT coalesce(simulated, false)
)

SELECT
    provider_id,
    arg_max(provider_type, ts) AS provider_type,
    model_id,
    count(*) AS calls,
    count(*) FILTER (status = 'error') AS errors,
    count(*) FILTER (status = 'error') / count(*) AS error_rate,
    quantile_cont(latency_ms, 0.5) FILTER (status = 'ok') AS latency_p50_ms,
    quantile_cont(latency_ms, 0.95) FILTER (status = 'ok') AS latency_p95_ms,
    quantile_cont(ttft_ms, 0.5) FILTER (status = 'ok') AS ttft_p50_ms,
    quantile_cont(ttft_ms, 0.95) FILTER (status = 'ok') AS ttft_p95_ms,
    1000 * (sum(output_tokens) FILTER (status = 'ok' AND output_tokens > 0 AND latency_ms > 0))
    / (sum(latency_ms) FILTER (status = 'ok' AND output_tokens > 0 AND latency_ms > 0)) AS tokens_per_second,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    CASE
        WHEN count(cost_usd) = 0 AND count(*) FILTER (unpriced) > 0 THEN NULL
        ELSE coalesce(sum(cost_usd), 0)
    END AS cost_usd,
    count(*) FILTER (unpriced) AS unpriced_calls
FROM earnest
GROUP BY provider_id, model_id;
