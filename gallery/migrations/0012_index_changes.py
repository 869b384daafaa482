"""The outbox of an index outside of PostgreSQL, and the triggers that write it.

They are off until there is such an index. Each works once for a statement, however many rows it has.
"""

import django.db.models.functions.datetime
import django.utils.timezone
from django.db import migrations, models

TRIGGERS = """
CREATE FUNCTION gallery_note_fingerprints() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- Of other images their publishing is noted.
        INSERT INTO gallery_indexchange (fingerprint, version)
        SELECT f.id, f.version FROM changed f JOIN gallery_image i ON i.id = f.item_id
        WHERE i.status = 'ready';
    ELSE
        INSERT INTO gallery_indexchange (fingerprint, version) SELECT id, version FROM changed;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION gallery_note_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gallery_indexchange (fingerprint, version)
    SELECT f.id, f.version FROM now_so i JOIN before b ON b.id = i.id
    JOIN gallery_imagefingerprint f ON f.item_id = i.id
    WHERE (i.status = 'ready') <> (b.status = 'ready');
    RETURN NULL;
END $$;

CREATE TRIGGER note_new_fingerprints AFTER INSERT ON gallery_imagefingerprint
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION gallery_note_fingerprints();
CREATE TRIGGER note_old_fingerprints AFTER DELETE ON gallery_imagefingerprint
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION gallery_note_fingerprints();
CREATE TRIGGER note_status AFTER UPDATE ON gallery_image
    REFERENCING OLD TABLE AS before NEW TABLE AS now_so
    FOR EACH STATEMENT EXECUTE FUNCTION gallery_note_status();

ALTER TABLE gallery_imagefingerprint DISABLE TRIGGER note_new_fingerprints;
ALTER TABLE gallery_imagefingerprint DISABLE TRIGGER note_old_fingerprints;
ALTER TABLE gallery_image DISABLE TRIGGER note_status;
"""
BACK = """
DROP TRIGGER note_new_fingerprints ON gallery_imagefingerprint;
DROP TRIGGER note_old_fingerprints ON gallery_imagefingerprint;
DROP TRIGGER note_status ON gallery_image;
DROP FUNCTION gallery_note_fingerprints;
DROP FUNCTION gallery_note_status;
"""


class Migration(migrations.Migration):
    dependencies = [("gallery", "0011_shared_clips")]

    operations = [
        migrations.CreateModel(
            name="IndexChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("fingerprint", models.BigIntegerField()),
                ("version", models.CharField(max_length=160)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="IndexCollection",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=64, unique=True)),
                ("match_type", models.CharField(max_length=8)),
                ("version", models.CharField(max_length=160)),
                ("dimensions", models.PositiveSmallIntegerField()),
                ("read_to", models.BigIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("complete_at", models.DateTimeField(null=True)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.RunSQL(TRIGGERS, BACK),
    ]
