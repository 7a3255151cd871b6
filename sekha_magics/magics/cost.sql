-- What was spent, by one or two columns of `costs`. The names in braces are filled in by the magic, never by its user.
SELECT
    {group},
    sum(calls)::BIGINT AS calls,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(CASE WHEN {replaying} AND outcome = 'replayed' THEN replayed_usd ELSE cost_usd END) AS cost_usd,
    sum(
        CASE WHEN {replaying} AND outcome = 'replayed' THEN (replayed_usd IS NULL)::BIGINT ELSE unpriced_calls END
    )::BIGINT AS unpriced_calls,
    sum(CASE WHEN NOT {replaying} THEN replayed_usd END) AS replayed_usd
FROM costs
WHERE calls > 0 AND {condition}
GROUP BY ALL
ORDER BY {order}
