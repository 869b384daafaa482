"""Answers to checks that clients may ask again for."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("moderation", "0005_imports_and_webhooks")]
    operations = [
        migrations.CreateModel(
            name="CheckAnswer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("actor", models.CharField(help_text="whose key it is", max_length=160)),
                (
                    "key",
                    models.CharField(
                        help_text="the Idempotency-Key of the request", max_length=255
                    ),
                ),
                (
                    "request",
                    models.CharField(help_text="SHA-256 of what was asked", max_length=64),
                ),
                ("answer", models.JSONField()),
                (
                    "created_at",
                    models.DateTimeField(db_index=True, default=django.utils.timezone.now),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("actor", "key"), name="checkanswer_once")
                ],
            },
        ),
    ]
