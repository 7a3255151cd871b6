-- What a prune takes away: decisions, and calls that belong to none, since the kernel that made them was killed. Those
-- of a request that is under way are young, and stay.
CREATE TEMP TABLE sekha_gone AS
SELECT decision_id FROM decisions
WHERE
    ($before IS NULL OR ts < $before)
    AND ($notebook IS NULL OR notebook = $notebook OR ends_with(replace(notebook, '\', '/'), '/' || $notebook))
    AND ($session IS NULL OR session_id = $session)
UNION
SELECT c.decision_id FROM calls AS c
WHERE
    $notebook IS NULL
    AND $session IS NULL
    AND NOT EXISTS (SELECT 1 FROM decisions AS d WHERE d.decision_id = c.decision_id)
GROUP BY c.decision_id
HAVING max(c.ts) < $orphans;
