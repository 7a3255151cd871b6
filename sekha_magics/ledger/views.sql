-- Views over the ledger's tables. The comment above each is its text in the reference.
--
-- In all of them cost_usd is money spent: a replayed call spends none, a simulated one what its provider was really asked,
-- and a failed one counts as unpriced only where its answer had begun, since others are not billed. It is NULL where the
-- price is unknown; a sum leaves such calls out, unpriced_calls says how many, and the sum is NULL when nothing but
-- unpriced calls was made.

CREATE OR REPLACE VIEW sekha_judged AS
SELECT
    *,
    coalesce(status = 'replayed', false) OR coalesce(cost_source = 'replayed', false) AS replayed,
    NOT replayed AS spends,
    NOT replayed AND NOT coalesce(simulated, false) AS earnest,
    spends AND cost_usd IS NULL AND (status <> 'error' OR ttft_ms IS NOT NULL) AS unpriced
FROM calls;

-- One row for each decision, also for one whose end was never logged but whose calls were. provider and model are those
-- that answered last, or else those that were chosen; the cost of attempts that failed before is part of the row.
CREATE OR REPLACE VIEW costs AS
WITH spent AS (
    SELECT
        decision_id,
        min(ts) AS ts,
        count(*) AS calls,
        sum(cost_usd) FILTER (spends) AS cost_usd,
        count(*) FILTER (unpriced) AS unpriced_calls,
        sum(cost_usd) FILTER (replayed) AS replayed_usd,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        arg_max(
            {'provider_id': provider_id, 'provider_type': provider_type, 'model_id': model_id}, (attempt, ts)
        ) FILTER (status <> 'error') AS answered,
        arg_max(
            {'provider_id': provider_id, 'provider_type': provider_type, 'model_id': model_id}, (attempt, ts)
        ) AS tried
    FROM sekha_judged
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

-- One row for each call, with where it came from and what it spent: calls and decisions joined, ready for a GROUP BY.
-- replayed_usd is what a replayed call cost when it was recorded.
CREATE OR REPLACE VIEW charges AS
SELECT
    j.call_id,
    j.decision_id,
    j.ts,
    d.session_id,
    d.notebook,
    d.cell_id,
    d.conversation,
    d.source,
    d.task,
    d.policy,
    j.attempt,
    j.provider_id,
    j.provider_type,
    j.model_id,
    j.operation,
    j.status,
    j.replayed,
    coalesce(j.simulated, false) AS simulated,
    j.input_tokens,
    j.output_tokens,
    j.cached_input_tokens,
    j.reasoning_tokens,
    j.latency_ms,
    j.ttft_ms,
    CAST(
        CASE
            WHEN j.unpriced THEN NULL
            WHEN j.spends THEN coalesce(j.cost_usd, 0)
            ELSE 0
        END AS DECIMAL(18, 12)
    ) AS cost_usd,
    j.unpriced,
    CASE WHEN j.replayed THEN j.cost_usd END AS replayed_usd,
    j.cost_source
FROM sekha_judged AS j
LEFT JOIN decisions AS d ON j.decision_id = d.decision_id;

-- Calls, tokens and money by day (of UTC), provider, model and task. Replayed calls are left out. Each call counts for the
-- model it was sent to, also when another answered in the end.
CREATE OR REPLACE VIEW spending AS
SELECT
    DATE '1970-01-01' + (epoch_us(j.ts) // 86400000000)::INTEGER AS day,
    j.provider_id,
    j.model_id,
    d.task,
    count(*) AS calls,
    count(*) FILTER (j.status = 'error') AS failed_calls,
    sum(j.input_tokens)::BIGINT AS input_tokens,
    sum(j.cached_input_tokens)::BIGINT AS cached_input_tokens,
    sum(j.output_tokens)::BIGINT AS output_tokens,
    sum(j.reasoning_tokens)::BIGINT AS reasoning_tokens,
    CASE
        WHEN count(j.cost_usd) = 0 AND count(*) FILTER (j.unpriced) > 0 THEN NULL
        ELSE coalesce(sum(j.cost_usd), 0)
    END AS cost_usd,
    count(*) FILTER (j.unpriced) AS unpriced_calls
FROM sekha_judged AS j
LEFT JOIN decisions AS d ON j.decision_id = d.decision_id
WHERE j.spends
GROUP BY ALL;

-- One row for each session (a registry in one kernel), with its first and last event, what it asked and what it spent.
-- Calls whose decision was never logged stand in the row without a session.
CREATE OR REPLACE VIEW sessions AS
SELECT
    d.session_id,
    arg_max(d.notebook, d.ts) AS notebook,
    min(coalesce(d.ts, j.ts)) AS started,
    max(coalesce(greatest(d.ts, j.ts), d.ts, j.ts)) AS ended,
    count(DISTINCT coalesce(d.decision_id, j.decision_id)) AS decisions,
    count(j.call_id) AS calls,
    count(*) FILTER (j.status = 'error') AS failed_calls,
    count(*) FILTER (j.replayed) AS replayed_calls,
    sum(j.input_tokens)::BIGINT AS input_tokens,
    sum(j.output_tokens)::BIGINT AS output_tokens,
    CASE
        WHEN count(*) FILTER (j.spends AND j.cost_usd IS NOT NULL) = 0 AND count(*) FILTER (j.unpriced) > 0 THEN NULL
        ELSE coalesce(sum(j.cost_usd) FILTER (j.spends), 0)
    END AS cost_usd,
    count(*) FILTER (j.unpriced) AS unpriced_calls,
    sum(j.cost_usd) FILTER (j.replayed) AS replayed_usd
FROM decisions AS d
FULL OUTER JOIN sekha_judged AS j ON d.decision_id = j.decision_id
GROUP BY d.session_id;

-- One row for each named conversation of a session: how many requests it took, over what time, and what it spent.
CREATE OR REPLACE VIEW conversation_costs AS
SELECT
    d.session_id,
    d.conversation,
    min(d.ts) AS started,
    max(d.ts) AS ended,
    count(DISTINCT d.decision_id) AS decisions,
    count(j.call_id) AS calls,
    sum(j.input_tokens)::BIGINT AS input_tokens,
    sum(j.output_tokens)::BIGINT AS output_tokens,
    CASE
        WHEN count(*) FILTER (j.spends AND j.cost_usd IS NOT NULL) = 0 AND count(*) FILTER (j.unpriced) > 0 THEN NULL
        ELSE coalesce(sum(j.cost_usd) FILTER (j.spends), 0)
    END AS cost_usd,
    count(*) FILTER (j.unpriced) AS unpriced_calls,
    sum(j.cost_usd) FILTER (j.replayed) AS replayed_usd
FROM decisions AS d
LEFT JOIN sekha_judged AS j ON d.decision_id = j.decision_id
WHERE d.conversation IS NOT NULL
GROUP BY d.session_id, d.conversation;

-- How each model at each provider did in earnest: replayed and simulated calls are left out. Latencies and times to
-- first token are those of successful calls, tokens per second their output over their whole time. error_rate is the
-- share of calls that ended in an error; an interrupted call is none.
CREATE OR REPLACE VIEW provider_stats AS
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
FROM sekha_judged
WHERE earnest
GROUP BY provider_id, model_id;

-- The speed and reliability of each model at each provider, day by day (of UTC): the measures of provider_stats over time.
CREATE OR REPLACE VIEW daily_stats AS
SELECT
    DATE '1970-01-01' + (epoch_us(ts) // 86400000000)::INTEGER AS day,
    provider_id,
    model_id,
    count(*) AS calls,
    count(*) FILTER (status = 'error') AS errors,
    count(*) FILTER (status = 'error') / count(*) AS error_rate,
    quantile_cont(latency_ms, 0.5) FILTER (status = 'ok') AS latency_p50_ms,
    quantile_cont(latency_ms, 0.95) FILTER (status = 'ok') AS latency_p95_ms,
    quantile_cont(ttft_ms, 0.5) FILTER (status = 'ok') AS ttft_p50_ms,
    quantile_cont(ttft_ms, 0.95) FILTER (status = 'ok') AS ttft_p95_ms,
    1000 * (sum(output_tokens) FILTER (status = 'ok' AND output_tokens > 0 AND latency_ms > 0))
    / (sum(latency_ms) FILTER (status = 'ok' AND output_tokens > 0 AND latency_ms > 0)) AS tokens_per_second
FROM sekha_judged
WHERE earnest
GROUP BY ALL;

-- One row for each call that failed, with what the provider said. saved is true when another attempt of the same request
-- gave the answer; answered_provider_id and answered_model_id then say whose.
CREATE OR REPLACE VIEW failures AS
WITH answers AS (
    SELECT
        decision_id,
        arg_max({'provider_id': provider_id, 'model_id': model_id}, (attempt, ts)) AS by_whom
    FROM calls
    WHERE status IN ('ok', 'replayed')
    GROUP BY decision_id
)

SELECT
    c.call_id,
    c.decision_id,
    c.ts,
    c.session_id,
    c.notebook,
    c.task,
    c.provider_id,
    c.model_id,
    c.attempt,
    k.error_type,
    k.http_status,
    k.error_message,
    c.latency_ms,
    c.simulated,
    c.cost_usd,
    c.unpriced,
    d.outcome,
    a.decision_id IS NOT NULL AS saved,
    a.by_whom.provider_id AS answered_provider_id,
    a.by_whom.model_id AS answered_model_id
FROM charges AS c
INNER JOIN calls AS k ON c.call_id = k.call_id
LEFT JOIN decisions AS d ON c.decision_id = d.decision_id
LEFT JOIN answers AS a ON c.decision_id = a.decision_id
WHERE c.status = 'error';

-- One row for each request that was answered by another model, or at another provider, than was chosen: what was chosen,
-- who answered, the classes of the errors between in their order, and the milliseconds that were lost to them.
CREATE OR REPLACE VIEW fallbacks AS
WITH failed AS (
    SELECT
        decision_id,
        count(*) AS failed_calls,
        list(error_type ORDER BY attempt, ts) AS error_types,
        sum(latency_ms) AS lost_ms
    FROM calls
    WHERE status = 'error'
    GROUP BY decision_id
),

answers AS (
    SELECT
        decision_id,
        arg_max({'provider_id': provider_id, 'model_id': model_id}, (attempt, ts)) AS by_whom
    FROM calls
    WHERE status IN ('ok', 'replayed')
    GROUP BY decision_id
)

SELECT
    d.decision_id,
    d.ts,
    d.session_id,
    d.notebook,
    d.task,
    d.provider_id AS chosen_provider_id,
    d.model_id AS chosen_model_id,
    a.by_whom.provider_id AS provider_id,
    a.by_whom.model_id AS model_id,
    d.outcome,
    coalesce(f.failed_calls, 0) AS failed_calls,
    coalesce(f.error_types, []) AS error_types,
    coalesce(f.lost_ms, 0) AS lost_ms
FROM decisions AS d
INNER JOIN answers AS a ON d.decision_id = a.decision_id
LEFT JOIN failed AS f ON d.decision_id = f.decision_id
WHERE
    a.by_whom.provider_id IS DISTINCT FROM d.provider_id
    OR a.by_whom.model_id IS DISTINCT FROM d.model_id;

-- Why models were not chosen: one row for each candidate that was not eligible and each reason against it, with what was
-- chosen instead (nothing, when a request was refused).
CREATE OR REPLACE VIEW rejections AS
SELECT
    c.decision_id,
    d.ts,
    d.session_id,
    d.notebook,
    d.source,
    d.task,
    c.provider_id,
    c.model_id,
    unnest(c.reasons) AS reason,
    d.provider_id AS chosen_provider_id,
    d.model_id AS chosen_model_id,
    d.outcome
FROM candidates AS c
LEFT JOIN decisions AS d ON c.decision_id = d.decision_id
WHERE NOT c.eligible;

-- How good the estimates were: one row for each request that the chosen model answered. A ratio is what came, divided by
-- what was expected: 1 is exact, 2 is twice as much. Simulated calls are left out; of a replayed one the figures are those
-- of its recording, which is why cost_usd is here the cost of the answer and not money spent.
CREATE OR REPLACE VIEW estimates AS
SELECT
    d.decision_id,
    d.ts,
    d.session_id,
    d.task,
    d.provider_id,
    d.model_id,
    j.replayed,
    d.est_input_tokens,
    j.input_tokens,
    j.input_tokens / nullif(d.est_input_tokens, 0) AS input_ratio,
    d.est_output_tokens,
    j.output_tokens,
    j.output_tokens / nullif(d.est_output_tokens, 0) AS output_ratio,
    d.est_cost_usd,
    j.cost_usd,
    CAST(j.cost_usd AS DOUBLE) / nullif(CAST(d.est_cost_usd AS DOUBLE), 0) AS cost_ratio
FROM decisions AS d
INNER JOIN sekha_judged AS j
    ON
        d.decision_id = j.decision_id
        AND d.provider_id = j.provider_id
        AND d.model_id = j.model_id
WHERE j.status IN ('ok', 'replayed') AND NOT coalesce(j.simulated, false);
