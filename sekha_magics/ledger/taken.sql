-- The numbers of appends that are gone on purpose, so that nobody takes them for lost.
INSERT INTO folded.main.pruned
SELECT
    writer,
    min(number) AS first,
    max(number) AS last,
    now() AS ts
FROM (
    SELECT
        r.writer,
        r.number,
        r.number - row_number() OVER (PARTITION BY r.writer ORDER BY r.number) AS island
    FROM receipts AS r
    INNER JOIN sekha_gone AS g ON r.decision_id = g.decision_id
)
GROUP BY writer, island;
