-- What was spent, by one or two columns of `charges`: a call belongs to the model it was sent to, also when another one
-- answered in the end. The names in braces are filled in by the magic, never by its user.
SELECT
    {group},
    count(*) AS calls,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(CASE WHEN {replaying} AND replayed THEN replayed_usd ELSE cost_usd END) AS cost_usd,
    count(*) FILTER (CASE WHEN {replaying} AND replayed THEN replayed_usd IS NULL ELSE unpriced END) AS unpriced_calls,
    sum(CASE WHEN NOT {replaying} THEN replayed_usd END) AS replayed_usd
FROM charges
WHERE {condition}
GROUP BY ALL
ORDER BY {order}
