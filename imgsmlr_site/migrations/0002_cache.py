from django.db import migrations


class Migration(migrations.Migration):
    """The table of Django's database cache, which a crash of PostgreSQL may empty."""

    dependencies = [("imgsmlr_site", "0001_initial")]

    operations = [
        migrations.RunSQL(
            """
            CREATE UNLOGGED TABLE imgsmlr_site_cache (
                cache_key varchar(255) PRIMARY KEY,
                value text NOT NULL,
                expires timestamptz NOT NULL
            );
            CREATE INDEX imgsmlr_site_cache_expires ON imgsmlr_site_cache (expires);
            """,
            "DROP TABLE imgsmlr_site_cache",
        ),
    ]
