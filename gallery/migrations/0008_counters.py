"""Counts for /metrics, of gallery.shared.counters: worthless after a crash, so not logged."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("gallery", "0007_client"),
    ]

    operations = [
        # The fill factor leaves room for updates in place.
        migrations.RunSQL(
            """
            CREATE UNLOGGED TABLE gallery_counter (
                name text NOT NULL,
                labels text[] NOT NULL,
                number bigint NOT NULL,
                seconds double precision NOT NULL,
                PRIMARY KEY (name, labels)
            ) WITH (fillfactor = 50)
            """,
            "DROP TABLE gallery_counter",
        ),
    ]
