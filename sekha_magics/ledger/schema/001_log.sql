-- Money is USD, tokens are counted by the provider unless their name says est, durations are milliseconds, times UTC.
-- There are no primary keys: a fold drops what it has by id, and an index would be copied with every fold.

CREATE TABLE IF NOT EXISTS decisions (
    decision_id VARCHAR,
    ts TIMESTAMPTZ,
    session_id VARCHAR,
    notebook VARCHAR,
    cell_id VARCHAR,
    conversation VARCHAR,
    source VARCHAR,
    task VARCHAR,
    policy VARCHAR,
    requested_model VARCHAR,
    preferred_model VARCHAR,
    require_vision BOOLEAN,
    image_count BIGINT,
    est_input_tokens BIGINT,
    est_output_tokens BIGINT,
    max_cost_usd DECIMAL(18, 12),
    provider_id VARCHAR,
    provider_type VARCHAR,
    model_id VARCHAR,
    est_cost_usd DECIMAL(18, 12),
    reason VARCHAR,
    outcome VARCHAR,
    experiment VARCHAR,
    arm VARCHAR,
    snapshot_id VARCHAR,
    request JSON
);

CREATE TABLE IF NOT EXISTS candidates (
    decision_id VARCHAR,
    position BIGINT,
    provider_id VARCHAR,
    model_id VARCHAR,
    eligible BOOLEAN,
    rank BIGINT,
    reasons VARCHAR[],
    est_cost_usd DECIMAL(18, 12),
    priority BIGINT,
    breaker_state VARCHAR,
    latency_p50_ms DOUBLE
);

CREATE TABLE IF NOT EXISTS calls (
    call_id VARCHAR,
    decision_id VARCHAR,
    ts TIMESTAMPTZ,
    attempt BIGINT,
    provider_id VARCHAR,
    provider_type VARCHAR,
    model_id VARCHAR,
    served_model VARCHAR,
    operation VARCHAR,
    simulated BOOLEAN,
    status VARCHAR,
    error_type VARCHAR,
    error_message VARCHAR,
    http_status BIGINT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cached_input_tokens BIGINT,
    reasoning_tokens BIGINT,
    cost_usd DECIMAL(18, 12),
    cost_source VARCHAR,
    price_as_of DATE,
    latency_ms DOUBLE,
    ttft_ms DOUBLE,
    streamed BOOLEAN,
    finish_reason VARCHAR,
    prompt_sha256 VARCHAR,
    response_sha256 VARCHAR
);

CREATE TABLE IF NOT EXISTS ratings (
    rating_id VARCHAR,
    ts TIMESTAMPTZ,
    session_id VARCHAR,
    decision_id VARCHAR,
    call_id VARCHAR,
    rating DOUBLE,
    rater VARCHAR,
    comment VARCHAR
);

-- A state names the catalogue it belongs to: models and prices change seldom, latencies with every call.
CREATE TABLE IF NOT EXISTS snapshots (
    snapshot_id VARCHAR,
    ts TIMESTAMPTZ,
    kind VARCHAR,
    catalogue_id VARCHAR,
    content JSON
);
