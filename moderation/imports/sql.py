"""The SQL statements that compare staged rows with a list and write the changes.

They run in this order, with the parameters ``list``, ``full``, ``now``, ``by`` and ``theirs``: the
reasons of retirement that the source may reverse. ``change`` has one row per entry, or more if an
entry without id withdraws several items.
"""

from __future__ import annotations

from typing import Final

WITHDRAWN, EXPIRED, MISSING = "withdrawn by its source", "expired", "no longer in its source's list"
RETIRED_BY_SOURCE: Final = (WITHDRAWN, EXPIRED, MISSING)
"""Reasons why an import retires items. Items retired for other reasons stay retired."""

ANALYZE: Final = "ANALYZE moderation_banneditem, moderation_bannedhash"

MATCH: Final = """
CREATE TEMPORARY TABLE entry AS
WITH last AS (
    SELECT key, max(seq) AS seq, max(media) AS media,
           min(nullif(feedback, '')) AS least, max(nullif(feedback, '')) AS most
    FROM staged GROUP BY key
), by_hash AS (
    SELECT s.key, s.gone, i.id AS item
    FROM staged s
    JOIN moderation_bannedhash h ON h.value = s.value AND h.kind = s.kind
    JOIN moderation_banneditem i ON i.id = h.item_id AND i.list_id = %(list)s
    WHERE s.source_id = '' AND (
        i.source_id = '' AND i.source = s.source OR s.gone AND s.source IN ('', i.source)
    )
), found AS (
    SELECT key, min(item) AS item FROM by_hash WHERE NOT gone GROUP BY key
    UNION SELECT key, item FROM by_hash WHERE gone
), matched AS (
    SELECT last.*, s.gone, s.source_id, coalesce(i.id, found.item) AS item
    FROM last
    JOIN staged s ON s.seq = last.seq
    LEFT JOIN moderation_banneditem i
        ON i.list_id = %(list)s AND s.source_id <> '' AND i.source = s.source
        AND i.source_id = s.source_id
    LEFT JOIN found ON s.source_id = '' AND found.key = last.key
)
SELECT key, seq, gone, item, source_id <> '' AS has_id,
       coalesce(nullif(media, ''), 'unknown') AS media,
       CASE WHEN least <> most THEN 'disputed' ELSE coalesce(most, 'none') END AS feedback,
       seq = max(seq) OVER same_item AS decides, bool_or(gone) OVER same_item AS doomed
FROM matched WINDOW same_item AS (PARTITION BY coalesce(item, -seq))
"""

FRESH: Final = """
CREATE TEMPORARY TABLE fresh AS
SELECT DISTINCT e.key FROM entry e
JOIN staged s ON s.key = e.key AND NOT s.gone AND s.kind IS NOT NULL
LEFT JOIN moderation_bannedhash h
    ON h.item_id = e.item AND h.kind = s.kind AND h.value = s.value
WHERE e.item IS NOT NULL AND NOT e.gone
    AND (h.id IS NULL OR s.quality IS NOT NULL AND s.quality IS DISTINCT FROM h.quality)
"""
"""Entries with a hash or a quality that their items lack."""

STALE: Final = """
CREATE TEMPORARY TABLE stale AS
SELECT h.id, e.key FROM entry e
JOIN moderation_bannedhash h ON h.item_id = e.item AND h.time_ms IS NULL
WHERE %(full)s AND e.has_id AND NOT e.gone AND NOT EXISTS (
    SELECT FROM staged s WHERE s.key = e.key AND s.kind = h.kind AND s.value = h.value
)
"""
"""Hashes that entries of a full list no longer have."""

_EMPTY: Final = {
    "owner": "''", "category": "''", "severity": "''", "tags": "'{}'", "note": "''",
    "feedback": "'none'", "expires_at": "NULL",
}  # fmt: skip
_NEW: Final = {
    # An entry without id is identified only by its hash: its empty fields change nothing.
    name: f"CASE WHEN e.has_id THEN {of}.{name} "
    f"ELSE coalesce(nullif({of}.{name}, {empty}), i.{name}) END"
    for name, empty in _EMPTY.items()
    for of in ("e" if name == "feedback" else "s",)
} | {"media": "coalesce(nullif(e.media, 'unknown'), i.media)"}

CLASSIFY: Final = f"""
CREATE TEMPORARY TABLE change AS
SELECT e.key, e.seq, e.item, e.decides, e.has_id, e.media, e.feedback, CASE
    WHEN e.gone AND i.state = 'active' AND (s.updated_at < i.updated_at) IS NOT TRUE THEN 'retired'
    WHEN e.gone THEN 'unchanged'
    WHEN i.id IS NULL THEN 'added'
    WHEN e.doomed OR s.updated_at < i.updated_at THEN 'unchanged'
    WHEN i.state = 'retired' AND i.retired_because = ANY(%(theirs)s) THEN 'reactivated'
    WHEN i.state = 'retired' THEN 'kept'
    WHEN i.expires_at <= %(now)s AND (({_NEW["expires_at"]}) > %(now)s) IS NOT FALSE
        THEN 'reactivated'
    WHEN f.key IS NOT NULL OR e.key IN (SELECT key FROM stale) THEN 'changed'
    WHEN e.decides AND ({", ".join(_NEW.values())})
        IS DISTINCT FROM ({", ".join(f"i.{name}" for name in _NEW)}) THEN 'changed'
    ELSE 'unchanged' END AS what
FROM entry e
JOIN staged s ON s.seq = e.seq
LEFT JOIN moderation_banneditem i ON i.id = e.item
LEFT JOIN fresh f ON f.key = e.key
"""

