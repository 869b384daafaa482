import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='OneTimePassword',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('password', models.CharField(max_length=128)),
            ],
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='who uses it, e.g. loader', max_length=100, unique=True)),
                ('prefix', models.CharField(editable=False, max_length=8)),
                ('sha256', models.CharField(editable=False, max_length=64, unique=True)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('search', 'search and read'), ('add', 'add, change and delete items'), ('check', 'check against the banned lists'), ('lists', 'edit the banned lists'), ('moderate', 'decide cases (needs a user)')], max_length=10), size=None)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('last_used_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('expires_at', models.DateTimeField(blank=True, help_text='empty = never', null=True)),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('user', models.ForeignKey(blank=True, help_text='the person who answers for it; needed by the scope moderate', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='api_keys', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'API key',
                'ordering': ['name'],
                'constraints': [models.CheckConstraint(condition=models.Q(('scopes__contained_by', ['search', 'add', 'check', 'lists', 'moderate']), ('scopes__len__gt', 0)), name='apikey_scopes_known', violation_error_message='Choose at least one scope.'), models.CheckConstraint(condition=models.Q(models.Q(('scopes__contains', ['moderate']), _negated=True), ('user__isnull', False), _connector='OR'), name='apikey_moderate_has_user', violation_error_message='The scope moderate needs a user: decisions are personal.')],
            },
        ),
        # Throttle buckets: written at each request, worthless after a crash. The fill factor leaves
        # room for updates in place.
        migrations.RunSQL(
            """
            CREATE UNLOGGED TABLE imgsmlr_site_throttle (
                client text PRIMARY KEY,
                full_at timestamptz NOT NULL
            ) WITH (fillfactor = 50)
            """,
            "DROP TABLE imgsmlr_site_throttle",
        ),
    ]
