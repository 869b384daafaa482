"""Pictures of shared searches. Not logged: a backup leaves them out, and a crash ends them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("gallery", "0009_quarantine_dates"),
    ]

    operations = [
        migrations.CreateModel(
            name="SharedSearch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("picture", models.BinaryField(help_text="a JPEG without metadata")),
                ("shared_by", models.CharField(max_length=160)),
                ("ends_at", models.DateTimeField(db_index=True)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.RunSQL(
            "ALTER TABLE gallery_sharedsearch SET UNLOGGED", migrations.RunSQL.noop
        ),
    ]
