-- Snapshots that stay: those of a decision that stays, here or in the queue, and the catalogues they belong to.
CREATE TEMP TABLE sekha_staying AS
WITH states AS (
    SELECT snapshot_id FROM decisions AS d
    WHERE
        snapshot_id IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM sekha_gone AS g WHERE g.decision_id = d.decision_id)
    UNION
    SELECT unnest($queued::VARCHAR[])
)

SELECT snapshot_id FROM states
UNION
SELECT s.catalogue_id FROM snapshots AS s
INNER JOIN states AS t ON s.snapshot_id = t.snapshot_id
WHERE s.catalogue_id IS NOT NULL;