FIND_MISSING: Final = """
CREATE TEMPORARY TABLE missing AS
SELECT i.id AS item FROM moderation_banneditem i
WHERE %(full)s AND i.list_id = %(list)s AND i.state = 'active'
    AND i.source IN (SELECT DISTINCT source FROM staged WHERE source <> '')
    AND NOT EXISTS (SELECT FROM change c WHERE c.item = i.id)
"""

# Without statistics the planner takes few rows for added ones, and may compare each with each.
COMPARE: Final = (MATCH, "ANALYZE entry", FRESH, STALE, CLASSIFY, "ANALYZE change", FIND_MISSING)
COUNT: Final = """
SELECT what, count(DISTINCT coalesce(item, -seq)) FROM change GROUP BY what
UNION ALL SELECT 'missing', count(*) FROM missing
"""
SAMPLE: Final = """
SELECT coalesce(i.source, s.source), coalesce(i.source_id, s.source_id), c.item,
    array(SELECT h.kind || ' ' || h.value FROM staged h WHERE h.key = c.key AND h.kind IS NOT NULL
          LIMIT 4)
FROM change c JOIN staged s ON s.seq = c.seq LEFT JOIN moderation_banneditem i ON i.id = c.item
WHERE c.what = %s ORDER BY c.seq LIMIT %s
"""
SAMPLE_MISSING: Final = """
SELECT i.source, i.source_id, i.id,
    array(SELECT h.kind || ' ' || h.value FROM moderation_bannedhash h
          WHERE h.item_id = i.id LIMIT 4)
FROM missing m JOIN moderation_banneditem i ON i.id = m.item ORDER BY i.id LIMIT %s
"""

NUMBER: Final = """
UPDATE change SET item = numbered.id FROM (
    SELECT seq, nextval(pg_get_serial_sequence('moderation_banneditem', 'id')) AS id
    FROM (SELECT seq FROM change WHERE what = 'added' ORDER BY seq) AS ordered
) AS numbered
WHERE change.seq = numbered.seq AND change.what = 'added'
"""
ADD_ITEMS: Final = """
INSERT INTO moderation_banneditem (id, list_id, media, source, source_id, state, retired_because,
    opinion, feedback, category, severity, owner, tags, note, updated_at, expires_at, picture,
    added_by, created_at)
SELECT c.item, %(list)s, c.media, s.source, s.source_id, 'active', '', 'none', c.feedback,
    s.category, s.severity, s.owner, s.tags, s.note, s.updated_at, s.expires_at, '', %(by)s, %(now)s
FROM change c JOIN staged s ON s.seq = c.seq WHERE c.what = 'added' ORDER BY c.item
"""
CHANGE_ITEMS: Final = f"""
UPDATE moderation_banneditem i
SET state = 'active', retired_at = NULL, retired_because = '',
    updated_at = coalesce(s.updated_at, i.updated_at),
    {", ".join(f"{name} = {value}" for name, value in _NEW.items())}
FROM change e JOIN staged s ON s.seq = e.seq
WHERE i.id = e.item AND e.decides AND e.what IN ('changed', 'reactivated')
"""
ADD_HASHES: Final = """
INSERT INTO moderation_bannedhash AS h (item_id, kind, value, quality)
SELECT DISTINCT ON (c.item, s.kind, s.value) c.item, s.kind, s.value, s.quality
FROM change c JOIN staged s ON s.key = c.key AND NOT s.gone AND s.kind IS NOT NULL
WHERE c.what IN ('added', 'changed', 'reactivated')
ORDER BY c.item, s.kind, s.value, s.seq DESC
ON CONFLICT (item_id, kind, value) DO UPDATE SET quality = excluded.quality
WHERE excluded.quality IS NOT NULL AND excluded.quality IS DISTINCT FROM h.quality
"""
DROP_STALE: Final = "DELETE FROM moderation_bannedhash h USING stale WHERE h.id = stale.id"
RETIRE: Final = """
UPDATE moderation_banneditem i
SET state = 'retired', retired_at = %(now)s,
    retired_because = CASE WHEN s.expired THEN %(expired)s ELSE %(withdrawn)s END,
    feedback = CASE WHEN c.feedback <> 'none' THEN c.feedback ELSE i.feedback END,
    updated_at = coalesce(s.updated_at, i.updated_at)
FROM change c JOIN staged s ON s.seq = c.seq
WHERE i.id = c.item AND i.state = 'active' AND c.what = 'retired'
"""
RETIRE_MISSING: Final = """
UPDATE moderation_banneditem i
SET state = 'retired', retired_at = %(now)s, retired_because = %(missing)s
FROM missing m WHERE i.id = m.item AND i.state = 'active'
"""
REFRESH: Final = """
UPDATE moderation_banneditem i SET updated_at = s.updated_at
FROM change c JOIN staged s ON s.seq = c.seq
WHERE i.id = c.item AND c.what = 'unchanged' AND c.decides AND i.state = 'active'
    AND (i.updated_at < s.updated_at OR i.updated_at IS NULL AND s.updated_at IS NOT NULL)
"""
"""Stores the time of the source's latest entry even without changes, so that older ones are
ignored.
"""

APPLY: Final = (
    NUMBER, ADD_ITEMS, CHANGE_ITEMS, ADD_HASHES, DROP_STALE, RETIRE, RETIRE_MISSING, REFRESH,
)  # fmt: skip
FIRST_TO_SCAN: Final = """
SELECT min(item) FROM change
WHERE what IN ('added', 'reactivated') OR what = 'changed' AND key IN (SELECT key FROM fresh)
"""
APPLIED: Final = """
SELECT pg_current_xact_id()::text::bigint,
    coalesce(array_agg(DISTINCT item) FILTER (WHERE what = 'reactivated'), '{}') FROM change
"""
DROP: Final = "DROP TABLE IF EXISTS staged, entry, fresh, stale, change, missing"
