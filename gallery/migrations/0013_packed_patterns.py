"""Pack the patterns of imgsmlr: 1.9 KB each instead of 16.

The rows are written into a new table, which then takes the place of the old one: so the disk gets the
room back at once. Each batch is committed, and an interrupted migration goes on where it was. A
service that still runs reads and writes the old table until the last step.
"""

import logging

from django.db import connection, migrations, models, transaction

from gallery.imaging.descriptors import stored_patterns
from gallery.shared.binary_copy import BIGINT, read_rows, vector, write_rows

ROWS = 1000
TOLD_EVERY = 50_000
OLD, NEW = "gallery_imagedetail", "gallery_imagedetail_packed"
logger = logging.getLogger(__name__)

# Patterns are 1.5 to 2.3 KB. From 2 KB on, each would be in a row of another table.
MAKE = f"""
CREATE TABLE IF NOT EXISTS {NEW} (
    fingerprint_id bigint PRIMARY KEY, pattern bytea, local_features bytea
) WITH (toast_tuple_target = 4080);
ALTER TABLE {NEW} ALTER COLUMN pattern SET STORAGE EXTERNAL;
ALTER TABLE {NEW} ALTER COLUMN local_features SET STORAGE EXTERNAL;
"""
LATER = f"SELECT fingerprint_id FROM {OLD} WHERE fingerprint_id > %s ORDER BY 1 LIMIT %s"
MISSED = (
    f"SELECT fingerprint_id FROM {OLD} o WHERE NOT EXISTS "
    f"(SELECT FROM {NEW} n WHERE n.fingerprint_id = o.fingerprint_id) LIMIT %s"
)
REPLACE = f"""
DELETE FROM {NEW} n WHERE NOT EXISTS
    (SELECT FROM {OLD} o WHERE o.fingerprint_id = n.fingerprint_id);
DROP TABLE {OLD};
ALTER TABLE {NEW} RENAME TO {OLD};
ALTER INDEX {NEW}_pkey RENAME TO {OLD}_pkey;
"""


def pack(apps, schema_editor):
    with connection.cursor() as cursor:
        if _is_packed(cursor):
            return
        cursor.execute(MAKE)
        cursor.execute(f"SELECT coalesce(max(fingerprint_id), 0), count(*) FROM {NEW}")
        last, done = cursor.fetchone()
        while ids := _ids(cursor, LATER, [last, ROWS]):
            _copy(cursor, ids)
            last, before, done = ids[-1], done, done + len(ids)
            if done // TOLD_EVERY > before // TOLD_EVERY:
                logger.warning("%s details of images are packed.", f"{done:,}")
        with transaction.atomic():
            cursor.execute(f"LOCK TABLE {OLD} IN ACCESS EXCLUSIVE MODE")
            while ids := _ids(cursor, MISSED, [ROWS]):  # of transactions that ended late
                _copy(cursor, ids)
            key = _foreign_key(cursor)
            cursor.execute(REPLACE)
            cursor.execute(f"ALTER TABLE {OLD} ADD CONSTRAINT {key[0]} {key[1]}")


def _is_packed(cursor):
    cursor.execute(
        "SELECT atttypid = 'bytea'::regtype FROM pg_attribute "
        f"WHERE attrelid = '{OLD}'::regclass AND attname = 'pattern'"
    )
    return cursor.fetchone()[0]


def _ids(cursor, select, params):
    cursor.execute(select, params)
    return [pk for (pk,) in cursor.fetchall()]


def _copy(cursor, ids):
    with transaction.atomic():
        cursor.execute(
            f"INSERT INTO {NEW} (fingerprint_id, local_features) SELECT fingerprint_id, "
            f"local_features FROM {OLD} WHERE fingerprint_id = ANY(%s) AND pattern IS NULL",
            [ids],
        )
        rows = read_rows(
            f"SELECT fingerprint_id, pattern FROM {OLD} "
            "WHERE fingerprint_id = ANY(%(ids)s) AND pattern IS NOT NULL",
            {"ids": ids},
            {"id": BIGINT, "pattern": vector(4096)},
        )
        if len(rows):
            codes, errors = stored_patterns.encoded(rows["pattern"]["values"])
            packed = map(stored_patterns.pack, codes, errors.tolist())
            write_rows(NEW, "fingerprint_id, pattern", zip(rows["id"].tolist(), packed, strict=True))


def _foreign_key(cursor):
    cursor.execute(
        "SELECT quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint "
        f"WHERE conrelid = '{OLD}'::regclass AND contype = 'f'"
    )
    return cursor.fetchone()


class Migration(migrations.Migration):

    atomic = False
    dependencies = [("gallery", "0012_index_changes")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(pack)],
            state_operations=[
                migrations.AlterField("imagedetail", "pattern", models.BinaryField(null=True)),
            ],
        ),
    ]
