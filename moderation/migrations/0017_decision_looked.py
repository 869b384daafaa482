from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('moderation', '0016_drill'),
    ]

    operations = [
        migrations.AlterField(
            model_name='decision',
            name='looked',
            field=models.BooleanField(default=False, help_text='whether the media was shown unfiltered'),
        ),
    ]
