from django.db import migrations, models
from django.db.models.fields.json import KeyTransform


class Migration(migrations.Migration):
    dependencies = [("moderation", "0012_nearcheck_alarmed")]

    operations = [
        migrations.AddIndex(
            model_name="reviewcase",
            index=models.Index(KeyTransform("uploader", "evidence"), name="case_uploader"),
        ),
    ]
