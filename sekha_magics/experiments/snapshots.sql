-- What the decisions that meet the condition depended on; a state names the catalogue it belongs to.
WITH wanted AS (
    SELECT DISTINCT d.snapshot_id
    FROM decisions AS d
    WHERE {condition}
),

states AS (
    SELECT s.snapshot_id, s.catalogue_id
    FROM snapshots AS s
    INNER JOIN wanted AS w ON s.snapshot_id = w.snapshot_id
    WHERE s.kind = 'state'
)

SELECT s.snapshot_id, s.kind, s.catalogue_id, s.content::VARCHAR AS content
FROM snapshots AS s
WHERE
    (s.kind = 'state' AND s.snapshot_id IN (SELECT st.snapshot_id FROM states AS st))
    OR (s.kind = 'catalogue' AND s.snapshot_id IN (SELECT st.catalogue_id FROM states AS st))
