import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
import pgvector.django.bit
import pgvector.django.halfvec
import pgvector.django.indexes
import pgvector.django.vector
from django.db import migrations, models

from gallery.shared.extension import RequireVector


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        # the sweep is scheduled after migrating
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    operations = [
        RequireVector(),
        migrations.CreateModel(
            name='ImageFingerprint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('view', models.CharField(default='full', max_length=16)),
                ('version', models.CharField(max_length=160)),
                ('haar', pgvector.django.vector.VectorField(dimensions=16, help_text='imgsmlr signature', null=True)),
                ('pdq', pgvector.django.bit.BitField(length=256, null=True)),
                ('pdq_quality', models.SmallIntegerField(help_text='0 to 100', null=True)),
                ('clip', pgvector.django.halfvec.HalfVectorField(help_text='unit length', null=True)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ClipVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.CharField(max_length=160, unique=True)),
                ('model', models.CharField(max_length=80)),
                ('pretrained', models.CharField(max_length=500)),
                ('dimensions', models.PositiveSmallIntegerField()),
                ('state', models.CharField(choices=[('filling', 'Filling'), ('active', 'Active')], max_length=8)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'active')), fields=('state',), name='one_active_clip_version')],
            },
        ),
        migrations.CreateModel(
            name='Image',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('url', models.CharField(blank=True, help_text='where it was fetched from; null = upload', max_length=2048, null=True)),
                ('data_id', models.CharField(blank=True, help_text="the client's id", max_length=255, null=True)),
                ('md5', models.CharField(max_length=32, unique=True)),
                ('sha1', models.CharField(max_length=40)),
                ('sha256', models.CharField(db_index=True, max_length=64)),
                ('format', models.CharField(max_length=8)),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('bytes', models.PositiveBigIntegerField()),
                ('remark', models.TextField(blank=True, null=True)),
                ('meta', models.JSONField(blank=True, null=True)),
                ('original', models.FileField(blank=True, max_length=200, upload_to='')),
                ('thumbnail', models.FileField(blank=True, max_length=200, upload_to='')),
                ('keep_original', models.BooleanField(default=True)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('ready', 'Ready'), ('failed', 'Failed'), ('quarantined', 'Quarantined')], default='pending', max_length=12)),
                ('failure', models.TextField(blank=True, help_text='why it failed, as a sentence')),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('claimed_until', models.DateTimeField(blank=True, null=True)),
                ('stale_at', models.DateTimeField(blank=True, help_text='when its URL was found to hold another picture', null=True)),
                ('added_by', models.CharField(help_text='who added it: user:…, key:…, open', max_length=160)),
                ('uploader', models.CharField(blank=True, help_text="client's text", max_length=255, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['data_id'], name='image_data_id_prefix', opclasses=['text_pattern_ops']), django.contrib.postgres.indexes.HashIndex(fields=['url'], name='image_url_hash'), django.contrib.postgres.indexes.GinIndex(fields=['meta'], name='image_meta_gin', opclasses=['jsonb_path_ops']), models.Index(fields=['status', 'id'], name='image_status_id')],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'ready', 'failed', 'quarantined'])), name='image_status_known'), models.CheckConstraint(condition=models.Q(('status', 'failed'), ('failure', ''), _connector='XOR'), name='image_failure_iff_failed')],
            },
        ),
        migrations.CreateModel(
            name='ImageDetail',
            fields=[
                ('fingerprint', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='detail', serialize=False, to='gallery.imagefingerprint')),
                ('pattern', pgvector.django.vector.VectorField(dimensions=4096)),
            ],
        ),
        migrations.AddField(
            model_name='imagefingerprint',
            name='item',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='fingerprints', to='gallery.image'),
        ),
        migrations.AddIndex(
            model_name='imagefingerprint',
            index=pgvector.django.indexes.HnswIndex(condition=models.Q(('version', 'pixels-1')), ef_construction=64, fields=['haar'], m=16, name='imagefingerprint_haar_hnsw', opclasses=['vector_l2_ops']),
        ),
        migrations.AddIndex(
            model_name='imagefingerprint',
            index=pgvector.django.indexes.HnswIndex(condition=models.Q(('version', 'pixels-1')), ef_construction=100, fields=['pdq'], m=16, name='imagefingerprint_pdq_hnsw', opclasses=['bit_hamming_ops']),
        ),
        migrations.AddConstraint(
            model_name='imagefingerprint',
            constraint=models.UniqueConstraint(fields=('item', 'view', 'version'), name='imagefingerprint_item_view_version'),
        ),
    ]
