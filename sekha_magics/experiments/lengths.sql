-- How long the answers of each model are: the median of its output tokens, by task.
SELECT
    d.task,
    c.provider_id,
    c.model_id,
    median(c.output_tokens) AS output_tokens
FROM calls AS c
INNER JOIN decisions AS d ON c.decision_id = d.decision_id
WHERE c.status IN ('ok', 'replayed') AND c.operation = 'chat' AND c.output_tokens > 0
GROUP BY ALL
HAVING count(*) >= {enough}
