-- What was spent, by one or two columns of `costs`. The names in braces are filled in by the magic, never by its user.
SELECT
    {group},
    sum(calls)::BIGINT AS calls,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(cost_usd) AS cost_usd,
    sum(unpriced_calls)::BIGINT AS unpriced_calls,
    sum(replayed_usd) AS replayed_usd
FROM costs
WHERE calls > 0 AND {condition}
GROUP BY ALL
ORDER BY {order}
