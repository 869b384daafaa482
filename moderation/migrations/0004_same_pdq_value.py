"""The very same PDQ hash is looked up by an index, as the other kinds are."""

from django.contrib.postgres.indexes import HashIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("moderation", "0003_queue_rank")]
    operations = [
        migrations.AddIndex(
            "bannedhash",
            HashIndex(
                fields=["value"], condition=models.Q(kind="pdq"), name="bannedhash_pdq_value"
            ),
        )
    ]
