-- What one conversation of one session cost, failed and stopped answers included; a replayed one what it cost once.
SELECT
    coalesce(sum(cost_usd), 0) + coalesce(sum(replayed_usd), 0) AS usd,
    coalesce(sum(unpriced_calls), 0)::BIGINT AS unpriced
FROM costs
WHERE session_id = $session AND conversation = $conversation
