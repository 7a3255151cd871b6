-- How many of the sources (a JSON list of [id, version]) are there still as they were: messages of this conversation by
-- their SHA-256, summaries by their id.
SELECT count(*) FROM json_each(:sources) AS source
WHERE EXISTS (
    SELECT 1 FROM messages
    WHERE message_id = json_extract(source.value, '$[0]')
        AND sha256 = json_extract(source.value, '$[1]') AND conversation = :conversation
) OR EXISTS (
    SELECT 1 FROM summaries
    WHERE summary_id = json_extract(source.value, '$[0]') AND conversation = :conversation
)
